// Moves the line of a picture, and copies the command.
document.addEventListener("input", (event) => {
  const viewer = event.target.closest(".viewer");
  if (viewer) viewer.style.setProperty("--at", `${event.target.value}%`);
});
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const code = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code); // a page opened from disk may not write to the clipboard
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}

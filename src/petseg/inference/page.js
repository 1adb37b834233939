// The page: takes a photograph, shows it as the controls say, and saves it. The worker does the rest.
"use strict";

const find = (id) => document.getElementById(id);
const controls = find("controls");
const size = Number(document.body.dataset.size); // of the network's input
const foreground = document.body.dataset.foreground; // its name
let photo = null; // {name, width, height, preview, probability} of the photograph that is shown
let newest = 0; // number of the last photograph that was asked for

function say(text, kind = "") {
  find("status").textContent = text;
  find("status").className = kind;
}

/** Says what the browser lacks, or returns an empty text. */
function missing() {
  // A module with one function, which returns a vector: only a browser with SIMD finds it valid.
  const simd = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
  if (typeof WebAssembly !== "object" || !WebAssembly.validate(new Uint8Array(simd))) return "WebAssembly with SIMD";
  if (typeof DecompressionStream !== "function") return "DecompressionStream";
  if (typeof OffscreenCanvas !== "function") return "OffscreenCanvas";
  return "";
}

let worker;
let questions = 0; // that the worker was asked
const waiting = new Map(); // by number of the question: how to settle its promise

/** Asks the worker for one of its actions. */
function ask(action, values) {
  return new Promise((resolve, reject) => {
    const id = ++questions;
    waiting.set(id, { resolve, reject });
    worker.postMessage({ id, action, ...values });
  });
}

function answered({ data: { id, result, error } }) {
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (error === undefined) resolve(result);
  else reject(new Error(error));
}

async function start() {
  const lacking = missing();
  if (lacking) {
    say(`This browser is too old: it has no ${lacking}. Use Chrome, Edge, Firefox or Safari of 2024 or later.`, "error");
    return;
  }
  say("Starting the network …", "busy");
  const text = (id) => find(id).textContent;
  worker = new Worker(URL.createObjectURL(new Blob([text("pixels"), text("worker")], { type: "text/javascript" })));
  worker.onmessage = answered;
  find("choose").disabled = find("take").disabled = false;
  try {
    await ask("start", { size, script: text("ort-script"), wasm: text("ort-wasm"), model: text("model") });
    if (newest === 0) say("Ready. Nothing that you open here leaves this device.");
  } catch (error) {
    say(`The network cannot be started (${error.message}). Close other tabs and reload the page.`, "error");
  }
}

/** Segments a file and shows the result; after an error the photograph before stays. */
async function open(file) {
  if (!worker) return;
  const number = ++newest;
  find("stage").setAttribute("aria-busy", "true");
  say(`Segmenting ${file.name} …`, "busy");
  try {
    const answer = await ask("segment", { file });
    if (number !== newest) return;
    photo = { name: file.name, ...answer };
    find("hint").hidden = true;
    find("result").hidden = controls.hidden = false;
    const share = show();
    if (share > 0) say(`Done: ${percent(share)} of ${file.name} is ${foreground}.`);
    else say(`No ${foreground} was found in ${file.name}. A lower threshold may show something.`);
  } catch (error) {
    if (number === newest) say(error.message, "error");
  } finally {
    if (number === newest) find("stage").removeAttribute("aria-busy");
  }
}

const percent = (share) => `${(100 * share).toFixed(share < 0.095 ? 1 : 0)}%`;

/** What the controls ask for, as `paint` takes it. */
function look() {
  const color = find("color").value; // #rrggbb
  const background = [1, 3, 5].map((start) => parseInt(color.slice(start, start + 2), 16));
  return {
    view: controls.elements.view.value,
    threshold: Number(find("threshold").value),
    background: controls.elements.background.value === "color" ? background : null,
  };
}

/** Shows the photograph as the controls say. Returns the share of the foreground. */
function show() {
  const { preview, probability, name, width, height } = photo;
  const wanted = look();
  const shown = new ImageData(new Uint8ClampedArray(preview.data), preview.width, preview.height);
  const rowOf = enlarge(probability, size, preview.width, preview.height);
  let count = 0;
  for (let y = 0; y < preview.height; y++) {
    const row = rowOf(y);
    for (const value of row) count += value > wanted.threshold;
    paint(shown.data, 4 * y * preview.width, row, wanted);
  }
  const canvas = find("canvas");
  if (canvas.width !== preview.width) canvas.width = preview.width;
  if (canvas.height !== preview.height) canvas.height = preview.height;
  canvas.getContext("2d").putImageData(shown, 0, 0);
  const share = count / (preview.width * preview.height);
  const view = controls.querySelector("input[name=view]:checked").parentElement.textContent.trim();
  canvas.setAttribute("aria-label", `${view} of ${name}`);
  find("threshold-value").textContent = wanted.threshold.toFixed(2);
  find("caption").textContent = `${name}, ${width} × ${height} pixels, ${percent(share)} ${foreground}`;
  return share;
}

/** Saves the photograph at its own size as NAME_VIEW.png. */
async function save(view) {
  const name = `${photo.name.replace(/\.[^.]*$/, "")}_${view}.png`;
  say(`Writing ${name} …`, "busy");
  try {
    const url = URL.createObjectURL(await ask("save", { look: { ...look(), view } }));
    const link = document.createElement("a");
    link.href = url;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000); // browsers do not tell when they have read it
    say(`Saved ${name}, ${photo.width} × ${photo.height} pixels.`);
  } catch (error) {
    say(error.message, "error");
  }
}

/** Opens the first of the files that were chosen, dropped or pasted. */
function openFirst(files) {
  if (files.length) open(files[0]);
  else say("That is not an image file. Drop or paste a photograph, or choose a file.", "error");
}

for (const [button, input] of [["choose", "file"], ["take", "camera"]]) {
  find(button).addEventListener("click", () => find(input).click());
  find(input).addEventListener("change", ({ target }) => {
    if (target.files.length) openFirst(target.files);
    target.value = ""; // so that the same file can be chosen again
  });
}
document.addEventListener("paste", (event) => openFirst(event.clipboardData.files));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  find("stage").classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) find("stage").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  find("stage").classList.remove("over");
  openFirst(event.dataTransfer.files);
});
find("color").addEventListener("input", () => (controls.elements.background.value = "color"));
controls.addEventListener("input", show);
controls.addEventListener("submit", (event) => event.preventDefault());
find("save-cutout").addEventListener("click", () => save("cutout"));
find("save-mask").addEventListener("click", () => save("mask"));
// A little after the page has loaded: Firefox 140 sometimes runs a worker that starts while the page loads about 50 times
// slower on Intel processors. Its compiled code mixes SSE and AVX instructions, which then take almost all the time.
addEventListener("load", () => setTimeout(start, 100));

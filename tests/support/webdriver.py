"""Chromium and Firefox driven by tests, headless and without network access beyond this machine.

Both speak WebDriver: Chromium by HTTP through chromedriver, Firefox by Marionette, its own protocol with the same
commands, so that it needs no further program.
"""

import base64
import json
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import requests

from support.browser import CHROMIUM

CHROMEDRIVER = shutil.which("chromedriver")
FIREFOX = next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)
INSTALLED = {"chromium": bool(CHROMIUM and CHROMEDRIVER), "firefox": bool(FIREFOX)}
OFFLINE = (
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-background-networking",
    "--disable-quic",
)
SECONDS = 120  # until a browser that does not answer fails a test
TAB, ENTER, LEFT, RIGHT = "\ue004", "\ue007", "\ue012", "\ue014"
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # key of an element's id, from the WebDriver standard


class Browser:
    """A browser with one window. Use it as a context manager.

    Args:
        folder: for the profile; `folder / "downloads"` gets what pages save.
        dark: whether pages are told that the user prefers dark colors.
    """

    def __init__(self, folder: Path, dark: bool = False) -> None:
        self.downloads = folder / "downloads"
        self.downloads.mkdir(parents=True)
        self.process = self._start(folder, dark)

    def _start(self, folder: Path, dark: bool) -> subprocess.Popen:
        raise NotImplementedError

    def _command(self, method: str, path: str, marionette: str, values: dict[str, Any]) -> Any:
        """Sends a command, which Chromium knows by HTTP method and path and Firefox by name. Returns its value."""
        raise NotImplementedError

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait(SECONDS)
        if self.process.stdout:
            self.process.stdout.close()

    def open(self, page: Path) -> None:
        self._command("POST", "url", "Navigate", {"url": page.resolve().as_uri()})

    def run(self, script: str, *arguments: object) -> Any:
        """Runs the body of a JavaScript function; waits for the promise if it returns one."""
        return self._command("POST", "execute/sync", "ExecuteScript", {"script": script, "args": arguments})

    def wait(self, condition: str) -> None:
        """Waits until a JavaScript expression is true."""
        end = time.monotonic() + SECONDS
        while not self.run(f"return Boolean({condition})"):
            assert time.monotonic() < end, (
                f"{condition} did not become true; {self.run('return document.body.innerText')}"
            )
            time.sleep(0.02)

    def _find(self, selector: str) -> str:
        return self._command("POST", "element", "FindElement", {"using": "css selector", "value": selector})[_ELEMENT]

    def choose(self, selector: str, file: Path) -> None:
        """Chooses a file in a file input."""
        values = {"id": (element := self._find(selector)), "text": str(file.resolve())}
        self._command("POST", f"element/{element}/value", "ElementSendKeys", values)

    def click(self, selector: str) -> None:
        element = self._find(selector)
        self._command("POST", f"element/{element}/click", "ElementClick", {"id": element})

    def frame(self, selector: str) -> None:
        """Goes into a frame, until another page is opened."""
        element = self._find(selector)
        values = {"id": {_ELEMENT: element}, "element": element}
        self._command("POST", "frame", "SwitchToFrame", values)

    def press(self, *keys: str) -> None:
        """Presses and releases keys, one after the other."""
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        actions = [{"type": "key", "id": "keyboard", "actions": strokes}]
        self._command("POST", "actions", "PerformActions", {"actions": actions})

    def screenshot(self) -> bytes:
        return base64.b64decode(self._command("GET", "screenshot", "TakeScreenshot", {"full": False}))

    def downloaded(self, name: str) -> Path:
        """Waits until a file has been saved completely, and returns its path."""
        path, end = self.downloads / name, time.monotonic() + SECONDS
        while not path.exists() or list(self.downloads.glob("*.part")) or list(self.downloads.glob("*.crdownload")):
            assert time.monotonic() < end, f"{name} was not saved; there are {list(self.downloads.iterdir())}"
            time.sleep(0.02)
        return path


class Chromium(Browser):
    def _start(self, folder: Path, dark: bool) -> subprocess.Popen:
        process = subprocess.Popen([str(CHROMEDRIVER), "--port=0"], stdout=subprocess.PIPE, text=True)
        assert process.stdout
        port = next(found[1] for line in process.stdout if (found := re.search(r"on port (\d+)\.", line)))
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={folder}"]
        options = {
            "binary": CHROMIUM,
            "args": [*arguments, *OFFLINE, "--window-size=1280,800"],
            "prefs": {"download.default_directory": str(self.downloads), "download.prompt_for_download": False},
        }
        url = f"http://127.0.0.1:{port}/session"
        body = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        self.url = f"{url}/{self._send('POST', url, body)['sessionId']}"
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._devtools("Emulation.setEmulatedMedia", features=scheme)
        return process

    def _send(self, method: str, url: str, body: dict[str, Any] | None) -> Any:
        answer = requests.request(method, url, json=body, timeout=SECONDS).json()["value"]
        assert not (isinstance(answer, dict) and "error" in answer), answer
        return answer

    def _command(self, method: str, path: str, marionette: str, values: dict[str, Any]) -> Any:
        return self._send(method, f"{self.url}/{path}", values if method == "POST" else None)

    def _devtools(self, command: str, **parameters: object) -> None:
        self._send("POST", f"{self.url}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def resize(self, width: int, height: int) -> None:
        """Gives the page a size, as a phone of it would."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._devtools("Emulation.setDeviceMetricsOverride", **metrics)
        self._devtools("Emulation.setTouchEmulationEnabled", enabled=width < 600)

    def __exit__(self, *error: object) -> None:
        self._send("DELETE", self.url, None)
        super().__exit__(*error)


class Firefox(Browser):
    def _start(self, folder: Path, dark: bool) -> subprocess.Popen:
        preferences = {
            "marionette.port": 0,  # any that is free, which Firefox writes to a file
            "network.proxy.type": 1,  # a proxy that does not answer; it is not used for this machine
            "network.proxy.socks": "127.0.0.1",
            "network.proxy.socks_port": 9,
            "browser.download.folderList": 2,
            "browser.download.dir": str(self.downloads),
            "browser.download.alwaysOpenPanel": False,
            "layout.css.prefers-color-scheme.content-override": 0 if dark else 1,
            "datareporting.policy.dataSubmissionEnabled": False,
        }
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items()]
        (folder / "user.js").write_text("".join(lines))
        size = ("--width=1280", "--height=886")  # the page is 86 pixels less high
        process = subprocess.Popen(
            [str(FIREFOX), "--headless", "--marionette", "--no-remote", "--profile", str(folder), *size],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.connection = self._connect(folder / "MarionetteActivePort")
        self.commands = 0
        self._receive()  # its greeting
        self._command("POST", "session", "NewSession", {})
        return process

    def _connect(self, port: Path) -> Any:
        end = time.monotonic() + SECONDS
        while not port.exists() or not port.read_text().strip():
            assert time.monotonic() < end, "Firefox did not start"
            time.sleep(0.02)
        self.socket = socket.create_connection(("127.0.0.1", int(port.read_text())), timeout=SECONDS)
        return self.socket.makefile("rwb")

    def _receive(self) -> Any:
        """Reads one message: its length in bytes, a colon, and JSON."""
        digits = b""
        while (digit := self.connection.read(1)) != b":":
            assert digit, "Firefox closed the connection"
            digits += digit
        return json.loads(self.connection.read(int(digits)))

    def _command(self, method: str, path: str, marionette: str, values: dict[str, Any]) -> Any:
        self.commands += 1
        message = json.dumps([0, self.commands, f"WebDriver:{marionette}", values]).encode()
        self.connection.write(b"%d:%b" % (len(message), message))
        self.connection.flush()
        _, _, error, result = self._receive()
        assert error is None, error
        return result["value"] if isinstance(result, dict) and "value" in result else result

    def __exit__(self, *error: object) -> None:
        self.connection.close()
        self.socket.close()
        super().__exit__(*error)


BROWSERS: dict[str, type[Browser]] = {"chromium": Chromium, "firefox": Firefox}

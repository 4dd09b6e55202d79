"""A page in headless Chromium, driven through the DevTools protocol over a pipe."""

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-extensions",
    "--disable-background-networking",
    "--no-first-run",
    "--remote-debugging-pipe",
    "--window-size=1600,1200",
)
TEXT = """
(() => {
  const texts = [];
  const visit = (node) => {
    if (node.nodeType === Node.TEXT_NODE) texts.push(node.data.trim());
    if (node.nodeName === 'SCRIPT' || node.nodeName === 'STYLE') return;
    if (node.shadowRoot) visit(node.shadowRoot);
    node.childNodes.forEach(visit);
  };
  visit(document.body);
  return texts.filter(Boolean).join('\\n');
})()
"""
"""The page's text, that of its shadow trees with it, which `--dump-dom` leaves out."""


def browser() -> str | None:
    """A browser that is installed and can be driven, if there is one."""
    if os.name == "nt":
        return None
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)


KEYS = {"Enter": 13, "Escape": 27, "Tab": 9}
"""Keys that do more than an event by this name, and what browsers number them."""


class Page:
    """One page of a browser. Commands wait for their answers.

    `events` has what the page told meanwhile; only a page that is watched tells anything.
    """

    def __init__(self, requests: int, answers: int) -> None:
        self.events: list[dict[str, Any]] = []
        self._requests, self._answers = requests, answers
        self._numbers = itertools.count(1)
        self._received = b""
        self._session: str | None = None
        target = self._command("Target.createTarget", url="about:blank")["targetId"]
        attached = self._command("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]

    def open(self, url: str) -> None:
        """Goes to a page, also where only what follows `#` is another."""
        self._command("Page.navigate", url="about:blank")
        self._command("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; None where the page cannot say just now."""
        answer = self._command("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer.get("result", {}).get("value")

    def lacks(self, *texts: str, seconds: float = 20) -> list[str]:
        """Those of the texts that do not come up on the page within that time."""
        end = time.monotonic() + seconds
        while True:
            shown = self.evaluate(TEXT) or ""
            missing = [text for text in texts if text not in shown]
            if not missing or time.monotonic() > end:
                return missing
            time.sleep(0.2)

    def watch(self) -> None:
        """Lets the page tell of every request, console message and exception."""
        for domain in ("Network", "Runtime", "Log"):
            self._command(f"{domain}.enable")

    def show_as(
        self, *, width: int, theme: str = "light", height: int = 900, media: str = "screen"
    ) -> None:
        """Makes the page that wide and high, in pixels, on screen or in print, light or dark."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._command("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": theme}
        self._command("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def press(self, key: str) -> None:
        """A key, pressed and released, as a reader would."""
        code = KEYS.get(key, 0)
        pressed: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        text = {"text": "\r"} if key == "Enter" else {}
        self._command("Input.dispatchKeyEvent", type="keyDown", **pressed, **text)
        self._command("Input.dispatchKeyEvent", type="keyUp", **pressed)

    def screenshot(self, path: Path) -> None:
        """What the page looks like, as PNG."""
        path.write_bytes(base64.b64decode(self._command("Page.captureScreenshot")["data"]))

    def _command(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._requests, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                return dict(answer.get("result", {}))
            if "method" in answer:
                self.events.append(answer)

    def _receive(self, seconds: float = 60) -> dict[str, Any]:
        while b"\0" not in self._received:
            if not select.select([self._answers], [], [], seconds)[0]:
                raise TimeoutError("the browser does not answer")
            chunk = os.read(self._answers, 2**16)
            if not chunk:
                raise ConnectionError("the browser ended")
            self._received += chunk
        first, _, self._received = self._received.partition(b"\0")
        return dict(json.loads(first))


@contextlib.contextmanager
def page(profile: Path) -> Iterator[Page]:
    """A page of a new browser with an empty profile, which ends with the block."""
    program = browser()
    assert program is not None, "the caller has looked"
    (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
    # The browser reads commands from descriptor 3 and answers on 4.
    script = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
    command = ["bash", "-c", script, program, *FLAGS, f"--user-data-dir={profile}"]
    process = subprocess.Popen(
        command,
        pass_fds=(theirs_in, theirs_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Page(ours_out, ours_in)
    finally:
        process.terminate()
        process.wait(timeout=20)
        os.close(ours_out)
        os.close(ours_in)

"""Headless Chromium over its debugging pipe: opens a page, and says what happened while it did."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--hide-scrollbars", "--force-color-profile=srgb", "--remote-debugging-pipe",
)  # fmt: skip
PATIENCE = 60.0


def chromium_binary() -> str | None:
    """Path of a Chromium or Chrome on this machine, or None."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Chromium:
    """A browser with one empty page, in a folder of its own; use it as a context manager."""

    def __init__(self, binary: str, folder: Path) -> None:
        self.events: list[dict[str, Any]] = []
        self._number = 0
        self._buffer = b""
        self._session = ""
        read_commands, self._commands = os.pipe()
        self._answers, write_answers = os.pipe()
        top = 1 + max(read_commands, write_answers, 4)

        def place_pipes() -> None:
            os.dup2(read_commands, top), os.dup2(write_answers, top + 1)
            os.dup2(top, 3), os.dup2(top + 1, 4)

        self._process = subprocess.Popen(
            [binary, *OPTIONS, f"--user-data-dir={folder}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            close_fds=False, preexec_fn=place_pipes,  # noqa: PLW1509 (the debugging pipe is 3 and 4)
            env={**os.environ, "HOME": str(folder)},
        )  # fmt: skip
        os.close(read_commands)
        os.close(write_answers)
        os.set_blocking(self._answers, False)

    def __enter__(self) -> Chromium:
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self._session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self(f"{domain}.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def __call__(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; events that come in between are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        wanted = self._number
        answer = self._wait(lambda one: one.get("id") == wanted)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, page: Path) -> None:
        """Open a file and wait until it is loaded; forget what happened before."""
        self.events.clear()
        self("Page.navigate", url=page.absolute().as_uri())
        loaded = "Page.loadEventFired"
        if not any(one["method"] == loaded for one in self.events):
            self._wait(lambda one: one.get("method") == loaded)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression on the page."""
        found = self("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def resize(self, width: int, height: int, mobile: bool = False) -> None:
        """Give the window another size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self("Emulation.setDeviceMetricsOverride", **size)

    def prefer(self, scheme: str, medium: str = "screen") -> None:
        """Prefer a dark or light page, on the screen or in print."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self("Emulation.setEmulatedMedia", media=medium, features=features)

    def screenshot(self, path: Path, whole: bool = True) -> None:
        """Save what the page looks like."""
        shot = self("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def requests(self) -> list[str]:
        """Addresses that the page has asked for since it was opened, itself included."""
        return [one["params"]["request"]["url"] for one in self._of("Network.requestWillBeSent")]

    def complaints(self) -> list[str]:
        """What the page has written to the console, failed scripts and refused resources."""
        console = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(one) for name in (*console, "Network.loadingFailed") for one in self._of(name)]

    def _of(self, method: str) -> list[dict[str, Any]]:
        return [one for one in self.events if one["method"] == method]

    def _wait(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read messages until one is wanted; the others are kept if they are events."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            while b"\0" in self._buffer:
                raw, _, self._buffer = self._buffer.partition(b"\0")
                message: dict[str, Any] = json.loads(raw)
                if "method" in message:
                    self.events.append(message)
                if wanted(message):
                    return message
            try:
                part = os.read(self._answers, 1 << 20)
            except BlockingIOError:
                time.sleep(0.01)
                continue
            if not part:
                break
            self._buffer += part
        code = self._process.poll()
        raise TimeoutError(f"no answer of the browser within {PATIENCE:.0f} s, exit code {code}")

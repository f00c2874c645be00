"""Chromium without a window, through its own driver: as much of the WebDriver protocol as the tests need."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TOOLS = {"chromium": shutil.which("chromium"), "chromedriver": shutil.which("chromedriver")}
CHROMIUM = """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --disable-dev-shm-usage
"""


class Browser:
    """As much of the WebDriver protocol as these tests need."""

    def __init__(self, address: str, profile: str) -> None:
        options = {"binary": TOOLS["chromium"], "args": [*CHROMIUM.split(), f"--user-data-dir={profile}"]}
        capabilities = {"goog:chromeOptions": options, "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"}}
        self._address = address
        session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self._address += f"/session/{session['sessionId']}"

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._address + path, data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, where: Path | str) -> None:
        """A file, or an address."""
        self._ask("POST", "/url", {"url": where.as_uri() if isinstance(where, Path) else where})

    def screenshot(self) -> bytes:
        """What is seen, as PNG."""
        return base64.b64decode(self._ask("GET", "/screenshot"))

    def wait_for(self, words: Sequence[str], timeout_s: float = 60) -> str:
        """The page's text, once all of ``words`` are in it.

        Raises:
            TimeoutError: some are not; with the text.
        """
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            text = str(self.run("return document.body ? document.body.innerText : ''"))
            if all(word in text for word in words):
                return text
            time.sleep(0.3)
        raise TimeoutError(f"{[word for word in words if word not in text]} not in:\n{text[:2000]}")

    def run(self, script: str, *arguments: Any) -> Any:
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def press(self, *keys: str) -> None:
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._ask("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def log(self, kind: str) -> list[dict[str, Any]]:
        """What was written since the last call."""
        return self._ask("POST", "/se/log", {"type": kind})

    def devtools(self, command: str, **parameters: Any) -> Any:
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def prefer(self, scheme: str) -> None:
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def size(self, width: int, height: int) -> None:
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def close(self) -> None:
        self._ask("DELETE", "")


def missing() -> list[str]:
    """The programs that are not installed."""
    return [name for name, path in TOOLS.items() if path is None]


@contextmanager
def started() -> Iterator[Browser]:
    """A browser with a new and empty profile."""
    command = [str(TOOLS["chromedriver"]), "--port=0"]
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as driver,
    ):
        assert driver.stdout is not None
        try:
            found = (re.search(r"successfully on port (\d+)", line) for line in driver.stdout)
            port = next(match[1] for match in found if match)
            browser = Browser(f"http://127.0.0.1:{port}", profile)
            try:
                browser.open("about:blank")  # it may have begun with a page of its own, which asks for a hundred things
                browser.log("performance")
                yield browser
            finally:
                browser.close()
        finally:
            driver.terminate()

"""A headless Chromium, asked over the pipe that its DevTools protocol offers: no port, no further package."""

from __future__ import annotations

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

PATIENCE_S = 60.0
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--window-size=1000,900"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
)


def chromium() -> str | None:
    """Its program, where there is one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextlib.contextmanager
def page(address: str, profile: Path) -> Iterator[Page]:
    """A browser of its own, with an empty profile, that shows ``address``."""
    to_browser, from_browser = os.pipe(), os.pipe()

    def hand_over() -> None:  # the protocol is spoken on 3 and 4
        ends = os.dup(to_browser[0]), os.dup(from_browser[1])
        for end, number in zip(ends, (3, 4)):
            os.dup2(end, number)

    argv = [chromium(), *FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL, preexec_fn=hand_over, close_fds=False) as process:
        os.close(to_browser[0])
        os.close(from_browser[1])
        try:
            yield Page(to_browser[1], from_browser[0], address)
        finally:
            os.close(to_browser[1])  # the browser ends with it
            os.close(from_browser[0])
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


class Page:
    """What a test does with a page."""

    def __init__(self, to_browser: int, from_browser: int, address: str) -> None:
        self._to, self._from, self._left = to_browser, from_browser, b""
        self._numbers = itertools.count(1)
        self._session: str | None = None
        self.console: list[str] = []
        """Errors of the page, and what its policy forbade."""
        target = next(t for t in self._ask("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self._ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self._ask(f"{domain}.enable")
        self._ask("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """The value of an expression, or of its promise; raises AssertionError for one that fails."""
        answer = self._ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until an expression is true."""
        end = time.monotonic() + PATIENCE_S
        while not self.run(condition):
            assert time.monotonic() < end, f"{condition} did not come true"
            time.sleep(0.05)

    def choose(self, selector: str, file: Path) -> None:
        """A file, in an input of the page."""
        root = self._ask("DOM.getDocument")["root"]["nodeId"]
        node = self._ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._ask("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot")["data"]))

    def _ask(self, method: str, **values: Any) -> dict[str, Any]:
        number = next(self._numbers)
        session = {} if self._session is None else {"sessionId": self._session}
        message = {"id": number, "method": method, "params": values, **session}
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != number:
            self._note(answer)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            assert select.select([self._from], [], [], PATIENCE_S)[0], "the browser does not answer"
            read = os.read(self._from, 1 << 16)
            assert read, "the browser has ended"
            self._left += read
        message, _, self._left = self._left.partition(b"\0")
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        entry = event["params"].get("entry", {})
        if event["method"] == "Log.entryAdded" and entry["level"] == "error":
            self.console.append(entry["text"])
        if event["method"] == "Runtime.exceptionThrown":
            self.console.append(event["params"]["exceptionDetails"]["text"])

"""The command ``yolo.serve`` as a process of its own, and one connection to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.places import ROOT

DETECT = "/v1/detect"
JPEG = {"Content-Type": "image/jpeg"}


@contextlib.contextmanager
def serving(weights: str, size: int, *options: str) -> Iterator[tuple[int, int]]:
    """A server on this machine while the block runs: its port and its process's number."""
    argv = ["--weights", weights, "--imgsz", str(size), "--device", "cpu", "--port", "0", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "yolo.serve", *argv]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            said = ""
            while not (found := re.search(r"listening on http://127\.0\.0\.1:(\d+)", said)):
                said = process.stderr.readline()
                if not said:
                    raise RuntimeError("the server does not start")
            yield int(found[1]), process.pid
        finally:
            process.terminate()
            process.communicate()


class Connection:
    """Kept alive, and asked again and again."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self._connection.connect()

    def detect(self, image: bytes) -> Mapping[str, Any]:
        """The answer; raises RuntimeError for one that is none."""
        self._connection.request("POST", DETECT, image, JPEG)
        response = self._connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise RuntimeError(f"{response.status}: {content[:200].decode(errors='replace')}")
        return json.loads(content)

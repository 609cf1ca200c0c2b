"""The command ``yolo.serve`` as a process of its own, and one connection to it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.places import ROOT

DETECT = "/v1/detect"


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
    """Kept alive, and asked again and again; it does no more than it must, since its work counts as the server's."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def detect(self, image: bytes) -> Mapping[str, Any]:
        """The answer; raises RuntimeError for one that is none."""
        self._socket.sendall(request_of(image))
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._read()
        head, _, content = answer.partition(b"\r\n\r\n")
        while len(content) < content_length(head):
            content += self._read()
        if head.split()[1] != b"200":
            raise RuntimeError(content[:200].decode(errors="replace"))
        return json.loads(content)

    def _read(self) -> bytes:
        read = self._socket.recv(1 << 16)
        if not read:
            raise RuntimeError("the server hung up")
        return read


def request_of(image: bytes) -> bytes:
    """An HTTP request with a JPEG file."""
    head = f"POST {DETECT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image)}"
    return head.encode() + b"\r\n\r\n" + image


def content_length(head: bytes) -> int:
    """Of an answer, by its head."""
    return int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])

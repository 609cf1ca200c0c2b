"""Servers of the tests, and who asks them."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import io
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import yolo
from tests.inference.samples import noise

PATIENCE_S = 60.0
ROOT = Path(yolo.__file__).parents[1]


def image_file(kind: str = "PNG", size: tuple[int, int] = (48, 64), seed: int = 0) -> bytes:
    """An image of blocks of colours, as a file's bytes."""
    stream = io.BytesIO()
    Image.fromarray(noise(size, seed)).save(stream, kind)
    return stream.getvalue()


def flat_file(kind: str, size: tuple[int, int]) -> bytes:
    """A large black image, whose file is small."""
    stream = io.BytesIO()
    Image.fromarray(np.zeros((*size, 3), np.uint8)).save(stream, kind)
    return stream.getvalue()


def form(*files: bytes, field: str | None = None) -> tuple[bytes, dict[str, str]]:
    """The body of a form with these files, and its header."""
    parts = [b'Content-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + file for file in files]
    if field is not None:
        parts.append(b'Content-Disposition: form-data; name="conf"\r\n\r\n' + field.encode())
    body = b"".join(b"--edge\r\n" + part + b"\r\n" for part in parts) + b"--edge--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=edge"}


@dataclasses.dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def why(self) -> str:
        """What an error says; its form is the same for all."""
        assert set(self.json) == {"error"} and self.json["error"]["status"] == self.status
        return self.json["error"]["message"]


@dataclasses.dataclass(frozen=True)
class Client:
    """Asks a server of this machine."""

    port: int
    host: str = "127.0.0.1"

    @property
    def address(self) -> str:
        return f"http://{self.host}:{self.port}"

    def ask(
        self, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None, method: str = ""
    ) -> Answer:
        """A request on a connection of its own; by default POST with a body, GET without."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE_S)
        with contextlib.closing(connection):
            connection.request(method or ("GET" if body is None else "POST"), path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def detect(self, image: bytes, query: str = "", **headers: str) -> Answer:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask(f"/v1/detect{query}", image, {"Content-Type": "image/png", **given})

    def metric(self, name: str) -> float:
        """A sample of ``/metrics``; 0 where it is not there."""
        lines = self.ask("/metrics").body.decode().splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name), 0.0)

    def wait_for(self, name: str, value: float) -> None:
        self._wait(name, lambda found: found == value)

    def wait_for_more(self, name: str, value: float) -> None:
        self._wait(name, lambda found: found >= value)

    def _wait(self, name: str, fits: Callable[[float], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not fits(self.metric(name)):
            assert time.monotonic() < end, f"{name} stays {self.metric(name)}"
            time.sleep(0.02)

    def connection(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), PATIENCE_S)


def served(main: Callable[[list[str]], int], argv: list[str], ask: Callable[[Client], Any]) -> tuple[int, Any]:
    """Run the command in this process; ``ask`` it from another thread, then end it. Gives its exit code, the answer.

    No answer where it ended by itself. The port is the one that it says: one that was free a moment ago may be
    another test's by now. A signal that comes when nobody listens to it ends no test.
    """
    over, answers, ports = threading.Event(), [None], []

    def note(record: logging.LogRecord) -> bool:
        ports.extend(int(port) for port in re.findall(r"^listening on http://\S+:(\d+) ", record.getMessage()))
        return True

    def visit() -> None:
        while not ports and not over.wait(0.01):
            pass
        if not ports:
            return
        try:
            answers[0] = ask(Client(ports[0]))
        except BaseException as error:
            answers[0] = error
        os.kill(os.getpid(), signal.SIGTERM)

    visitor, logger = threading.Thread(target=visit), logging.getLogger("yolo")
    former = signal.signal(signal.SIGTERM, lambda *_: None)
    logger.addFilter(note)
    visitor.start()
    try:
        code = main([*argv, "--port", "0"])
    finally:
        over.set()
        visitor.join()
        logger.removeFilter(note)
        signal.signal(signal.SIGTERM, former)
    if isinstance(answers[0], BaseException):
        raise answers[0]
    return code, answers[0]


@contextlib.contextmanager
def server(weights: Path, *argv: str) -> Iterator[tuple[Client, subprocess.Popen]]:
    """The command in a process of its own, which is killed at the end if it is still there."""
    base = ["--weights", str(weights), "--imgsz", "64", "--conf-thres", "0.001", "--max-det", "20", "--device", "cpu"]
    command = [sys.executable, "-m", "yolo.serve", *base, "--port", "0", *argv]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            line = process.stderr.readline()
            found = re.match(r"listening on http://127\.0\.0\.1:(\d+) ", line)
            assert found, line + process.stderr.read()
            yield Client(int(found[1])), process
        finally:
            process.kill()


def ended(process: subprocess.Popen) -> tuple[int, str, str]:
    """Its exit code and what it still said."""
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err

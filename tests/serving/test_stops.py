"""How a server ends, and what stands in the way of its start."""

from __future__ import annotations

import importlib.util
import json
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.serving.client import ROOT, Client, ended, image_file, server
from tests.serving.test_server import HEAD
from yolo import serve

IMAGE = image_file()
GONE = (ConnectionRefusedError, ConnectionResetError)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_when_all_that_was_accepted_is_answered(program: Path, number: int) -> None:
    with server(program) as (client, process), client.connection() as slow, client.connection() as idle:
        slow.sendall((HEAD % len(IMAGE)).encode() + IMAGE[:50])
        client.wait_for("yolo_requests_in_progress", 1)
        process.send_signal(number)
        assert idle.recv(10) == b""  # closed at once
        with pytest.raises(GONE):
            client.detect(IMAGE)
        slow.sendall(IMAGE[50:])
        assert slow.recv(100).startswith(b"HTTP/1.1 200 OK")
        code, out, err = ended(process)
    assert (code, out) == (0, "")
    socket.create_server(("127.0.0.1", client.port)).close()  # it is free again at once
    assert err.splitlines() == ["stopping: 1 request is being answered first", "stopped; 1 request answered"]


def test_a_second_signal_ends_it_at_once(program: Path) -> None:
    with server(program) as (client, process), client.connection() as slow:
        slow.sendall((HEAD % len(IMAGE)).encode() + IMAGE[:50])
        client.wait_for("yolo_requests_in_progress", 1)
        process.send_signal(signal.SIGTERM)
        slow_until = time.monotonic() + 10
        while _is_open(client) and time.monotonic() < slow_until:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        code, _, err = ended(process)
    assert code == 143
    assert err.splitlines() == [
        "stopping: 1 request is being answered first",
        "yolo.serve: stopped before all requests were answered",
    ]


def _is_open(client: Client) -> bool:
    try:
        client.connection().close()
    except GONE:
        return False
    return True


def test_two_servers_at_once(program: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each on its port; a third on one that is taken says so before it loads anything."""
    with server(program) as (first, _), server(program) as (second, _):
        assert first.port != second.port
        assert first.detect(IMAGE).json["detections"] == second.detect(IMAGE).json["detections"]
        assert serve.main(["--weights", "absent.pt", "--port", str(first.port)]) == 2
        assert capfd.readouterr().err == (
            f"yolo.serve: --port {first.port}: is taken; choose another, or 0 for a free one\n"
        )
        assert first.detect(IMAGE).status == 200


@pytest.mark.parametrize(
    "argv, said",
    [
        (["--host", "no.such.host.invalid"], "--host no.such.host.invalid: is no address of this machine"),
        (["--host", "192.0.2.1"], "--host 192.0.2.1: is no address of this machine"),
        (["--host", ""], "--host: names no address"),
        (["--port", "65536"], "--port: is 65536; give between 0 and 65535"),
        (["--port", "0", "--weights", "absent.pt"], "no weights 'absent.pt' "),
    ],
)
def test_mistakes_end_in_one_line(argv: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert serve.main(argv) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.startswith(f"yolo.serve: {said}") and len(err.splitlines()) == 1


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "python_multipart" else find(name))
    assert serve.main([]) == 2
    assert capfd.readouterr().err == (
        "yolo.serve: yolo.serve: needs python-multipart, which is not installed; "
        "pip install fastapi==0.162.5 uvicorn==0.54.0 python-multipart==0.0.32\n"
    )
    assert json.dumps(serve.EXTRA) in (ROOT / "setup.py").read_text(encoding="utf-8")


def test_its_files_are_in_the_package() -> None:
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert '"serving/static/*"' in text
    assert {file.name for file in (ROOT / "yolo/serving/static").iterdir()} == {"page.html", "page.css", "page.js"}

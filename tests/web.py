"""A web server on this machine that answers as well or as badly as a test wants."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Web:
    """What is served and how; a test changes it between requests."""

    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    """For each coming answer, after how many bytes of the body the connection is closed."""
    stall: int | None = None
    """The next answer stops after so many bytes, without end."""
    failures: list[int] = field(default_factory=list)
    """Status codes that are answered first."""
    tag: str = '"one"'
    ranges: bool = True
    length: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Range header of every request."""
    address: str = ""


@contextmanager
def serve() -> Iterator[Web]:
    """A running server; ``web.address`` is its URL."""
    web = Web()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            _answer(self, web)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        web.address = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield web
        finally:
            running.shutdown()
            thread.join()


@contextmanager
def silent() -> Iterator[str]:
    """The URL of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def _answer(request: http.server.BaseHTTPRequestHandler, web: Web) -> None:
    wanted = request.headers.get("Range")
    web.asked.append((request.path, wanted))
    if request.path in web.redirects:
        request.send_response(302)
        request.send_header("Location", web.redirects[request.path])
        request.end_headers()
        return
    content = web.files.get(request.path)
    if web.failures or content is None:
        request.send_error(web.failures.pop(0) if web.failures else 404)
        return
    begin, unchanged = 0, request.headers.get("If-Range", web.tag) == web.tag
    if wanted and web.ranges and unchanged:
        begin = int(wanted.removeprefix("bytes=").rstrip("-"))
        if begin >= len(content):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(content)}")
            request.end_headers()
            return
        request.send_response(206)
        request.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
    else:
        request.send_response(200)
    if web.length:
        request.send_header("Content-Length", str(len(content) - begin))
    if web.tag:
        request.send_header("ETag", web.tag)
    request.end_headers()
    if web.stall is not None:
        end, web.stall = begin + web.stall, None
        request.wfile.write(content[begin:end])
        request.wfile.flush()
        request.rfile.read()  # until the other side is gone
        return
    end = begin + web.cuts.pop(0) if web.cuts else len(content)
    request.wfile.write(content[begin:end])

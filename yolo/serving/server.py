"""The server as a process: its socket, its signals, connections that stand still, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import socket
import time
from collections.abc import Iterator
from types import FrameType

import uvicorn

from yolo.errors import ConfigError, Interrupted
from yolo.serving.guard import App

logger = logging.getLogger("yolo")

_UVICORN = "uvicorn.error"
"""The name of its log, of whatever level."""
_BACKLOG = 2048
_TICKS = 10
"""Of uvicorn's loop in a second."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; raises ConfigError where that cannot be."""
    if not host:  # which would mean every address of this machine
        raise ConfigError("names no address", where="--host", hint="take 127.0.0.1")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)  # with its protocol: asyncio leaves out TCP_NODELAY otherwise
    except (OSError, UnicodeError) as error:
        raise ConfigError("is no address of this machine", where=f"--host {host}", hint="take 127.0.0.1") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)  # of two that are bound before either listens, the second learns it here
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise ConfigError("is no address of this machine", where=f"--host {host}", hint="take 127.0.0.1") from error
        why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
        raise ConfigError(why, where=f"--port {port}", hint="choose another, or 0 for a free one") from error
    return listening


def address_of(listening: socket.socket) -> str:
    """``http://host:port``."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(app: App, listening: socket.socket, receive_seconds: float) -> None:
    """Answer until SIGTERM or Ctrl-C; what was accepted by then is finished.

    ``receive_seconds``: longer than that nobody is waited for. Raises Interrupted when a second signal came meanwhile.
    """
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=None,
    )
    for library in (_UVICORN, "python_multipart"):
        logging.getLogger(library).setLevel(logging.ERROR)  # what strangers send is not worth a line
    server = _Server(config, receive_seconds)
    server.run(sockets=[listening])
    if server.force_exit:
        raise Interrupted("stopped before all requests were answered", signal=server.stopped_by)


class _Server(uvicorn.Server):
    """uvicorn's, but for signals, which it would raise again at its end, and for connections that stand still."""

    def __init__(self, config: uvicorn.Config, receive_seconds: float) -> None:
        super().__init__(config)
        self._patience = receive_seconds
        self._still_since: dict[object, float] = {}
        self.stopped_by = int(signal.SIGINT)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        former = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.stopped_by = sig
        if self.should_exit:
            self.force_exit = True
            logging.getLogger(_UVICORN).setLevel(logging.CRITICAL)  # requests that are dropped are no faults
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS == 0:
            self._close_what_stands_still()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        count = len(self.server_state.tasks)
        if count:
            logger.info("stopping: %d request%s being answered first", count, " is" if count == 1 else "s are")
        sweeper = asyncio.ensure_future(self._sweep())
        try:
            await super().shutdown(sockets)
        finally:
            sweeper.cancel()

    async def _sweep(self) -> None:
        while True:
            self._close_what_stands_still()
            await asyncio.sleep(1)

    def _close_what_stands_still(self) -> None:
        """Connections that send no whole head of a request, or do not read their answer, for too long."""
        now, still = time.monotonic(), {}
        for connection in list(self.server_state.connections):
            cycle = connection.cycle
            if cycle is not None and not cycle.response_started:
                continue  # the body has a time limit of its own, and then it is the detector's turn
            state = (connection, id(cycle))
            still[state] = self._still_since.get(state, now)
            if now - still[state] > self._patience:
                connection.transport.abort()
        self._still_since = still

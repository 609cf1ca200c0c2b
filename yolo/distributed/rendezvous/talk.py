"""Bytes over connections that nobody waits for longer than is said."""

from __future__ import annotations

import asyncio
import socket
import struct

GREETING_SECONDS = 5.0
"""For all that is said when two ranks connect."""
_CLOSE_AT_ONCE = struct.pack("ii", 1, 0)


async def send(peer: socket.socket, message: bytes) -> None:
    """Raises OSError."""
    await asyncio.get_running_loop().sock_sendall(peer, message)


async def receive(peer: socket.socket, size: int) -> bytes:
    """So many bytes and none behind them. Raises EOFError where the other end closes before, OSError."""
    message = b""
    while len(message) < size:
        more = await asyncio.get_running_loop().sock_recv(peer, size - len(message))
        if not more:
            raise EOFError
        message += more
    return message


def rendezvous_name(port: int) -> str:
    """Where the ranks of one machine meet: a name without a file, in the machine's network."""
    return f"\0yolo-ranks-meeting-{port}"


def hasten(peer: socket.socket) -> None:
    """Small messages go at once."""
    if peer.family != socket.AF_UNIX:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def connected_to_itself(peer: socket.socket) -> bool:
    """Whether both ends are this one, which then frees its port at once when it is closed.

    Linux may do that where nobody listens yet and the port is one that it gives away itself; whoever is to listen there
    would then find it taken.
    """
    if peer.family == socket.AF_UNIX or peer.getsockname() != peer.getpeername():
        return False
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSE_AT_ONCE)
    return True


def closed_by_peer(peer: socket.socket) -> bool:
    """Whether nobody is at the other end any more."""
    try:
        return not peer.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True

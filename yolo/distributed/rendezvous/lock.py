"""Who has a port on this machine: held for as long as a job lives, gone with its process, without a file."""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import socket
import struct

_CREDENTIALS = struct.Struct("3i")  # process, user, group


class PortTakenError(Exception):
    """Somebody else has the port; the text says who, where that can be known."""


def hold(port: int) -> socket.socket:
    """Keep other jobs' first ranks off a port, while what this gives is open. Raises PortTakenError.

    Sockets without a file have their names for themselves, as ports have, in a machine's network: whatever containers
    share the one share the other.
    """
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(_name(port))
        lock.listen()  # so that others may ask the kernel who this is
    except OSError as error:
        lock.close()
        if error.errno != errno.EADDRINUSE:
            raise
        raise PortTakenError(f"port {port} is in use: {holder(port)} has it") from error
    return lock


def holder(port: int) -> str:
    """Who has it, human-readable."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as question:
        question.setblocking(False)
        question.connect(_name(port))
        process, user = credentials(question)
        return f"another job (process {process} of {user_name(user)})"
    return "another job"


def refuse_taken(port: int) -> None:
    """Raise PortTakenError where any program listens. OneFlow would share a port, or end with many lines."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise PortTakenError(f"port {port}: {error.strerror}") from error


def credentials(peer: socket.socket) -> tuple[int, int]:
    """Process and user at the other end of a connection of this machine, as the kernel says."""
    process, user, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return process, user


def is_own_user(peer: socket.socket) -> bool:
    """Whether it is this process's user who is at the other end."""
    return credentials(peer)[1] == os.geteuid()


def user_name(user: int) -> str:
    """Human-readable."""
    with contextlib.suppress(KeyError):
        return f"user {pwd.getpwuid(user).pw_name}"
    return f"user {user}"


def _name(port: int) -> str:
    return f"\0yolo-ranks-port-{port}"

"""Memory that the processes of one user on one machine share by name, and that leaves nothing behind.

It has no file: whoever asks for a name first makes the memory and listens on an abstract Unix socket of that name,
on which others are handed its descriptor. The system takes both back when their last user ends, killed or not.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import socket
import struct
import threading
import time
import weakref

import numpy as np
from numpy.typing import NDArray

_ATTEMPTS = 50
_PAUSE = 0.02  # seconds: an owner that binds its name listens at once


class SharedMemory:
    """``size`` bytes, zeros when they are new, the same for all who ask for ``name``.

    ``content``: uint8 ``[size]``; it stays valid as long as anything refers to it. The name is free again when the
    one who made the memory drops this object or ends; who has the memory then keeps it.
    """

    def __init__(self, name: str, size: int) -> None:
        address = f"\0yolo-{os.getuid()}-{name}"
        descriptor = _obtain(self, address, size)
        try:
            if os.fstat(descriptor).st_size != size:
                raise ValueError(f"the shared memory {name} has another size than {size}")
            self.content: NDArray[np.uint8] = np.frombuffer(mmap.mmap(descriptor, size), np.uint8)
            self.identity = os.fstat(descriptor).st_ino
            """The same in all processes that share the memory."""
        finally:
            os.close(descriptor)


def _obtain(owner: SharedMemory, address: str, size: int) -> int:
    """A descriptor of the memory: that of its maker, or of memory made now, which is then handed on."""
    for _ in range(_ATTEMPTS):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(address)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise
            descriptor = _receive(address)
            if descriptor is not None:
                return descriptor
            time.sleep(_PAUSE)
            continue
        descriptor = os.memfd_create("yolo-pictures")
        os.ftruncate(descriptor, size)
        listener.listen(128)
        served = os.dup(descriptor)
        threading.Thread(target=_serve, args=(listener, served), name="shared-memory", daemon=True).start()
        weakref.finalize(owner, _stop, listener)
        return descriptor
    raise OSError(errno.ETIMEDOUT, f"the owner of the shared memory {address[1:]} does not answer")


def _receive(address: str) -> int | None:
    """The descriptor from the memory's maker, or None when that has just ended."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.settimeout(5.0)
        try:
            caller.connect(address)
            if _user(caller) != os.getuid():
                raise PermissionError(errno.EACCES, f"another user owns the name {address[1:]}")
            _, descriptors, _, _ = socket.recv_fds(caller, 1, 1)
        except (ConnectionError, TimeoutError):
            return None
        return descriptors[0] if descriptors else None


def _serve(listener: socket.socket, descriptor: int) -> None:
    """Hand ``descriptor`` to every process of this user that asks, until the socket is shut down."""
    with listener:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                break
            with caller, contextlib.suppress(OSError):
                if _user(caller) == os.getuid():
                    socket.send_fds(caller, [b"1"], [descriptor])
    os.close(descriptor)


def _stop(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)  # wakes the thread, which closes it


def _user(connection: socket.socket) -> int:
    """Who is at the other end: SO_PEERCRED gives pid, user, group."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", credentials)[1]

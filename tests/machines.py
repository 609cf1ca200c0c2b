"""Machines made of Linux namespaces: each with a network, process numbers and a /proc of its own, joined by a cable.

They share the kernel, the host's name, its cores and its files. ``python -m tests.machines DEED …`` is what happens
inside one of them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.launched import ROOT

CABLE = "cable"
NETMASK = "255.255.255.0"
_GET_FLAGS, _SET_FLAGS, _SET_ADDRESS, _SET_NETMASK, _UP = 0x8913, 0x8914, 0x8916, 0x891C, 1  # linux/sockios.h
_NEW_LINK, _REQUEST_ACK_CREATE_EXCL = 16, 0x605  # linux/rtnetlink.h, linux/netlink.h
_NAME, _LINK_INFO, _NETWORK_OF_PROCESS, _KIND, _DATA, _PEER = 3, 18, 19, 1, 2, 1  # linux/if_link.h, linux/veth.h


class Machine:
    """Lives until ``close``, and no process of it longer. Raises PermissionError where the system lets us have none."""

    def __init__(self, beside: Machine | None = None) -> None:
        own = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        user = [] if os.geteuid() == 0 or beside else ["--user", "--map-root-user"]
        inside = beside.enter(beside._user_flags) if beside else []
        self._user_flags = beside._user_flags if beside else ["--user", "--preserve-credentials"] if user else []
        try:
            self._holder = subprocess.Popen(
                [*inside, "unshare", *user, *own, "sh", "-c", "echo; read end"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except FileNotFoundError as error:
            raise PermissionError(f"there is no program {error.filename}") from None
        if not self._holder.stdout.readline():
            raise PermissionError(self._holder.communicate()[1].decode().strip())
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        self.process = int(children.read_text())

    def enter(self, flags: Sequence[str]) -> list[str]:
        """The beginning of a command that runs in these of its namespaces."""
        return ["nsenter", "--target", str(self.process), *flags, "--"]

    def start(
        self, command: Sequence[str], *, environment: Mapping[str, str] | None = None, stderr: IO | int | None = None
    ) -> subprocess.Popen:
        """A program on this machine; what it says on stdout is to be read."""
        inside = self.enter([*self._user_flags, "--net", "--pid", "--mount"])
        given = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
        return subprocess.Popen([*inside, *command], env=given, stdout=subprocess.PIPE, stderr=stderr, text=True)

    def deed(self, *words: str) -> None:
        """Do something to its network."""
        inside = self.enter([*self._user_flags, "--net"])  # among the host's processes: a cable leads to one of them
        command = [*inside, sys.executable, "-m", "tests.machines", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise PermissionError(done.stderr.strip().splitlines()[-1])

    def processes(self) -> list[int]:
        """What runs on it, besides what holds it."""
        own, found = os.readlink(f"/proc/{self.process}/ns/pid"), []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(process / "ns/pid") == own and int(process.name) != self.process:
                    found.append(int(process.name))
        return found

    def close(self) -> None:
        """Its first process ends, and so the kernel ends all others."""
        self._holder.communicate()


@contextlib.contextmanager
def two_machines(addresses: tuple[str, str]) -> Iterator[tuple[Machine, Machine]]:
    """Joined by a cable, with these addresses, for as long as the block; raises PermissionError."""
    with contextlib.ExitStack() as ends:
        first = Machine()
        ends.callback(first.close)
        second = Machine(beside=first)
        ends.callback(second.close)
        first.deed("join", str(second.process))
        for machine, address in zip((first, second), addresses):
            machine.deed("up", address)
        yield first, second


def join(process: int) -> None:
    """Make a cable from this network to that of a process: a veth pair."""
    ends = _attribute(_NAME, CABLE.encode() + b"\0")
    far = _interface() + ends + _attribute(_NETWORK_OF_PROCESS, struct.pack("=I", process))
    kind = _attribute(_KIND, b"veth") + _attribute(_DATA, _attribute(_PEER, far))
    body = _interface() + ends + _attribute(_LINK_INFO, kind)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as link:
        link.send(struct.pack("=IHHII", 16 + len(body), _NEW_LINK, _REQUEST_ACK_CREATE_EXCL, 1, 0) + body)
        code = -struct.unpack_from("=i", link.recv(4096), 16)[0]
    if code:
        raise OSError(code, os.strerror(code))


def _interface() -> bytes:
    """struct ifinfomsg: any kind, any number."""
    return bytes(16)


def _attribute(kind: int, content: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(content), kind) + content + bytes(-len(content) % 4)


def up(address: str) -> None:
    """Give this network's end of the cable an address; it and the loopback work from now on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for request, number in ((_SET_ADDRESS, address), (_SET_NETMASK, NETMASK)):
            name = struct.pack("16sHH4s16x", CABLE.encode(), socket.AF_INET, 0, socket.inet_aton(number))
            fcntl.ioctl(any_socket, request, name)
    for name in ("lo", CABLE):
        _switch(name, on=True)


def down() -> None:
    """Pull the cable at this end."""
    _switch(CABLE, on=False)


def _switch(name: str, *, on: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        found = fcntl.ioctl(any_socket, _GET_FLAGS, struct.pack("16sh22x", name.encode(), 0))
        flags = struct.unpack_from("16sh", found)[1]
        flags = flags | _UP if on else flags & ~_UP
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh22x", name.encode(), flags))


def main(deed: str, *words: str) -> None:
    {"join": lambda process: join(int(process)), "up": up, "down": down}[deed](*words)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A rank that looks for the first one does not take its port from it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.launched import ROOT

REFUSED = 77
# A network of its own, where Linux has one port to give away: every connection comes from there.
SCRIPT = f"""
import ctypes, fcntl, os, socket, struct, sys, threading, time
from tests.distributed.rendezvous.meetings import job
from yolo.distributed.rendezvous.meet import meet

NEW_USER, NEW_NET, SET_FLAGS, UP = 0x10000000, 0x40000000, 0x8914, 1
libc = ctypes.CDLL(None)
if libc.unshare(NEW_NET) and libc.unshare(NEW_USER | NEW_NET):
    sys.exit({REFUSED})
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh22x", b"lo", UP))
port = 23455
try:
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as ports:
        ports.write(f"{{port + 1}} {{port + 1}}")
except OSError:
    sys.exit({REFUSED})

def look():
    try:
        meet(job(1, 2, port, local=False), 2.0)
    except RuntimeError as error:
        print(error)

looking = threading.Thread(target=look)
looking.start()
time.sleep(0.5)
try:
    meet(job(0, 2, port, local=False), 0.2)
except RuntimeError as error:
    print(error)
looking.join()
"""


def test_looking_leaves_the_port_free() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=60)
    if done.returncode == REFUSED:
        pytest.skip("this system lets nobody make a network of their own")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "of 2 ranks these did not connect within 0 s: 1"  # it was listening
    assert second == "rank 1 cannot reach rank 0 at 127.0.0.1:23456 within 2 s"

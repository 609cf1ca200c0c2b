"""Empty libraries in place of CUDA's, on a machine without its driver, where none of them can be called.

OneFlow's library asks for them when it is loaded. The real ones take 120 MB of memory, a third of the whole import's.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

NAMES: Final = (
    "libcublas.so.11",
    "libcublasLt.so.11",
    "libcudnn_cnn_infer.so.8",
    "libcudnn_cnn_train.so.8",
    "libcudnn_ops_infer.so.8",
    "libcudnn_ops_train.so.8",
)
"""What OneFlow's wheel needs from other wheels."""
_OWN: Final = re.compile(r"lib(nccl|curand|cufft|cutlass|cupti|nvjpeg|nppc|nppig)-[^/]*\.so[.\d]*")
"""What lies in the wheel itself."""
_ROOM: Final = b"_" * 64
"""In place of the name of the library that stands in (CMakeLists.txt)."""


def driver_is_absent() -> bool:
    """Whether nothing on this machine can call CUDA, and functions are looked for when they are called."""
    if os.environ.get("LD_BIND_NOW"):
        return False
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return True
    return False


def stand_in(library: Path, wheel: Path) -> bool:
    """Load ``library`` once for each that OneFlow will ask for; ``wheel``: the folder of those that it brings along.

    False where a driver is there, or where no library can be loaded from memory: then nothing is loaded.
    """
    if not driver_is_absent():
        return False
    image, opened = library.read_bytes(), []
    own = [path.name for path in wheel.glob("*") if _OWN.fullmatch(path.name)]
    try:
        for name in (*NAMES, *own):
            opened.append(os.memfd_create(name))  # each has a number, and so a path, of its own until all are loaded
            with open(opened[-1], "wb", closefd=False) as stream:
                stream.write(image.replace(_ROOM, name.encode().ljust(len(_ROOM), b"\0")))
            ctypes.CDLL(f"/proc/self/fd/{opened[-1]}", mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    finally:
        for number in opened:
            os.close(number)
    return True


@contextlib.contextmanager
def bound_when_called() -> Iterator[None]:
    """Modules imported in the block do not ask at once for all functions that they may call."""
    flags = sys.getdlopenflags()
    sys.setdlopenflags(os.RTLD_LAZY)
    try:
        yield
    finally:
        sys.setdlopenflags(flags)

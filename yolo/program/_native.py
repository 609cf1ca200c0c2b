"""The compiled module ``yolo._program``, or one clear line about how to get it."""

from __future__ import annotations

import os

from yolo.errors import RuntimeSetupError

# Read by OpenMP's library when it is loaded, which is now. Between two loops its threads wait busily, by default for
# milliseconds, on cores that OneFlow's threads need at that moment. This is a few tenths of one.
os.environ.setdefault("GOMP_SPINCOUNT", "100000")

try:
    from yolo import _program
except ImportError as error:
    raise RuntimeSetupError(
        f"the compiled programs cannot be loaded ({error})", where="yolo._program", mend="run: make build"
    ) from error

native = _program

__all__ = ["native"]

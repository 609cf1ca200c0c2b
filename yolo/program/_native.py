"""The compiled module ``yolo._program``, or one clear line about how to get it."""

from __future__ import annotations

from yolo.errors import RuntimeSetupError

try:
    from yolo import _program
except ImportError as error:
    raise RuntimeSetupError(
        f"the compiled programs cannot be loaded ({error})", where="yolo._program", hint="run: make build"
    ) from error

native = _program

__all__ = ["native"]

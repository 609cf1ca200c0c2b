"""The compiled module ``yolo._C``, or one clear line about how to get it."""

from __future__ import annotations

from yolo.errors import RuntimeSetupError

try:
    from yolo import _C
except ImportError as error:
    raise RuntimeSetupError(
        f"the compiled operators cannot be loaded ({error})", where="yolo._C", hint="run: make build"
    ) from error

native = _C

__all__ = ["native"]

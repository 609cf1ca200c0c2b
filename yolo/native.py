"""The compiled module ``yolo._native``, loaded when one of its names is first used: ``from yolo import native``."""

from __future__ import annotations

import functools
import importlib
from types import ModuleType
from typing import Any

from yolo.errors import RuntimeSetupError
from yolo.stops import held


@functools.cache
def _loaded() -> ModuleType:
    name = "yolo._native"
    try:
        with held():  # an interrupt in the middle would come out as an ImportError
            return importlib.import_module(name)
    except ImportError as error:
        what = f"the compiled operators cannot be loaded ({error})"
        raise RuntimeSetupError(what, where=name, hint="run: make build") from error


def __getattr__(name: str) -> Any:
    """The compiled module's; raises RuntimeSetupError, saying what to type, where it cannot be loaded."""
    if name.startswith("__"):  # what Python itself asks of a module
        raise AttributeError(name)
    return getattr(_loaded(), name)

"""Which renderers make the pixels: ``--loader``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yolo.errors import ConfigError

if TYPE_CHECKING:
    from yolo.data.renderers.base import RendererType


def renderers(name: str) -> tuple[RendererType, ...]:
    """Those of the loader ``name`` (native, opencv or dali), in the order in which they are asked for a sample.

    Loads what they need, and nothing of the others. Raises ConfigError where a library is missing.
    """
    # OpenCV makes every sample: it is the last resort of the others.
    if name == "opencv":
        from yolo.data.renderers.opencv import OpenCVRenderer

        return (OpenCVRenderer,)
    if name == "native":
        from yolo.data.renderers.native import NativeRenderer

        return (NativeRenderer, *renderers("opencv"))
    if name == "dali":
        from yolo.data.renderers.dali import DaliRenderer, library

        library()
        return (DaliRenderer, *renderers("native"))
    raise ConfigError("there is no such loader", where=f"--loader {name}", hint="take native, opencv or dali")

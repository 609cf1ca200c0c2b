"""YOLOv5 on OneFlow static graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yolo.inference.detector import Detector

__version__ = "0.1.0"
__all__ = ["Detector", "__version__"]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    """``yolo.Detector`` on first use: importing the package alone brings up neither OpenCV nor OneFlow."""
    if name == "Detector":
        from yolo.inference.detector import Detector

        return Detector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

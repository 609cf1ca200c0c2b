"""Fonts for class names in any script: matplotlib's DejaVu Sans, then what the system has for Chinese and others.

Matplotlib's figures and Pillow's text take the same fonts. A letter that no font has becomes ``?``.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import matplotlib
from matplotlib.font_manager import fontManager
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

_FAMILIES = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Arial Unicode MS",
    "Noto Sans CJK JP",
)


@lru_cache(maxsize=1)
def fonts() -> tuple[tuple[str, str], ...]:
    """Family name and file of each font, in the order of choice."""
    bundled = str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
    installed = {entry.name: entry.fname for entry in fontManager.ttflist}
    return (("DejaVu Sans", bundled), *((name, installed[name]) for name in _FAMILIES if name in installed))


def readable(text: str) -> str:
    """``text`` with ``?`` for each letter that no font can draw."""
    if text.isascii():
        return text
    return "".join(c if any(ord(c) in _letters(file) for _, file in fonts()) else "?" for c in text)


def shorten(text: str, length: int) -> str:
    """``text`` in at most ``length`` letters, the rest an ellipsis."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


@lru_cache(maxsize=64)
def pillow_font(file: str, size: int) -> ImageFont.FreeTypeFont:
    """The font of ``file``, ``size`` pixels high."""
    return ImageFont.truetype(file, size)


def font_file(text: str) -> str:
    """The first font that has every letter of ``text``, or else DejaVu Sans."""
    for _, file in fonts():
        if all(ord(c) in _letters(file) for c in text):
            return file
    return fonts()[0][1]


@lru_cache(maxsize=16)
def _letters(file: str) -> frozenset[int]:
    return frozenset(FT2Font(file).get_charmap())

r"""Fonts for class names in any script: matplotlib's DejaVu Sans, then whatever the system has that knows the letters.

Matplotlib's figures and Pillow's text take the same fonts. In a file name, a letter that no font has becomes its code
point, as ``\u884c``.
"""

from __future__ import annotations

import logging
import threading
import unicodedata
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.font_manager import findSystemFonts, fontManager
from matplotlib.ft2font import FT2Font
from numpy.typing import NDArray
from PIL import ImageFont

logger = logging.getLogger("yolo")

# Of the fonts with Chinese letters those that look well beside others come first.
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
# They claim every letter and draw boxes, or draw colours, which a mask has none of.
_USELESS = ("lastresort", "color")
_SAYING = threading.Lock()


@lru_cache(maxsize=1)
def fonts() -> tuple[tuple[str, str], ...]:
    """Family name and file of each font that is tried first, in the order of choice."""
    bundled = str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
    # Matplotlib remembers what was installed when it first looked.
    installed = {entry.name: entry.fname for entry in fontManager.ttflist if Path(entry.fname).is_file()}
    return (("DejaVu Sans", bundled), *((name, installed[name]) for name in _FAMILIES if name in installed))


def usual_file() -> str:
    """The file of the font that draws what needs no other."""
    return fonts()[0][1]


@lru_cache(maxsize=4096)
def font_of(letter: str) -> str | None:
    """The file of the first font that has ``letter``, of all that are installed; None without one."""
    preferred = next((file for _, file in fonts() if _has(file, letter)), None)
    return preferred or next((file for file, letters in _others() if _holds(letters, letter)), None)


def drawable(text: str) -> bool:
    """Whether installed fonts have all letters of ``text``."""
    return text.isascii() or all(font_of(letter) for letter in _visible(text))


def runs(text: str) -> list[tuple[str, str]]:
    """``text`` in parts, each with a font's file: one part where one font has all letters."""
    if text.isascii():
        return [(usual_file(), text)]
    needed = [font_of(letter) or usual_file() for letter in text]
    for file in dict.fromkeys((*(file for _, file in fonts()), *needed)):
        if all(_has(file, letter) for letter in _visible(text)):
            return [(file, text)]
    parts: list[tuple[str, str]] = []
    for letter, file in zip(text, needed):
        if parts and (not _visible(letter) or _has(parts[-1][0], letter)):
            parts[-1] = (parts[-1][0], parts[-1][1] + letter)
        else:
            parts.append((file, letter))
    return parts


def families(text: str) -> list[str]:
    """The names by which matplotlib finds the fonts of ``text``."""
    return [_registered(file) for file in dict.fromkeys((usual_file(), *(file for file, _ in runs(text))))]


def family_name(file: str) -> str:
    """What the font of ``file`` is called."""
    return FT2Font(file).family_name


def readable(text: str) -> str:
    r"""``text`` with the code point of each letter that no font can draw, as ``\u884c``; the first time, it is said."""
    if drawable(text):
        return text
    with _SAYING:
        _say_unreadable()
    return "".join(c if drawable(c) else c.encode("ascii", "backslashreplace").decode() for c in text)


def shorten(text: str, length: int) -> str:
    """``text`` in at most ``length`` letters, the rest an ellipsis."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


@lru_cache(maxsize=64)
def pillow_font(file: str, size: int) -> ImageFont.FreeTypeFont:
    """The font of ``file``, ``size`` pixels high."""
    return ImageFont.truetype(file, size)


def _visible(text: str) -> str:
    """Without marks that only change how their neighbours look: joiners, directions, variations."""
    return "".join(c for c in text if unicodedata.category(c) != "Cf" and not 0xFE00 <= ord(c) <= 0xFE0F)


def _has(file: str, letter: str) -> bool:
    return _holds(_letters(file), letter)


def _holds(letters: NDArray[np.uint32], letter: str) -> bool:
    place = int(np.searchsorted(letters, ord(letter)))
    return place < len(letters) and int(letters[place]) == ord(letter)


@lru_cache(maxsize=32)
def _letters(file: str) -> NDArray[np.uint32]:
    """The code points that a font has, ascending."""
    return np.array(sorted(FT2Font(file).get_charmap()), np.uint32)


@lru_cache(maxsize=1)
def _others() -> tuple[tuple[str, NDArray[np.uint32]], ...]:
    """All other installed fonts with their letters, upright and regular ones first."""
    found = []
    for file in sorted(set(findSystemFonts()) - {file for _, file in fonts()}):
        try:
            font = FT2Font(file)
            name = font.family_name.lower().replace(" ", "")
            if font.scalable and not any(word in name for word in _USELESS):
                found.append((font.style_flags != 0, font.style_name not in ("Regular", "Book"), file, _letters(file)))
        except (OSError, RuntimeError):  # no font after all, or a damaged one
            continue
    return tuple((file, letters) for _, _, file, letters in sorted(found, key=lambda one: one[:3]))


@lru_cache(maxsize=64)
def _registered(file: str) -> str:
    """The family of ``file``, made known to matplotlib where it is not."""
    name = family_name(file)
    if all(entry.name != name for entry in fontManager.ttflist):
        fontManager.addfont(file)
    return name


@lru_cache(maxsize=1)
def _say_unreadable() -> None:
    logger.warning("no installed font has some letters of file names: the images show their code points")

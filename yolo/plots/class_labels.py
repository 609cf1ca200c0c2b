"""What is written for a class: its name, or its number where no installed font can draw the name."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from functools import lru_cache

from yolo.plots.fonts import drawable, family_name, runs, usual_file

logger = logging.getLogger("yolo")

_MOST_NAMED = 3
_SAYING = threading.Lock()  # several threads draw


def class_label(names: Sequence[str], category: int) -> str:
    """The class's name; its number where the names do not reach, or no font has the letters."""
    return names[category] if category < len(names) and drawable(names[category]) else str(category)


def say_fonts(names: Sequence[str]) -> None:
    """Say once which font draws ``names``, where it is not the usual one, and whose numbers are drawn instead."""
    if all(map(str.isascii, names)):
        return
    with _SAYING:
        _say(tuple(names))


@lru_cache(maxsize=64)
def _say(names: tuple[str, ...]) -> None:
    numbers = [number for number, name in enumerate(names) if not drawable(name)]
    files = {file for name in names if drawable(name) for file, _ in runs(name)} - {usual_file()}
    if files:
        logger.info("class names are drawn with %s", ", ".join(sorted(map(family_name, files))))
    if numbers:
        named = ", ".join(f"{number} for {names[number]!r}" for number in numbers[:_MOST_NAMED])
        more = f" and {len(numbers) - _MOST_NAMED} more" if len(numbers) > _MOST_NAMED else ""
        logger.warning(
            "no installed font has the letters of some class names: their numbers are drawn (%s%s); "
            "install a font of that script, such as Noto Sans CJK for Chinese",
            named,
            more,
        )

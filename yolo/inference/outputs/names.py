"""File names for results: no two alike, none that a file system refuses."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

# Names may have 255 bytes nearly everywhere; the rest is for numbers, endings and temporary names.
_LONGEST = 200
# Letters that mean something in paths or that some file systems refuse.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')


class UniqueNames:
    """Hands out each name once: the wanted one, or with a number behind the stem."""

    def __init__(self, separator: str = "_") -> None:
        self._separator, self._taken = separator, set[str]()
        self._next: dict[str, int] = {}

    def take(self, stem: str, suffix: str = "") -> str:
        """STEM + SUFFIX, or STEM_2 + SUFFIX, STEM_3 + SUFFIX, … when that was given to another."""
        stem = shortened(stem)
        name = wanted = stem + suffix
        number = self._next.get(wanted, 1)
        while name in self._taken:
            number += 1
            name = f"{stem}{self._separator}{number}{suffix}"
        self._next[wanted] = number
        self._taken.add(name)
        return name


def shortened(stem: str) -> str:
    """``stem``, cut to what fits into a file name."""
    encoded = os.fsencode(stem)
    return stem if len(encoded) <= _LONGEST else encoded[:_LONGEST].decode("utf-8", "ignore")


def class_folders(names: Sequence[str]) -> tuple[str, ...]:
    """A folder name for each class: its name without what no file name may have, its number where nothing is left."""
    unique, folders = UniqueNames(), []
    for number, name in enumerate(names):
        clean = _FORBIDDEN.sub("_", name).strip(". ")
        folders.append(unique.take(shortened(clean) or str(number)))
    return tuple(folders)

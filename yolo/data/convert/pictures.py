"""Finding the picture that an annotation names."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from yolo.data.images import SUFFIXES


class PictureFinder:
    """All picture files below a folder, found by path, by name, or by name without its ending."""

    def __init__(self, root: Path) -> None:
        self._by_name: dict[str, list[Path]] = {}
        for folder, _, files in os.walk(root):
            for name in files:
                stem, suffix = os.path.splitext(name)
                if suffix.lower() in SUFFIXES and not name.startswith("."):
                    for key in (name, stem):
                        self._by_name.setdefault(key, []).append(Path(folder, name))

    def find(self, named: str, folders: Iterable[Path] = ()) -> Path | None:
        """The picture that ``named`` (a path or name, with or without its ending) means: in one of ``folders``, else
        anywhere, the longest common end of the paths deciding; None when there is none."""
        wanted = PurePosixPath(named.replace("\\", "/"))
        found = self._by_name.get(wanted.name, [])
        if len(found) > 1:
            near = [path for path in found if path.parent in tuple(folders)]
            found = near or sorted(found, key=lambda path: -_common_end(path.parts, wanted.parts))
        return found[0] if found else None


def _common_end(one: tuple[str, ...], two: tuple[str, ...]) -> int:
    pairs = zip(reversed(one), reversed(two))
    return next((length for length, (a, b) in enumerate(pairs) if a != b), min(len(one), len(two)))

"""Finding the picture that an annotation names."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from yolo.data.convert.records import splits_in
from yolo.data.images import SUFFIXES


class PictureFinder:
    """All picture files below a folder, found by path, by name, or by name without its ending."""

    def __init__(self, root: Path) -> None:
        self._by_name: dict[str, list[Path]] = {}
        self._splits: dict[Path, set[str]] = {}
        for folder, folders, files in os.walk(root):
            folders[:] = [name for name in folders if not name.startswith(".")]
            self._splits[Path(folder)] = set().union(*map(splits_in, Path(folder).relative_to(root).parts))
            for name in files:
                stem, suffix = os.path.splitext(name)
                if suffix.lower() in SUFFIXES and not name.startswith("."):
                    for key in (name, stem):
                        self._by_name.setdefault(key, []).append(Path(folder, name))

    def find(self, named: str, folders: Iterable[Path] = (), split: str = "") -> Path | None:
        """The picture that ``named`` (a path or name, with or without its ending) means.

        Of several the longest common end of the paths decides, then whether it is in one of ``folders``. What lies in
        folders of other splits than those that ``split`` names is another picture. None when there is none.
        """
        wanted, near = PurePosixPath(named.replace("\\", "/")), tuple(folders)
        found = self._by_name.get(wanted.name, [])
        if own := splits_in(split):
            found = [path for path in found if not (others := self._splits[path.parent]) or others & own]
        return min(
            found, key=lambda path: (-_common_end(path.parts, wanted.parts), path.parent not in near), default=None
        )


def _common_end(one: tuple[str, ...], two: tuple[str, ...]) -> int:
    pairs = zip(reversed(one), reversed(two))
    return next((length for length, (a, b) in enumerate(pairs) if a != b), min(len(one), len(two)))

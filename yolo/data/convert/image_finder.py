"""Finding the image that an annotation names."""

from __future__ import annotations

import filecmp
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from yolo.data.convert.records import Tally, count, splits_in
from yolo.data.convert.walk import image_files

ABSENT = "pictures are not there"
SEVERAL = "pictures whose name several files have, none nearer to the annotation"
OTHERS = "pictures of which only another annotation's file is there"


@dataclass(frozen=True)
class Wanted:
    """What an annotation says about its image.

    ``names`` are tried in turn: a path or a name, with or without its ending. ``hints`` are further paths, none of
    which need exist. ``file`` is the annotation file, ``folders`` are where its format keeps images, ``split`` is a
    name that may hold a split's: what lies in folders of other splits is another image.
    """

    names: tuple[str, ...]
    file: Path
    hints: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    split: str = ""

    def paths(self) -> list[tuple[str, ...]]:
        """The parts of all names and hints."""
        return [parts_of(name) for name in (*self.names, *self.hints)]


@dataclass(frozen=True)
class _Fit:
    """How well an image fits an annotation."""

    beside: bool
    """In the annotation file's folder under its name."""
    end: int
    """So many last parts of the paths agree."""
    elsewhere: bool
    """The annotation names a folder that the image is not in."""
    usual: bool
    """In a folder where the format keeps images."""
    shared: int
    """So many first parts of the paths agree."""
    apart: bool
    """The annotation file's folder is not above the image."""
    steps: int
    """From folder to folder."""

    def rank(self) -> tuple:
        """The less, the better."""
        return (not self.beside, -self.end, not self.usual, self.steps)

    def gives_way_to(self, other: _Fit) -> bool:
        """Whether the image is the other annotation's: this one has no more than its name."""
        if self.beside:
            return False
        if self.elsewhere and other.end > self.end:
            return True
        return self.apart and (other.beside or other.usual > self.usual or other.shared > self.shared)


def parts_of(name: str) -> tuple[str, ...]:
    """Folders and name of a path that may be from Windows."""
    return PurePosixPath(name.replace("\\", "/")).parts


def plain_name(path: Path) -> str:
    """The file's name; archives from Windows may leave whole paths in it."""
    return (parts_of(path.name) or (path.name,))[-1]


class ImageFinder:
    """All image files below a folder, found by path, by name, or by name without its ending."""

    def __init__(self, root: Path) -> None:
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._splits: dict[Path, set[str]] = {}
        for path in image_files(root):
            if path.parent not in self._splits:
                self._splits[path.parent] = set().union(*map(splits_in, path.parent.relative_to(root).parts))
            name = plain_name(path)
            for key in {name, os.path.splitext(name)[0]}:
                self._by_name[key].append(path)

    def find_all(self, wanted: Sequence[Wanted], skipped: Tally) -> list[Path | None]:
        """The image of each annotation; None where there is none, which is counted in ``skipped``.

        Of several files of one name the one that an annotation names with its folder is meant, then the one where the
        format keeps images, then the nearest to the annotation file. Files of equal content are one.
        """
        found = [self._best(some) for some in wanted]
        claims: dict[Path, list[Wanted]] = defaultdict(list)
        for some, files in zip(wanted, found):
            if len(files) == 1:
                claims[files[0]].append(some)
        fits = {path: {_fit(some, path) for some in claim} for path, claim in claims.items() if len(claim) > 1}
        result: list[Path | None] = []
        for some, files in zip(wanted, found):
            reason = ABSENT if not files else SEVERAL if len(files) > 1 else ""
            if not reason and files[0] in fits and any(map(_fit(some, files[0]).gives_way_to, fits[files[0]])):
                reason = OTHERS
            count(skipped, reason, int(bool(reason)), some.names[-1])
            result.append(None if reason else files[0])
        return result

    def has(self, name: str) -> bool:
        """Whether any image is called so, wherever it is."""
        return bool(self._by_name.get((parts_of(name) or ("",))[-1]))

    def _best(self, wanted: Wanted) -> list[Path]:
        """The images that fit best: one, several of different content, or none."""
        found: list[Path] = []
        own = splits_in(wanted.split)
        for name in wanted.names:
            found = self._by_name.get((parts_of(name) or ("",))[-1], [])
            if own:
                found = [path for path in found if not (others := self._splits[path.parent]) or others & own]
            if found:
                break
        if len(found) < 2:
            return list(found)
        ranks = [_fit(wanted, path).rank() for path in found]
        best = [path for path, rank in zip(found, ranks) if rank == min(ranks)]
        return best[:1] if all(filecmp.cmp(best[0], path, shallow=False) for path in best[1:]) else best


def _fit(wanted: Wanted, path: Path) -> _Fit:
    folder, own = wanted.file.parent, path.parent
    parts = (*own.parts, *parts_of(path.name))
    ends = [(common_end(parts, said), len(said)) for said in wanted.paths()]
    end, length = max(ends, key=lambda some: some[0])
    shared = _common(folder.parts, own.parts)
    return _Fit(
        beside=own == folder and os.path.splitext(wanted.names[0])[0] == path.stem == wanted.file.stem,
        end=end,
        elsewhere=length > end,
        usual=own in wanted.folders,
        shared=shared,
        apart=shared < len(folder.parts),
        steps=len(folder.parts) + len(own.parts) - 2 * shared,
    )


def common_end(path: tuple[str, ...], said: tuple[str, ...]) -> int:
    """How many last parts of a file's path and of what is ``said`` agree, whether or not that has its ending."""
    if not path or not said or said[-1] not in (path[-1], os.path.splitext(path[-1])[0]):
        return 0
    return 1 + _common(path[-2::-1], said[-2::-1])


def _common(one: tuple[str, ...], two: tuple[str, ...]) -> int:
    """How many first parts are the same."""
    return next((length for length, (a, b) in enumerate(zip(one, two)) if a != b), min(len(one), len(two)))

"""The files below a folder, those behind links too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from yolo.data.convert.records import Tally, count
from yolo.data.images import SUFFIXES


def walk(root: Path, skipped: Tally) -> Iterator[tuple[str, list[str], list[str]]]:
    """``os.walk`` below ``root``, sorted, each folder once; who takes names out of the folders has them passed over.

    Links to folders are followed, since many keep their images on another disk. Those into ``root`` are not, unless it
    is to something hidden: what they lead to comes anyway. Nor are those to a folder that ``root`` lies in, as ``/``,
    which are counted in ``skipped``; so are folders that cannot be read.
    """
    real_root = os.path.realpath(root)
    seen: set[str] = set()

    def unreadable(error: OSError) -> None:
        count(skipped, "folders that cannot be read", 1, error.filename)

    for place, folders, files in os.walk(root, followlinks=True, onerror=unreadable):
        real = os.path.realpath(place)
        folders[:] = sorted(folders) if real not in seen else []
        if real in seen:
            continue
        seen.add(real)
        for path in [os.path.join(place, name) for name in folders if os.path.islink(os.path.join(place, name))]:
            target = os.path.realpath(path)
            above = is_within(real_root, target)
            count(skipped, "links to folders that the source lies in", int(above), os.path.relpath(path, root))
            inside = is_within(target, real_root) and f"{os.sep}." not in target[len(real_root) :]
            if above or inside:
                folders.remove(os.path.basename(path))
        yield place, folders, sorted(files)


def is_within(path: str, folder: str) -> bool:
    """Whether an absolute path without links is that of ``folder`` or of something below it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def files_below(source: Path, pattern: str, skipped: Tally) -> list[Path]:
    """The files below ``source`` that match, sorted. Hidden ones, as systems and editors leave them, are counted.

    So is what has such a name and is no file: reading a pipe never ends.
    """
    found = []
    for place, _, names in walk(source, Tally()):
        for path in (Path(place, name) for name in names if fnmatchcase(name, pattern)):
            if not _hidden(path.relative_to(source), skipped):
                if path.is_file():
                    found.append(path)
                else:
                    count(skipped, "names of annotation files that are no files", 1, path.relative_to(source))
    return sorted(found)


def folders_below(source: Path, name: str, skipped: Tally) -> list[Path]:
    """The folders below ``source`` of that name, sorted; hidden ones are counted."""
    every = [Path(place, name) for place, folders, _ in walk(source, Tally()) if name in folders]
    return sorted(path for path in every if not _hidden(path.relative_to(source), skipped))


def _hidden(inside: Path, skipped: Tally) -> bool:
    hidden = any(part.startswith(".") for part in inside.parts)
    count(skipped, "hidden files", int(hidden), inside)
    return hidden


def image_files(root: Path, skipped: Tally | None = None) -> Iterator[Path]:
    """Every image file below ``root`` that is not hidden, by its name, sorted within its folder.

    What has such a name and is no file is counted in ``skipped``, with what ``walk`` counts: a link that leads nowhere,
    a pipe, a device.
    """
    skipped = Tally() if skipped is None else skipped
    for place, folders, names in walk(root, skipped):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith("."):
                path = Path(place, name)
                if path.is_file():
                    yield path
                else:
                    count(skipped, "names of images that are no files", 1, path.relative_to(root))

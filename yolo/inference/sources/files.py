"""Which files a source means: a file, a folder, a glob pattern, a list of them."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable
from pathlib import Path

from yolo.data.images import SUFFIXES as IMAGES
from yolo.data.patterns import is_pattern, is_there, matching_files
from yolo.errors import DataError
from yolo.inference.sources.video import SUFFIXES as VIDEOS

LIST = ".txt"
"""The ending of a list of files, folders and patterns, one a line."""


def find_files(source: str | Path) -> tuple[Path, ...]:
    """The image files, then the video files that ``source`` means; raises DataError when there is none."""
    text = os.fspath(source)
    if os.path.isfile(text) and suffix_of(text) == LIST:
        return _listed(text)
    if os.path.isdir(text):
        return _usable(_children(text), text, "no image and no video in the folder")
    if os.path.isfile(text):
        return _usable([text], text, "neither an image nor a video")
    if os.path.exists(text):
        raise DataError("is not a regular file", where=text)
    if is_pattern(text):
        return _usable(list(matching_files(text)), text, "no image and no video matches")
    raise DataError("does not exist", where=text, hint="give an image, a video, a folder or a glob")


def files_of(found: Iterable[Iterable[Path]]) -> tuple[Path, ...]:
    """All of them once, in their order, videos behind images."""
    files = dict.fromkeys(itertools.chain.from_iterable(found))
    return tuple(sorted(files, key=lambda file: suffix_of(file) in VIDEOS))


def read_lines(path: str | Path) -> list[tuple[int, str]]:
    """The lines of a list that say something, with their numbers; raises DataError for one that is no text."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the list cannot be read ({error})", where=path) from error
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]


def suffix_of(path: str | Path) -> str:
    """The ending of a file name, in lower case."""
    return os.path.splitext(path)[1].lower()


def _listed(path: str) -> tuple[Path, ...]:
    """What a list names, in its order; relative to the working folder, or else to the list's."""
    found = []
    for number, line in read_lines(path):
        beside = os.path.join(os.path.dirname(path), line)
        where = f"{path}:{number}"
        if suffix_of(line) == LIST:
            raise DataError(f"{line} is a list itself", where=where, hint="name images, videos, folders and globs")
        try:
            found.append(find_files(line if is_there(line) else beside))
        except DataError as error:
            raise DataError(f"{line}: {error.what}", where=where, hint="mend that line") from error
    if not found:
        raise DataError("the list is empty", where=path, hint="name an image, video, folder or glob a line")
    return files_of(found)


def _children(folder: str) -> list[str]:
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise DataError(f"the folder cannot be read ({error.strerror})", where=folder) from error
    # Files such as ._x.jpg are what some systems leave beside x.jpg.
    paths = (os.path.join(folder, name) for name in names if not name.startswith("."))
    return [path for path in paths if os.path.isfile(path)]


def _by_number(path: str) -> tuple[str, str]:
    """For an order in which frame_9.jpg is before frame_10.jpg; names that differ in leading zeros alone as text."""
    return re.sub("[0-9]+", lambda number: number[0].zfill(20), path), path


def _usable(paths: Iterable[str], source: str, otherwise: str) -> tuple[Path, ...]:
    """Images first, then videos, each kind sorted."""
    kinds = [sorted({path for path in paths if suffix_of(path) in kind}, key=_by_number) for kind in (IMAGES, VIDEOS)]
    if not any(kinds):
        known = " ".join(sorted(IMAGES | VIDEOS))
        raise DataError(otherwise, where=source, hint=f"it takes {known}")
    return tuple(Path(path) for kind in kinds for path in kind)

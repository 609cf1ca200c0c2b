"""Glob patterns for files, in folders whose names may hold a pattern's characters."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path


def is_pattern(path: str | Path) -> bool:
    """Whether ``path`` is a glob pattern rather than the name of something: below the folders that exist."""
    rest = _split(path)[1]
    return glob.has_magic(rest) and "\0" not in rest


def is_there(path: str | Path) -> bool:
    """Whether ``path`` exists, or is a pattern that matches a file."""
    return os.path.exists(path) or next(matching_files(path), None) is not None


def matching_files(pattern: str | Path) -> Iterator[str]:
    """The files that ``pattern`` matches (``**`` is any folders), in no order.

    What it begins with and exists is the name of a folder, not a pattern: ``set [v1]/*.jpg``.
    """
    folder, rest = _split(pattern)
    if rest and "\0" not in rest:
        found = (os.path.join(folder, name) for name in glob.iglob(rest, root_dir=folder or None, recursive=True))
        yield from filter(os.path.isfile, found)


def _split(path: str | Path) -> tuple[str, str]:
    """The longest beginning of ``path`` that is an existing folder, and the rest; '' for what exists as it is."""
    text = os.fspath(path).rstrip(os.sep) or os.sep
    if os.path.lexists(text):
        return text, ""
    folder, rest = os.path.split(text)
    while folder and rest and not os.path.isdir(folder):
        folder, last = os.path.split(folder)
        rest = os.path.join(last, rest)
    return folder, rest

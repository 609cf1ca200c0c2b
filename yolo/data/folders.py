"""Folders of data that are there complete or not at all."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from yolo.errors import DataError


@contextmanager
def new_folder(root: Path, source: Path, option: str = "") -> Iterator[Path]:
    """Give an empty folder to fill, which becomes ``root`` at the end when nothing was raised.

    ``source`` is the data set file, for messages; ``option`` the one that names ``root``, '' where the file does.
    Raises DataError when ``root`` already holds something or cannot be written. When another process made ``root`` in
    the meantime, that one stays.
    """
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        if option:
            raise DataError("is not empty" if root.is_dir() else "is a file", where=f"{option} {root}",
                            hint="name a new folder")  # fmt: skip
        raise DataError(
            f"{root} is there but lacks parts of the data set",
            where=source,
            hint="mend the paths in the file, or let its 'path' name a new folder to have the data put there",
        )
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        _remove_left(root)
        with _held_folder(root) as temporary:
            content = temporary / "content"
            content.mkdir()
            yield content
            try:
                os.replace(content, root)
            except OSError:
                if not (root.is_dir() and any(root.iterdir())):
                    raise
    except OSError as error:
        raise DataError(f"the data set cannot be put at {root} ({error})", where=source) from error


@contextmanager
def _held_folder(root: Path) -> Iterator[Path]:
    """A folder beside ``root`` that is locked as long as this process lives, and removed at the end."""
    while True:
        with tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{root.name}.") as name:
            descriptor = os.open(name, os.O_RDONLY)
            try:
                with suppress(OSError):  # a file system without locks
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
                if not os.path.exists(name):  # another process took it for a dead one's before it was locked
                    os.mkdir(name)
                    continue
                yield Path(name)
                return
            finally:
                os.close(descriptor)


def _remove_left(root: Path) -> None:
    """Remove what killed processes left beside ``root``: the locks on those folders are gone with them."""
    left = re.compile(re.escape(f".{root.name}.") + "[a-z0-9_]{8}")
    for entry in root.parent.iterdir():
        if left.fullmatch(entry.name) and entry.is_dir():
            with suppress(OSError):  # somebody is at work in it, or it is another user's, or there are no locks
                _remove_unlocked(entry)


def _remove_unlocked(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(descriptor)

"""Folders of data that are there complete or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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
                            mend="name a new folder")  # fmt: skip
        raise DataError(
            f"{root} is there but lacks parts of the data set",
            where=source,
            mend="mend the paths in the file, or let its 'path' name a new folder to have the data put there",
        )
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{root.name}.") as temporary:
            content = Path(temporary) / "content"
            content.mkdir()
            yield content
            try:
                os.replace(content, root)
            except OSError:
                if not (root.is_dir() and any(root.iterdir())):
                    raise
    except OSError as error:
        raise DataError(f"the data set cannot be put at {root} ({error})", where=source) from error

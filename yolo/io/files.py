"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from yolo.errors import ConfigError

_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}(\.[^.]+)?")  # as ``tempfile`` names them


def write_atomic(path: str | Path, write: Callable[[Path], object], *, durable: bool = True) -> Path:
    """Let ``write`` fill a temporary file beside ``path``, then put it in place.

    Write, fsync, rename: when anything fails (a full disk included) an earlier file at ``path`` survives
    unchanged and the temporary one is removed. Without ``durable`` nothing is waited for: the file is whole for every
    process, but may be lost in a power cut. Raises whatever ``write`` raises.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        if durable:
            with open(temporary, "rb+") as stream:
                os.fsync(stream.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync_directory(path.parent)
    return path


@contextlib.contextmanager
def folder_beside(path: str | Path) -> Iterator[Path]:
    """A new, hidden folder beside ``path``, for files that are moved there when they are good; gone at the end."""
    path = Path(path)
    room = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        room.chmod(0o755)
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


def is_temporary(path: object) -> bool:
    """Whether the last part of a path, if it is one, is a name that ``write_atomic`` or ``folder_beside`` makes."""
    return isinstance(path, (str, os.PathLike)) and _TEMPORARY.fullmatch(Path(path).name) is not None


def remove_leftovers(folder: str | Path) -> None:
    """Remove what ``write_atomic`` left in ``folder`` when its process was killed; nobody may be writing there."""
    for path in Path(folder).glob(".*"):
        if is_temporary(path) and path.is_file():
            path.unlink(missing_ok=True)


def require_file(path: str | Path) -> None:
    """Raise OSError for a pipe, a socket or a device, which may be read without end, and for what is not there."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # of a folder the system has a word of its own
        raise OSError(errno.EINVAL, "it is not a file", str(path))


def write_text_atomic(path: str | Path, text: str) -> Path:
    """``write_atomic`` for UTF-8 text."""
    return write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _sync_directory(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def held(folder: Path, what: str, hint: str) -> Iterator[None]:
    """Keep other processes that hold it, too, out of ``folder``; one that dies lets go of it.

    Raises ConfigError, with these words, where another has it. A file system without locks keeps nobody out.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(what, where=folder, hint=hint) from None
        except OSError:
            pass
        yield
    finally:
        os.close(descriptor)

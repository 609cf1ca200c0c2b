"""Archives unpacked whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import filecmp
import logging
import os
import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, Final

from yolo.data.archive_members import DamagedError, Member, TooLargeError, members
from yolo.errors import DataError

_LOG = logging.getLogger("yolo.data")
RATIO: Final = 200
"""An archive may become so many times its own size. Images hardly shrink; labels by 5 to 50 times."""
ALWAYS: Final = 64 << 20
"""Bytes that any archive may become."""
_EXAMPLES: Final = 3
_DISK_BLOCK: Final = 4096
_NOTES: Final = re.compile(r"(readme|licen[cs]e)(\..*)?|\.ds_store|thumbs\.db", re.IGNORECASE)
"""Files about an archive, of which the first one stays where several archives have them."""

_OF_THE_ARCHIVE: Final = (
    None,  # a reader's own
    *(errno.EINVAL, errno.EOVERFLOW),  # an offset that cannot be
    *(errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG),  # names that cannot be
)
"""Numbers of the operating system's errors that are no fault of the disk."""


class BrokenArchiveError(DataError):
    """An archive that nobody can use: it has to be fetched again, or is none."""


def unpack(file: Path, folder: Path, inside: str | None = "") -> None:
    """Put the archive's files below ``folder`` when all of them were read and checked, or nothing at all.

    ``inside`` is as in Archive. Files that are there already stay: the same content is taken for the same file, another
    one is an error. Links, devices, absolute names and names with '..' are left out, counted and named in a warning.
    Raises BrokenArchiveError for a damaged archive or one without files, DataError where it would become more than
    RATIO times its size or than the disk has room for, or cannot be written.
    """
    folder = folder.resolve()
    above = next(parent for parent in folder.parents if parent.is_dir())
    try:
        with tempfile.TemporaryDirectory(dir=above, prefix=f".{folder.name}.") as temporary:
            content = Path(temporary) / "content"
            content.mkdir()
            left_out = _LeftOut(file)
            with _one_line_errors(file):
                _write_all(file, content, PurePosixPath(inside or ""), left_out)
            content = _unwrapped(content) if inside is None else content
            _place(content, folder, left_out)
    except OSError as error:
        raise DataError(f"cannot be unpacked into {folder} ({error})", where=file) from error
    left_out.say()


@contextmanager
def _one_line_errors(file: Path) -> Iterator[None]:
    try:
        yield
    except (DataError, MemoryError):
        raise
    except TooLargeError:
        hint = "unpack it yourself if it is meant to be so large"
        raise DataError(f"would become more than {RATIO} times its own size", where=file, hint=hint) from None
    except Exception as error:  # whatever a hostile or damaged file provokes in the readers ends here
        if isinstance(error, OSError) and error.errno not in _OF_THE_ARCHIVE:
            raise
        reason = str(error)[:160] or type(error).__name__
        raise BrokenArchiveError(f"the archive is broken ({reason})", where=file.name, hint="fetch it again") from error


class _LeftOut:
    """Names of an archive that are not on the disk afterwards, and why."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._names: dict[str, list[str]] = defaultdict(list)
        self._counts: dict[str, int] = defaultdict(int)

    def add(self, why: str, name: str) -> None:
        self._counts[why] += 1
        if len(self._names[why]) < _EXAMPLES:
            self._names[why].append(repr(name[:100]))

    def __str__(self) -> str:
        return "; ".join(
            f"{why}: {count} ({', '.join(self._names[why])}{', …' if count > _EXAMPLES else ''})"
            for why, count in self._counts.items()
        )

    def say(self) -> None:
        if self._counts:
            _LOG.warning("%s: left out: %s", self.file.name, self)


class _Room:
    """What may still be written."""

    def __init__(self, file: Path, folder: Path) -> None:
        self.most = max(ALWAYS, RATIO * file.stat().st_size)
        self._left, self._free, self._file = self.most, shutil.disk_usage(folder).free, file

    def take(self, size: int) -> None:
        """Count a file of ``size`` bytes before it is written."""
        self._left -= size
        self._free -= -(-size // _DISK_BLOCK) * _DISK_BLOCK
        if size < 0 or self._left < 0:
            raise TooLargeError
        if self._free < 0:
            raise DataError("not enough disk space for its content", where=self._file, hint="free some space")


def _write_all(file: Path, content: Path, above: PurePosixPath, left_out: _LeftOut) -> None:
    room, files = _Room(file, content), 0
    for member in members(file, room.most):
        path = PurePosixPath(member.name)
        why = _why_not(member, path)
        if why:
            left_out.add(why, member.name)
        elif path.is_relative_to(above):
            target = content / path.relative_to(above)
            if target.is_file():
                left_out.add("earlier ones of two of one name", member.name)
            room.take(member.size)
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(member.stream, target, member.size)
            files += 1
    if not files:
        within = f" in {above}" if above.parts else ""
        because = f"; left out: {left_out}" if str(left_out) else ""
        raise BrokenArchiveError(f"the archive holds no file{within}{because}", where=file.name)


def _why_not(member: Member, path: PurePosixPath) -> str:
    """Why a member is left out; '' for one that is not."""
    if member.kind:
        return member.kind
    if path.is_absolute():
        return "unsafe paths, absolute"
    return "unsafe paths, that lead elsewhere" if ".." in path.parts or not path.parts else ""


def _write(stream: IO[bytes], target: Path, size: int) -> None:
    with stream, open(target, "wb") as output:
        shutil.copyfileobj(stream, output, 1 << 20)
        if output.tell() != size:
            raise DamagedError(f"{target.name} has {output.tell()} bytes, not {size}")


def _unwrapped(content: Path) -> Path:
    """Where all that ``content`` holds is one folder, that one."""
    inside = [entry for entry in content.iterdir() if entry.name != "__MACOSX"]
    if len(inside) != 1 or not inside[0].is_dir() or inside[0].name in ("images", "labels"):
        return content
    beside = content / "__MACOSX"
    if beside.exists() and not (inside[0] / beside.name).exists():
        beside.rename(inside[0] / beside.name)
    return inside[0]


def _place(content: Path, folder: Path, left_out: _LeftOut) -> None:
    """Let ``folder`` be ``content``, or hold it beside what it holds."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(content, folder)  # in one step where it is not there or empty
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        _merge(content, folder, left_out)


def _merge(content: Path, folder: Path, left_out: _LeftOut) -> None:
    """Move all files of ``content`` into ``folder``, or none; what is there stays. Raises DataError."""
    with _held(folder):
        moves, others = [], []
        for path in sorted(path for path in content.rglob("*") if not path.is_dir()):
            target = folder / path.relative_to(content)
            if not os.path.lexists(target):
                moves.append((path, target))
            elif not target.is_file() or not filecmp.cmp(path, target, shallow=False):
                others.append(str(path.relative_to(content)))
        notes = [name for name in others if _NOTES.fullmatch(Path(name).name)]
        others = [name for name in others if name not in notes]
        if others:
            listed = ", ".join(others[:_EXAMPLES]) + (", …" if len(others) > _EXAMPLES else "")
            raise DataError(
                f"{len(others)} of its files are in {folder} already, with other content ({listed})",
                where=left_out.file,
                hint="give each archive a folder of its own ('into')",
            )
        _move(moves)
    for name in notes:
        left_out.add("notes of a name that is there already", name)


def _move(moves: list[tuple[Path, Path]]) -> None:
    """Rename all or none."""
    done = []
    try:
        for path, target in moves:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.rename(path, target)
            done.append(target)
    except BaseException:
        for target in done:
            target.unlink(missing_ok=True)
        raise


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keep other processes that merge into ``folder`` out."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks keeps nobody out
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

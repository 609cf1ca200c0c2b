"""What is in an archive, read from start to end with every check that its format offers."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import stat
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

LINK, DEVICE = "links", "devices and pipes"
_BLOCK: Final = 1 << 20
_DIGITS: Final = re.compile(rb"\d{257}")
"""More than a file's name can have: tarfile takes the square of their number in time."""
_ZIP_TAIL: Final = 76 + 22 + (1 << 16)
"""The end of a zip: its records and a comment."""
_PACKED: Final = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))
_SPECIAL: Final = {
    stat.S_IFLNK: LINK,
    **dict.fromkeys((stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK), DEVICE),
}


class DamagedError(Exception):
    """An archive is not as it was made, or holds what no honest one does."""


class TooLargeError(Exception):
    """An archive would become larger than its own size justifies."""


@dataclass(frozen=True)
class Member:
    """One name of an archive. kind: '' for an ordinary file, else LINK or DEVICE; size: bytes of the content."""

    name: str
    size: int
    stream: IO[bytes] | None
    """The content of an ordinary file, to be read before the next member is asked for."""
    kind: str = ""


def members(archive: Path, most: int) -> Iterator[Member]:
    """All of an archive but its folders, in order; ``archive`` is a zip by its name, else a tar, packed or not.

    A zip's content is checked by its CRC; a tar's by that of gzip, bzip2 or xz around it, by its headers' sums and by
    the mark at its end. ``most``: bytes of a tar, unpacked, that may be looked at. Raises DamagedError, TooLargeError,
    and whatever the readers of these formats raise for a damaged file.
    """
    return _of_zip(archive) if archive.suffix.lower() == ".zip" else _of_tar(archive, most)


def _of_zip(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as opened:
        _check_count(archive, len(opened.infolist()))
        for info in opened.infolist():
            kind = _SPECIAL.get(stat.S_IFMT(info.external_attr >> 16), "")
            if not info.is_dir():
                yield Member(info.filename, info.file_size, None if kind else opened.open(info), kind)


def _check_count(archive: Path, found: int) -> None:
    """Whether a zip names as many entries as its end says: a flipped bit in a length hides all that follow."""
    with open(archive, "rb") as file:
        file.seek(max(0, archive.stat().st_size - _ZIP_TAIL))
        tail = file.read()
    end = tail.rfind(b"PK\5\6")
    (stated,) = struct.unpack_from("<H", tail, end + 10)
    if stated == 0xFFFF and tail[end - 76 : end - 72] == b"PK\6\6":
        (stated,) = struct.unpack_from("<Q", tail, end - 76 + 32)
    elif stated != 0xFFFF:
        found %= 1 << 16  # writers without zip64 count so
    if stated != found:
        raise DamagedError(f"it names {found} entries, not {stated}")


def _of_tar(archive: Path, most: int) -> Iterator[Member]:
    with open(archive, "rb") as file:
        start = file.read(6)
    unpacked = next((opener for magic, opener in _PACKED if start.startswith(magic)), open)
    with unpacked(archive, "rb") as raw:
        stream = _Stream(raw, most)
        opened = tarfile.TarFile(fileobj=stream)
        while (member := stream.next_of(opened)) is not None:
            opened.members.clear()  # millions of names must not add up
            if member.isdir():
                continue
            kind = "" if member.isfile() else LINK if member.issym() or member.islnk() else DEVICE
            yield Member(member.name, member.size, None if kind else opened.extractfile(member), kind)
        stream.finish()


class _Stream:
    """The bytes of a tar archive, taken once and in order; what tarfile needs of a file."""

    def __init__(self, raw: IO[bytes], most: int) -> None:
        self._raw, self._left, self._position = raw, most, 0
        self._last, self._in_header = b"", True

    def read(self, size: int) -> bytes:
        if size > _BLOCK:
            raise DamagedError(f"a header of {size} bytes")
        self._last = self._raw.read(size)
        if self._in_header and _DIGITS.search(self._last):
            raise DamagedError("a header with an endless number")
        self._position += len(self._last)
        self._left -= len(self._last)
        if self._left < 0:
            raise TooLargeError
        return self._last

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        if position < self._position:
            raise DamagedError("its parts are not in order")
        while position > self._position and self.read(min(position - self._position, _BLOCK)):
            pass

    def next_of(self, opened: tarfile.TarFile) -> tarfile.TarInfo | None:
        """The next member; None at the end, or where tarfile takes damage for one."""
        self._in_header = True
        member = opened.next()
        self._in_header = False
        return member

    def finish(self) -> None:
        """Check that the end was one, and read what is behind it, where a packed tar has its checksum."""
        if not self._last:
            raise DamagedError("it is cut off: there is no mark at its end")
        if self._last != bytes(tarfile.BLOCKSIZE):
            raise DamagedError(f"a damaged header at byte {self._position - len(self._last)}")
        while self.read(_BLOCK):
            if self._last.strip(b"\0"):
                raise DamagedError("there is more behind its end")

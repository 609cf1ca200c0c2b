"""The index of a split kept in a file, so that unchanged images and labels are not checked again.

The file is mapped into memory: the processes of a machine that train on the same images share its pages.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolo.data.records import Index, IndexReport
from yolo.data.sequences import Outlines, Paths, Rows, edges
from yolo.io.files import require_file, write_atomic

SUFFIX = ".oneflow-index"
FORMAT = 4
"""Rises whenever the file's layout or the checks change."""

_LOG = logging.getLogger("yolo.data")
_BEFORE = ".oneflow-cache.npz"
"""What versions up to 3 ended in."""

# The file: magic, length of the header, CRC-32 of all behind these 24 bytes, length of the file; the header, JSON; the
# arrays one after another, little-endian, widest first, so that each is aligned.
_MAGIC = b"YOLOIDX4"
_HEAD = struct.Struct("<8sIIQ")
_ALIGNMENT = 64


def cache_path(label_files: Sequence[str], entries: Sequence[Path]) -> Path:
    """Where the cache of a split is kept: beside the folder of its labels.

    Splits that are lists of images may share one folder, so theirs bear the list's name too.
    """
    folder = Path(label_files[0]).parent
    common = Path(os.path.commonpath(list({file.rpartition(os.sep)[0] for file in label_files})))
    if "labels" in common.parts:
        folder = common
    lists = [f".{entry.stem}" for entry in entries if entry.suffix.lower() == ".txt"]
    return folder.parent / f"{folder.name}{''.join(lists[:1])}{SUFFIX}"


@dataclass(frozen=True)
class OwnNames:
    """The classes that a data set's annotations name, and the fingerprint of these."""

    key: str
    names: tuple[str, ...]


def save(path: Path, key: str, index: Index, own: OwnNames | None = None) -> None:
    """Write ``index`` under its fingerprint ``key``; a folder that cannot be written is no error.

    ``own``: what ``own_names`` gives.
    """
    folder = path.parent
    # Root may write everywhere, but a folder that is marked read-only is meant to stay as it is.
    if not folder.is_dir() or not folder.stat().st_mode & 0o222:
        _LOG.debug("no cache at %s (no folder there, or a read-only one)", path)
        return
    content = _encoded(key, index, own)
    try:
        write_atomic(path, lambda temporary: temporary.write_bytes(content))
        path.with_name(path.name.removesuffix(SUFFIX) + _BEFORE).unlink(missing_ok=True)
    except OSError as error:
        _LOG.debug("no cache at %s (%s)", path, error)


def load(path: Path, key: str, names: tuple[str, ...]) -> Index | None:
    """The index kept at ``path``, mapped, when its fingerprint is ``key``, else None. Never raises.

    A file that another one replaces stays what it was for those who have mapped it.
    """
    return _tried(path, lambda content: _restored(content, key, names))


def own_names(path: Path, key: str) -> tuple[str, ...] | None:
    """The names kept at ``path`` beside an index, when their fingerprint is ``key``, else None. Never raises."""

    def read(content: mmap.mmap) -> tuple[str, ...] | None:
        own = _header(content)[0]["own"]
        return tuple(map(str, own["names"])) if own and own["key"] == key else None

    return _tried(path, read)


def _tried(path: Path, read: Callable[[mmap.mmap], Any]) -> Any:
    """What ``read`` makes of a file; None where there is none, or a broken one."""
    try:
        require_file(path)
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            content = mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ)
        return read(content)
    except FileNotFoundError:
        return None
    # A damaged file can fail in mmap, struct, json or numpy; whatever it is, it is only a cache.
    except Exception as error:
        _LOG.debug("the cache %s is broken and made anew (%s)", path, error)
        return None


def _encoded(key: str, index: Index, own: OwnNames | None) -> bytes:
    lengths, points = index.segments.joined()
    paths = Paths.of(list(index.paths.texts()))
    arrays = [index.shapes, edges(paths.counts), edges(index.labels.counts), edges(lengths)]
    arrays += [index.labels.joined(), points, paths.text]
    sizes = {"images": len(index), "rows": len(lengths), "points": len(points), "text": len(paths.text)}
    parts = {"key": key, "sizes": sizes, "report": asdict(index.report), "own": own and asdict(own)}
    header = json.dumps(parts).encode()
    header += b" " * (-(_HEAD.size + len(header)) % _ALIGNMENT)
    body = b"".join([header, *(array.astype(array.dtype.newbyteorder("<")).tobytes() for array in arrays)])
    return _HEAD.pack(_MAGIC, len(header), zlib.crc32(body), _HEAD.size + len(body)) + body


def _restored(content: mmap.mmap, key: str, names: tuple[str, ...]) -> Index | None:
    """The index in a mapped file; None where it is another one. Raises ValueError and others for a broken file."""
    header, begin = _header(content)
    if header["key"] != key:
        return None
    images, rows, points, text = (header["sizes"][name] for name in ("images", "rows", "points", "text"))
    layout = [("<i8", (images, 2)), ("<i8", (images + 1,)), ("<i8", (images + 1,)), ("<i8", (rows + 1,))]
    layout += [("<f4", (rows, 5)), ("<f4", (points, 2)), ("u1", (text,))]
    shapes, *ends, labels, outlines, words = _arrays(content, begin, layout)
    for some, count in zip(ends, (text, rows, points)):
        if some[0] or some[-1] != count or (np.diff(some) < 0).any():
            raise ValueError("its parts do not agree")
    of_text, of_rows, of_points = ends
    return Index(
        paths=Paths(words, of_text[:-1], of_text[1:]),
        labels=Rows(labels, of_rows[:-1], of_rows[1:]),
        segments=Outlines(outlines, of_points, of_rows[:-1], of_rows[1:]),
        shapes=shapes,
        names=names,
        report=IndexReport(**header["report"]),
    )


def _header(content: mmap.mmap) -> tuple[dict[str, Any], int]:
    """The header of a file that is whole, and where the arrays begin. Raises ValueError and others for another file."""
    magic, length, checksum, size = _HEAD.unpack_from(content)
    if magic != _MAGIC or size != len(content):
        raise ValueError("it is no cache, or is cut off")
    with memoryview(content) as view, view[_HEAD.size :] as body:
        if zlib.crc32(body) != checksum:
            raise ValueError("its checksum is wrong")
    begin = _HEAD.size + length
    return json.loads(content[_HEAD.size : begin]), begin


def _arrays(content: mmap.mmap, begin: int, layout: Sequence[tuple[str, tuple[int, ...]]]) -> list[NDArray]:
    """The arrays of those types and shapes that follow each other; they must be all that there is."""
    arrays = []
    for kind, shape in layout:
        count = int(np.prod(shape))
        arrays.append(np.frombuffer(content, kind, count, begin).reshape(shape))
        begin += arrays[-1].nbytes
    if begin != len(content):
        raise ValueError("its parts do not fill it")
    return arrays

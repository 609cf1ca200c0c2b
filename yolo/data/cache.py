"""The index of a split kept in a file, so that unchanged images and labels are not checked again."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolo.data.records import Index, IndexReport
from yolo.io.files import require_file, write_atomic

SUFFIX = ".oneflow-cache.npz"
FORMAT = 3
"""Rises whenever the file's layout or the checks change."""

_LOG = logging.getLogger("yolo.data")


def cache_path(label_files: Sequence[Path], entries: Sequence[Path]) -> Path:
    """Where the cache of a split is kept: beside the folder of its labels.

    Splits that are lists of images may share one folder, so theirs bear the list's name too.
    """
    folder = label_files[0].parent
    common = Path(os.path.commonpath([file.parent for file in label_files]))
    if "labels" in common.parts:
        folder = common
    lists = [f".{entry.stem}" for entry in entries if entry.suffix.lower() == ".txt"]
    return folder.parent / f"{folder.name}{''.join(lists[:1])}{SUFFIX}"


def fingerprint(images: Sequence[Path], label_files: Sequence[Path], classes: int | None) -> str:
    """A hash that changes with any image or label file: its path, its size, its time of change."""
    digest = hashlib.sha256(f"{FORMAT} {classes}".encode())
    for files in (images, label_files):
        for file in files:
            try:
                status = os.stat(file)
                state = f"{status.st_size} {status.st_mtime_ns}"
            except OSError:
                state = "absent"
            digest.update(f"\0{file}\0{state}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def save(path: Path, key: str, index: Index) -> None:
    """Write ``index`` under its fingerprint ``key``; a folder that cannot be written is no error."""
    folder = path.parent
    # Root may write everywhere, but a folder that is marked read-only is meant to stay as it is.
    if not folder.is_dir() or not folder.stat().st_mode & 0o222:
        _LOG.debug("no cache at %s (no folder there, or a read-only one)", path)
        return
    segments = [segment for some in index.segments for segment in some]
    content = {
        "key": np.array(key),
        "paths": np.array(json.dumps([str(image) for image in index.paths])),
        "report": np.array(json.dumps(asdict(index.report))),
        "shapes": index.shapes,
        "counts": np.array([len(rows) for rows in index.labels], np.int64),
        "rows": _joined(index.labels, 5),
        "lengths": np.array([len(segment) for segment in segments], np.int64),
        "points": _joined(segments, 2),
    }

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as stream:
            np.savez(stream, **content)

    try:
        write_atomic(path, write)
    except OSError as error:
        _LOG.debug("no cache at %s (%s)", path, error)


def load(path: Path, key: str, names: tuple[str, ...]) -> Index | None:
    """The index kept at ``path`` when its fingerprint is ``key``, else None. Never raises."""
    try:
        require_file(path)
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as content:
            return _restore(content, names) if str(content["key"]) == key else None
    except FileNotFoundError:
        return None
    # A damaged file can fail in zipfile, zlib, json or numpy; whatever it is, it is only a cache.
    except Exception as error:
        _LOG.debug("the cache %s is broken and made anew (%s)", path, error)
        return None


def _restore(content: np.lib.npyio.NpzFile, names: tuple[str, ...]) -> Index:
    counts, lengths = content["counts"], content["lengths"]
    rows = content["rows"].astype(np.float32).reshape(-1, 5)
    points = content["points"].astype(np.float32).reshape(-1, 2)
    shapes = content["shapes"].astype(np.int64).reshape(-1, 2)
    paths = tuple(Path(image) for image in json.loads(str(content["paths"])))
    agree = len(paths) == len(shapes) == len(counts) and counts.sum() == len(rows) == len(lengths)
    if not agree or lengths.sum() != len(points):
        raise ValueError("its parts do not agree")
    segments = _split(points, lengths)
    ends = np.cumsum(counts)
    return Index(
        paths=paths,
        labels=_split(rows, counts),
        segments=[segments[end - count : end] for end, count in zip(ends, counts)],
        shapes=shapes,
        names=names,
        report=IndexReport(**json.loads(str(content["report"]))),
    )


def _joined(parts: Sequence[NDArray[np.float32]], columns: int) -> NDArray[np.float32]:
    return np.concatenate([np.zeros((0, columns), np.float32), *parts])


def _split(rows: NDArray[np.float32], counts: NDArray[np.int64]) -> list[NDArray[np.float32]]:
    return np.split(rows, np.cumsum(counts)[:-1]) if len(counts) else []

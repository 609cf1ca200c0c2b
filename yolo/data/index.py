"""The index of a split: every usable image with its size and its checked labels."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolo.data import cache
from yolo.data.annotated import cache_place, check_annotated, files_of, is_annotated, own_key, read_split
from yolo.data.dataset import Dataset
from yolo.data.fingerprint import fingerprint
from yolo.data.images import check_image
from yolo.data.labels import LabelFile, parse_labels
from yolo.data.listing import label_files, list_images
from yolo.data.records import Index, IndexReport
from yolo.errors import DataError
from yolo.io.files import require_file

__all__ = ["Index", "IndexReport", "index_split"]

_LOG = logging.getLogger("yolo.data")
_WORKERS = 8
_MOST_LOGGED = 200


def index_split(
    dataset: Dataset, split: str, *, single_cls: bool = False, use_cache: bool = True, workers: int = _WORKERS
) -> Index:
    """Check every image and label of ``split`` and give what is usable.

    What is not usable is reported through logging and left out: corrupt images, single label lines.
    With ``single_cls`` every label gets class 0. Raises DataError when a path is absent, when no image
    is usable, and when a label's class has no name.
    """
    names = single_class_names(dataset) if single_cls else dataset.names
    classes = None if single_cls else dataset.nc
    if is_annotated(dataset, split):
        place, files = cache_place(dataset, split), files_of(dataset, split)
        entries = [(entry, dataset.annotations[entry]) for entry in dataset.entries(split)]
        # The files are those of all splits: which of them are this one's must be told, too.
        what = f"{cache.FORMAT} {classes} {dataset.segments} {dataset.names} {entries}"
        scan = functools.partial(_scan_annotated, dataset, split, names, classes, workers)
    else:
        images = list_images(dataset, split)
        files = images, label_files(images)
        place, what = cache.cache_path(files[1], dataset.entries(split)), f"{cache.FORMAT} {classes}"
        scan = functools.partial(_scan, *files, names, classes, workers)
    key = fingerprint(what, *files) if use_cache else ""
    index = cache.load(place, key, names) if use_cache else None
    if index is None:
        index = scan()
        own = None if dataset.named else cache.OwnNames(own_key(dataset), dataset.names)
        index = _kept(index, place, key, own) if use_cache else index
    _log(split, index.report)
    _refuse_unusable(dataset, split, index)
    return index


def _kept(index: Index, place: Path, key: str, own: cache.OwnNames | None) -> Index:
    """``index`` from its file, which other processes share; as it is where no file can be written."""
    other = cache.load(place, key, index.names)  # another rank was quicker: one file for all of them
    if other is None:
        cache.save(place, key, index, own)
        other = cache.load(place, key, index.names)
    return other or index


def single_class_names(dataset: Dataset) -> tuple[str, ...]:
    """What all classes together are called; a single one keeps its name."""
    return ("item",) if dataset.nc > 1 else dataset.names


def _scan(
    images: list[str], label_files: list[str], names: tuple[str, ...], classes: int | None, workers: int
) -> Index:
    report = IndexReport()
    paths, labels, segments, shapes = [], [], [], []
    pool = ThreadPoolExecutor(max(workers, 1), thread_name_prefix="index")
    try:
        checks: Iterable[object] = pool.map(_attempt(check_image), images)
        files: Iterable[object] = pool.map(_attempt(lambda path: _read_labels(path, classes)), label_files)
        for image, label_file, shape, parsed in zip(images, label_files, checks, files):
            if isinstance(shape, DataError):
                report.corrupt.append(str(shape))
                continue
            if isinstance(parsed, DataError):
                report.problems.append(str(parsed))
                parsed = LabelFile()
            _report_lines(report, label_file, parsed)
            paths.append(image)
            shapes.append(shape)
            labels.append(_rows(parsed, classes))
            segments.append(parsed.segments)
    finally:  # also when interrupted: what has not begun is not begun
        pool.shutdown(cancel_futures=True)
    return Index.of(paths, labels, segments, shapes, names, report)


def _scan_annotated(dataset: Dataset, split: str, names: tuple[str, ...], classes: int | None, workers: int) -> Index:
    read, report = read_split(dataset, split), IndexReport()
    paths, labels, segments, shapes = [], [], [], []
    pool = ThreadPoolExecutor(max(workers, 1), thread_name_prefix="index")
    try:
        for item, found in zip(
            read.images, pool.map(_attempt(lambda item: check_annotated(item, classes)), read.images)
        ):
            if isinstance(found, DataError):
                report.corrupt.append(str(found))
                continue
            read.skipped.add(found.skipped)
            read.noticed.add(found.noticed)
            if found.labels is not None:
                paths.append(item.image)
                shapes.append(found.shape)
                labels.append(_rows(found.labels, classes))
                segments.append(found.labels.segments)
    finally:
        pool.shutdown(cancel_futures=True)
    report.left_out, report.noticed = read.skipped.lines(), read.noticed.lines()
    return Index.of(paths, labels, segments, shapes, names, report)


def _rows(parsed: LabelFile, classes: int | None) -> NDArray[np.float32]:
    """The label rows; all are of one class where no ``classes`` are told apart."""
    if classes is None:
        parsed.rows[:, 0] = 0
    return parsed.rows


def _attempt(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """``check`` with its DataError as a result instead of an exception."""

    def attempt(given: Any) -> Any:
        try:
            return check(given)
        except DataError as error:
            return error

    return attempt


def _read_labels(path: str, classes: int | None) -> LabelFile:
    try:
        require_file(path)
        return parse_labels(Path(path).read_bytes(), classes)
    except (FileNotFoundError, NotADirectoryError):
        return LabelFile()
    except OSError as error:
        raise DataError(f"the label file cannot be read ({error.strerror})", where=path) from error


def _report_lines(report: IndexReport, file: str, parsed: LabelFile) -> None:
    report.problems += [f"{file}:{line}: {reason}" for line, reason in parsed.problems]
    report.out_of_range += [f"{file}:{line}: class {number}" for line, number in parsed.out_of_range]


def _log(split: str, report: IndexReport) -> None:
    lines = [f"image left out: {line}" for line in report.corrupt]
    lines += [f"label line dropped: {line}" for line in report.problems]
    for line in lines[:_MOST_LOGGED]:
        _LOG.warning("%s", line)
    if len(lines) > _MOST_LOGGED:
        _LOG.warning("%s: %d more lines like these", split, len(lines) - _MOST_LOGGED)
    for line in report.noticed:
        _LOG.warning("%s: noticed: %s", split, line)
    for line in report.left_out:
        _LOG.warning("%s: left out: %s", split, line)
    _LOG.info("%s: %s", split, report.summary())


def _refuse_unusable(dataset: Dataset, split: str, index: Index) -> None:
    if not len(index):
        raise DataError(
            f"no usable image in split '{split}' ({len(index.report.corrupt)} left out)",
            where=os.path.commonpath([str(entry) for entry in dataset.entries(split)]),
        )
    wrong = index.report.out_of_range
    if wrong:
        place, _, label = wrong[0].rpartition(": ")
        more = f"; {len(wrong) - 1} more labels are out of range too" if len(wrong) > 1 else ""
        raise DataError(
            f"label {label} is out of range, the data set has {dataset.nc} classes (0 to {dataset.nc - 1})" + more,
            where=place,
            hint=f"mend the label or 'names' in {dataset.source}",
        )

"""The index of a split: every usable image with its size and its checked labels."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from yolo.data import cache
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
    images = list_images(dataset, split)
    files = label_files(images)
    classes = None if single_cls else dataset.nc
    names = single_class_names(dataset) if single_cls else dataset.names
    place = cache.cache_path(files, dataset.entries(split))
    key = fingerprint(f"{cache.FORMAT} {classes}", images, files) if use_cache else ""
    index = cache.load(place, key, names) if use_cache else None
    if index is None:
        index = _scan(images, files, classes, names, workers)
        index = _kept(index, place, key) if use_cache else index
    _log(split, index.report)
    _refuse_unusable(dataset, split, index)
    return index


def _kept(index: Index, place: Path, key: str) -> Index:
    """``index`` from its file, which other processes share; as it is where no file can be written."""
    other = cache.load(place, key, index.names)  # another rank was quicker: one file for all of them
    if other is None:
        cache.save(place, key, index)
        other = cache.load(place, key, index.names)
    return other or index


def single_class_names(dataset: Dataset) -> tuple[str, ...]:
    """What all classes together are called; a single one keeps its name."""
    return ("item",) if dataset.nc > 1 else dataset.names


def _scan(
    images: list[str],
    label_files: list[str],
    classes: int | None,
    names: tuple[str, ...],
    workers: int,
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
            if classes is None:
                parsed.rows[:, 0] = 0
            paths.append(image)
            shapes.append(shape)
            labels.append(parsed.rows)
            segments.append(parsed.segments)
    finally:  # also when interrupted: what has not begun is not begun
        pool.shutdown(cancel_futures=True)
    return Index.of(paths, labels, segments, shapes, names, report)


def _attempt(check: Callable[[str], object]) -> Callable[[str], object]:
    """``check`` with its DataError as a result instead of an exception."""

    def attempt(path: str) -> object:
        try:
            return check(path)
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

"""A data set by its YAML file, with its data: made or fetched where it is not there."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from yolo.data.annotated import own_names
from yolo.data.dataset import Dataset, is_present, read_dataset
from yolo.data.fetch import fetch
from yolo.data.patterns import is_pattern
from yolo.data.shapes import ShapesSpec, make_shapes
from yolo.errors import DataError


def load_dataset(path: str | Path) -> Dataset:
    """Read a data set YAML (``read_dataset``) and make sure that its data is there.

    Data that is absent is made by its ``generator`` or fetched from its ``download`` URL; nothing in the file is ever
    executed. Where it names no classes, they are those of its annotations. Raises DataError for whatever is wrong with
    the file or its data.
    """
    dataset = read_dataset(path)
    if not is_present(dataset):
        _obtain(dataset)
    return dataset if dataset.named else dataclasses.replace(dataset, names=own_names(dataset))


def _obtain(dataset: Dataset) -> None:
    """Make or fetch the data. Raises DataError when that cannot be done."""
    missing = next(
        entry
        for split in ("train", "val")
        for entry in dataset.splits.get(split, ())
        if not entry.exists() and not is_pattern(entry)
    )
    if dataset.generator is not None:
        spec = ShapesSpec.from_mapping(dataset.generator, dataset.source)
        make_shapes(dataset.root, spec, dataset.source)
    elif dataset.download:
        fetch(dataset.download, dataset.root, dataset.source, kind=dataset.convert, names=dataset.names)
    else:
        raise DataError(
            f"the data is not there: {missing} does not exist",
            where=dataset.source,
            hint="mend 'path', 'train' and 'val', or put the data there",
        )
    if not is_present(dataset):
        raise DataError(f"the data came to {dataset.root}, but {missing} does not exist", where=dataset.source)

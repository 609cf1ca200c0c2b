"""The images that every contender of a benchmark is given, as .npz files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from yolo.config.hyp import load_hyperparameters
from yolo.data.batch import pad_labels
from yolo.data.images import read_image
from yolo.data.index import index_split
from yolo.data.letterbox import fit, letterbox
from yolo.data.load import load_dataset
from yolo.data.loader import train_loader

STRIDE = 32


def write_images(path: Path, files: list[Path], size: int) -> None:
    """Write ``images``: uint8 ``[n, 3, size, size]``, the files letterboxed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = map(read_image, files)
    np.savez(path, images=np.stack([letterbox(image, fit(image.shape[:2], size)) for image in images]))


def first_images(data: Path, count: int) -> list[Path]:
    """The first image files of a data set's training split; raises DataError."""
    return list(index_split(load_dataset(data), "train").paths[:count])


def write_batch(path: Path, data: Path, *, size: int, batch: int, seed: int = 0) -> None:
    """Write the first training batch of a data set, with mosaics, as ``yolo.train`` would show it.

    images uint8 ``[batch, 3, size, size]``; labels float32 ``[batch, M, 5]``, counts int32 ``[batch]``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    index, hyp = index_split(load_dataset(data), "train"), load_hyperparameters("hyp.scratch-low.yaml")
    loader = train_loader(index, hyp, imgsz=size, batch_size=batch, workers=1, seed=seed, rect=False, stride=STRIDE)
    first = next(iter(loader.batches(0)))
    labels, counts = pad_labels(first.labels, max(len(rows) for rows in first.labels))
    np.savez(path, images=first.images, labels=labels, counts=counts)

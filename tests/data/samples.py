"""Small data sets and hyperparameters for the tests of this folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image

from yolo.data.dataset import Dataset
from yolo.data.index import Index, index_split
from yolo.data.load import load_dataset
from yolo.data.plan import SamplePlan
from yolo.data.renderers.opencv import OpenCVRenderer


def hyperparameters(**changes: float) -> SimpleNamespace:
    """No augmentation at all, apart from ``changes``."""
    names = "hsv_h hsv_s hsv_v degrees translate scale shear perspective flipud fliplr mosaic mixup copy_paste"
    return SimpleNamespace(**{**dict.fromkeys(names.split(), 0.0), **changes})


LOW = {"hsv_h": 0.015, "hsv_s": 0.7, "hsv_v": 0.4, "translate": 0.1, "scale": 0.5, "fliplr": 0.5, "mosaic": 1.0}


def save_image(path: Path, size: tuple[int, int] = (48, 64), colour: Sequence[int] = (9, 90, 200)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), colour, np.uint8)).save(path)
    return path


def make_dataset(
    folder: Path,
    labels: Sequence[str | None] = ("0 0.5 0.5 0.5 0.5\n", "1 0.25 0.5 0.5 0.25\n"),
    *,
    names: str = "[a, b]",
    sizes: Sequence[tuple[int, int]] = ((48, 64), (64, 48), (50, 50)),
) -> Dataset:
    """One image for each text in ``labels`` (None: no label file), the same for train and val."""
    (folder / "labels" / "train").mkdir(parents=True, exist_ok=True)
    for k, text in enumerate(labels):
        save_image(folder / "images" / "train" / f"{k}.png", sizes[k % len(sizes)], (20 * k % 256, 90, 200))
        if text is not None:
            (folder / "labels" / "train" / f"{k}.txt").write_text(text)
    source = folder / "data.yaml"
    source.write_text(f"path: .\ntrain: images/train\nval: images/train\nnames: {names}\n")
    return load_dataset(source)


def make_index(folder: Path, *args, **options) -> Index:
    return index_split(make_dataset(folder, *args, **options), "train", use_cache=False)


def rendered(plan: SamplePlan, paths: Sequence[Path]) -> np.ndarray:
    """The image of one sample as OpenCV makes it: RGB ``[H, W, 3]``."""
    out = np.empty((1, 3, *plan.size), np.uint8)
    OpenCVRenderer(paths, 0).render([plan], out)
    return out[0].transpose(1, 2, 0)

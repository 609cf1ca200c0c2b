"""Images for renderers that are compared with each other: drawn ones, which are always there, and photographs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.renderers.photos import photo, save_jpeg
from tests.parity import PARITY
from yolo.data.index import Index, index_split
from yolo.data.load import load_dataset

SIZES = ((240, 320), (333, 250), (160, 160), (480, 640), (97, 201), (320, 214))


def drawn(folder: Path) -> Index:
    """Twelve JPEG files of SIZES, each with one label."""
    (folder / "labels").mkdir()
    for k, size in enumerate(SIZES * 2):
        save_jpeg(folder / "images" / f"{k:02}.jpg", photo(size, k), subsampling=k % 3)
        (folder / "labels" / f"{k:02}.txt").write_text("0 .5 .5 .5 .5\n")
    (folder / "data.yaml").write_text("train: images\nval: images\nnames: [a]\n")
    return index_split(load_dataset(folder / "data.yaml"), "train", use_cache=False)


def photographs() -> Index:
    """COCO128; the test is skipped where it is absent."""
    if not PARITY.is_dir():
        pytest.skip("the parity reference (../shared/parity beside the repository) is absent")
    return index_split(load_dataset(PARITY / "data" / "coco128.yaml"), "train", use_cache=False)

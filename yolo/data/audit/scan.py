"""What is in a data set: every image with its content's hash, its shape and its labels."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from yolo.data.dataset import Dataset
from yolo.data.image_header import read_header
from yolo.data.images import check_image, decode_image, read_bytes
from yolo.data.labels import LabelFile, parse_labels
from yolo.data.listing import label_files, list_images
from yolo.errors import DataError
from yolo.io.files import require_file


@dataclass(frozen=True)
class Seen:
    """One image of a split."""

    path: Path
    label_file: Path
    missing: bool = False
    broken: str = ""
    """Why the image cannot be used, '' when it can."""
    digest: str = ""
    """Of the file's bytes."""
    shape: tuple[int, int] = (0, 0)
    """Height and width, upright; zeros when broken."""
    turned: bool = False
    """Whether EXIF says that it is stored lying or upside down."""
    content: bytes = b""
    """Of the label file; empty where there is none."""
    labels: LabelFile | None = None
    """None where the label file cannot be read."""

    @property
    def usable(self) -> bool:
        return not self.missing and not self.broken

    @property
    def objects(self) -> int:
        """The number of its labels that can be used."""
        return len(self.labels.rows) if self.labels else 0


def scan(dataset: Dataset, split: str, workers: int) -> list[Seen]:
    """Look at every image of ``split``, in order. Raises DataError when it has none."""
    images = list_images(dataset, split)
    pool = ThreadPoolExecutor(max(workers, 1), thread_name_prefix="check")
    try:
        return list(pool.map(lambda *files: _look(*map(Path, files), dataset.nc), images, label_files(images)))
    finally:  # also when interrupted: what has not begun is not begun
        pool.shutdown(cancel_futures=True)


def stray_labels(images: Sequence[Seen]) -> list[Path]:
    """Label files beside those of ``images`` that belong to no image (``classes.txt`` belongs to none)."""
    known = {seen.label_file for seen in images}
    found = []
    for folder in sorted({file.parent for file in known}):
        if folder.name in ("labels",) or "labels" in folder.parts:
            names = sorted(os.listdir(folder)) if folder.is_dir() else []
            found += [folder / name for name in names if name.endswith(".txt") and name != "classes.txt"]
    return [file for file in found if file not in known]


def _look(path: Path, file: Path, classes: int) -> Seen:
    content, labels = b"", LabelFile()
    try:
        require_file(file)
        content = file.read_bytes()
        labels = parse_labels(content, classes)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError):
        labels = None
    if not os.path.isfile(path):
        return Seen(path, file, missing=True, content=content, labels=labels)
    try:
        shape = check_image(path)
        encoded = read_bytes(path)
        decode_image(encoded, path)  # training only looks at the header before it begins
    except DataError as error:
        return Seen(path, file, broken=error.what, content=content, labels=labels)
    turned = read_header(io.BytesIO(memoryview(encoded))).orientation != 1
    digest = hashlib.blake2b(encoded, digest_size=16).hexdigest()
    return Seen(path, file, False, "", digest, shape, turned, content, labels)

"""What is in a data set: every image with its content's hash, its shape and its labels."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from yolo.data.annotated import check_annotated, is_annotated, read_split
from yolo.data.convert.records import Labelled, Tally
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
    """Of the label file, or what it would be; empty where there is none."""
    labels: LabelFile | None = None
    """None where the label file cannot be read."""

    shared: bool = False
    """Whether the label file holds other images' labels too."""

    @property
    def where(self) -> str:
        """Where its labels are, for messages."""
        return f"{self.label_file} ({self.path.name})" if self.shared else str(self.label_file)

    @property
    def usable(self) -> bool:
        return not self.missing and not self.broken

    @property
    def objects(self) -> int:
        """The number of its labels that can be used."""
        return len(self.labels.rows) if self.labels else 0


def scan(dataset: Dataset, split: str, workers: int, skipped: Tally, noticed: Tally) -> list[Seen]:
    """Look at every image of ``split``, in order. Raises DataError when it has none.

    Of annotations in another format ``skipped`` counts what is left out, ``noticed`` what is taken otherwise than said.
    """
    pool = ThreadPoolExecutor(max(workers, 1), thread_name_prefix="check")
    try:
        if not is_annotated(dataset, split):
            images = list_images(dataset, split)
            return list(pool.map(lambda *files: _look(*map(Path, files), dataset.nc), images, label_files(images)))
        read = read_split(dataset, split)
        looks = list(pool.map(lambda item: _look_annotated(item, dataset.nc), read.images))
        for tallies in [(read.skipped, read.noticed), *(tallies for _, *tallies in looks)]:
            skipped.add(tallies[0])
            noticed.add(tallies[1])
        return [seen for seen, *_ in looks if seen is not None]
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
    return _seen(path, file, content, labels)


def _look_annotated(item: Labelled, classes: int) -> tuple[Seen | None, Tally, Tally]:
    """The image, None where its labels cannot be used, and what is counted."""
    shared = item.file.suffix.lower() != ".xml"
    try:
        checked = check_annotated(item, classes)
    except DataError:
        return dataclasses.replace(_seen(item.image, item.file, b"", LabelFile()), shared=shared), Tally(), Tally()
    seen = checked.labels and _seen(item.image, item.file, checked.content, checked.labels)
    return seen and dataclasses.replace(seen, shared=shared), checked.skipped, checked.noticed


def _seen(path: Path, file: Path, content: bytes, labels: LabelFile | None) -> Seen:
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

"""Which images a split consists of, and where their labels are."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from yolo.data.dataset import Dataset
from yolo.data.images import SUFFIXES
from yolo.data.patterns import is_pattern, matching_files
from yolo.errors import DataError

_IMAGES = f"{os.sep}images{os.sep}"
_LABELS = f"{os.sep}labels{os.sep}"


def list_images(dataset: Dataset, split: str) -> list[Path]:
    """The image files of ``split``, each once, sorted by path.

    Files with other endings are passed over. Raises DataError when an entry does not exist or when there
    is no image at all.
    """
    entries = dataset.entries(split)
    found = {str(path) for entry in entries for path in _expand(entry, dataset) if _is_image(path)}
    if not found:
        where = ", ".join(map(str, entries))
        raise DataError(f"no image for split '{split}'", where=where, hint=f"it takes {' '.join(sorted(SUFFIXES))}")
    return [Path(path) for path in sorted(found)]


def label_path(image: str | Path) -> Path:
    """The label file of an image: the last ``images`` folder replaced by ``labels``, the suffix by .txt."""
    head, found, tail = os.fspath(image).rpartition(_IMAGES)
    return Path(f"{head}{_LABELS}{tail}" if found else tail).with_suffix(".txt")


def label_files(images: Sequence[Path]) -> list[Path]:
    """The label file of each image: ``label_path`` of it as it is spelt.

    Where that is not there, but is for the folder that links lead to, it is that one: ``images`` may be a link, or a
    link may lead to ``images``.
    """
    real = functools.cache(os.path.realpath)
    found = []
    for image in images:
        file = label_path(image)
        if not os.path.lexists(file):
            other = label_path(os.path.join(real(image.parent), image.name))
            file = other if os.path.lexists(other) else file
        found.append(file)
    return found


def _is_image(path: str | Path) -> bool:
    return os.path.splitext(path)[1].lower() in SUFFIXES


def _expand(entry: Path, dataset: Dataset) -> Iterable[str | Path]:
    if entry.is_dir():
        return _walk(entry)
    if entry.is_file():
        return _read_list(entry, dataset) if entry.suffix.lower() == ".txt" else [entry]
    if is_pattern(entry):
        return matching_files(entry)
    raise DataError(f"{entry} does not exist", where=dataset.source, hint="mend the path in that file")


def _walk(folder: Path) -> Iterator[str]:
    """Every file below ``folder``, through links to folders too, but each folder once."""
    seen = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        # Systems and editors leave such beside the images: ._x.jpg, .ipynb_checkpoints. YOLOv5 passes them over, too.
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (os.path.join(place, name) for name in files if not name.startswith("."))


def _read_list(path: Path, dataset: Dataset) -> Iterator[Path]:
    """The images a list names: lines from ``./`` are relative to the list, others to the root.

    Where the root has none of them and the current folder has one, they are relative to that, as YOLOv5 takes them.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the list of images cannot be read ({error})", where=path) from error
    lines = [line for line in map(str.strip, lines) if line and "\0" not in line]
    others = [line for line in lines if not line.startswith("./")]
    bases = (dataset.root, Path.cwd())
    base = next((base for base in bases if any(os.path.exists(base / line) for line in others)), dataset.root)
    for line in lines:
        yield (path.parent if line.startswith("./") else base) / line

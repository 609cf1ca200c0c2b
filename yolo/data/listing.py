"""Which images a split consists of, and where their labels are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from yolo.data.annotated import is_annotated, read_split
from yolo.data.dataset import Dataset
from yolo.data.images import SUFFIXES, is_image_name
from yolo.data.patterns import is_pattern, matching_files
from yolo.errors import DataError

_IMAGES = f"{os.sep}images{os.sep}"
_LABELS = f"{os.sep}labels{os.sep}"


def list_images(dataset: Dataset, split: str) -> list[str]:
    """The image files of ``split``, each once, sorted by path.

    Files with other endings are passed over, as are those that annotations in another format do not name. Raises
    DataError when an entry does not exist or when there is no image at all.
    """
    if is_annotated(dataset, split):
        return [str(item.image) for item in read_split(dataset, split).images]
    entries = dataset.entries(split)
    found = sorted({path for entry in entries for path in _expand(entry, dataset) if is_image_name(path)})
    if not found:
        where = ", ".join(map(str, entries))
        raise DataError(f"no image for split '{split}'", where=where, hint=f"it takes {' '.join(sorted(SUFFIXES))}")
    return found


def label_path(image: str | Path) -> Path:
    """The label file of an image: the last ``images`` folder replaced by ``labels``, the suffix by .txt."""
    folder, name = os.path.split(os.fspath(image))
    return Path(_label_folder(folder), name).with_suffix(".txt")


def label_files(images: Sequence[str]) -> list[str]:
    """The label file of each image: ``label_path`` of it as it is spelt.

    Where that is not there, but is for the folder that links lead to, it is that one: ``images`` may be a link, or a
    link may lead to ``images``.
    """
    folders: dict[str, tuple[str, str]] = {}
    found = []
    for image in images:
        folder, _, name = image.rpartition(os.sep)
        if folder not in folders:
            folders[folder] = _label_folder(folder), _label_folder(os.path.realpath(folder or os.sep))
        own, other = folders[folder]
        file = f"{name.rpartition('.')[0]}.txt"
        # Without links nothing need be looked for: that is a question to the system less for each image.
        linked = own != other and not os.path.lexists(f"{own}/{file}") and os.path.lexists(f"{other}/{file}")
        found.append(f"{other if linked else own}/{file}")
    return found


def _label_folder(folder: str) -> str:
    head, found, tail = f"{folder}{os.sep}".rpartition(_IMAGES)
    return f"{head}{_LABELS}{tail}".rstrip(os.sep) if found else folder


def _expand(entry: Path, dataset: Dataset) -> Iterable[str]:
    if entry.is_dir():
        return _walk(entry)
    if entry.is_file():
        return _read_list(entry, dataset) if entry.suffix.lower() == ".txt" else [str(entry)]
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
        begin = os.path.join(place, "")
        yield from (begin + name for name in files if name[0] != ".")


def _read_list(path: Path, dataset: Dataset) -> Iterator[str]:
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
        text = os.path.join(path.parent if line.startswith("./") else base, line.removeprefix("./"))
        yield str(Path(text)) if "//" in text or "/./" in text else text  # as Path spells them, once each

"""Splits that COCO's JSON or VOC's XML files describe: read as ``yolo.convert`` reads them, and not written anywhere.

Images are looked for below the folder that holds ``annotations`` or ``Annotations``, else below the annotations' own
folder, or below the one that the data set file names.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from yolo.data import cache
from yolo.data.convert import coco, voc
from yolo.data.convert.categories import merged, renamed
from yolo.data.convert.image_finder import ImageFinder
from yolo.data.convert.image_sets import listed
from yolo.data.convert.lines import image_lines
from yolo.data.convert.records import Labelled, Tally, count, need, require_text
from yolo.data.convert.walk import files_below, walk
from yolo.data.dataset import Dataset
from yolo.data.fingerprint import fingerprint
from yolo.data.images import check_image, is_image_name
from yolo.data.labels import LabelFile, parse_labels
from yolo.errors import DataError
from yolo.io.brief import brief

_LOG = logging.getLogger("yolo.data")


@dataclass(frozen=True)
class Annotated:
    """The images of a split, by path, each once; ``skipped`` and ``noticed`` are as those of a conversion."""

    images: list[Labelled]
    skipped: Tally = field(default_factory=Tally)
    noticed: Tally = field(default_factory=Tally)


@dataclass(frozen=True)
class Checked:
    """One image that is whole: its height and width, and its labels, None where they cannot be used."""

    shape: tuple[int, int]
    content: bytes
    """The labels as the text of a label file."""
    labels: LabelFile | None
    skipped: Tally
    noticed: Tally


def check_annotated(item: Labelled, classes: int | None) -> Checked:
    """The image and its labels, with ``classes`` as in ``parse_labels``. Raises DataError for a broken image."""
    skipped, noticed = Tally(), Tally()
    shape = check_image(item.image)
    lines = image_lines(item, shape, skipped, noticed)
    content = "".join(f"{line}\n" for line in lines or ()).encode()
    labels = None if lines is None else parse_labels(content, classes)
    return Checked(shape, content, labels, skipped, noticed)


def is_annotated(dataset: Dataset, split: str) -> bool:
    """Whether ``split`` is annotations in another format. Raises DataError where it is only in part."""
    entries = dataset.entries(split)
    kinds = {_kind(dataset, entry) for entry in entries}
    if len(kinds) > 1:
        hint = "name one kind: COCO's JSON, VOC's lists or folders, or images with YOLO labels"
        raise DataError(f"'{split}' names annotations of several kinds", where=dataset.source, hint=hint)
    return kinds != {""}


def read_split(dataset: Dataset, split: str) -> Annotated:
    """The images that the annotations of ``split`` name and that are there, with classes as ``dataset.names``.

    Raises DataError for annotations that are broken or of another kind, and where no image is there.
    """
    done = Annotated([])
    entries = dataset.entries(split)
    read = _coco if _kind(dataset, entries[0]) == "coco" else _voc
    images: dict[Path, Labelled] = {}
    for item in read(dataset, entries, done):
        if item.image in images:
            count(done.skipped, "pictures occur twice", 1, item.image.name)
            count(done.skipped, "labels of pictures that occur twice", len(item.labels), item.image.name)
        images.setdefault(item.image, item)
    done.images.extend(images[path] for path in sorted(images, key=str))
    if not images:
        why = f" ({'; '.join(done.skipped.lines())})" if done.skipped else ""
        folder = _images_folder(dataset, entries[0])
        hint = f"name their folder: '{split}: {{annotations: FILE, images: FOLDER}}'"
        raise DataError(f"annotations but none of their images below {folder}{why}", where=entries[0], hint=hint)
    return done


def files_of(dataset: Dataset, split: str) -> tuple[list[str], list[str]]:
    """What a split depends on: the annotation files, and all images where its own are looked for."""
    entries = dataset.entries(split)
    files = [str(entry) for entry in dataset.annotations if _kind(dataset, entry) == "coco"]
    for entry in entries:
        if _kind(dataset, entry) == "voc":
            files += [str(entry), *map(str, _pages(entry, Tally()))]
    folders = dict.fromkeys(_images_folder(dataset, entry) for entry in entries)
    return files, sorted({path for folder in folders for path in _images_below(folder)})


@dataclass(frozen=True)
class CocoIds:
    """What a split's COCO JSON says, and what its ids mean: those of images by path, of categories by class."""

    file: Path
    content: dict
    images: dict[Path, int | str]
    categories: dict[int, int]


def coco_ids(dataset: Dataset, split: str) -> CocoIds | None:
    """Of a split that is one COCO JSON; None for any other. Raises DataError as ``read_split``."""
    entry, *others = dataset.entries(split)
    if others or _kind(dataset, entry) != "coco":
        return None
    content = coco.read_coco(entry)
    (numbers,) = _classes(dataset, [(entry, content)], Tally())
    images: dict[Path, int | str] = {}
    for item in _coco(dataset, [entry], Annotated([])):
        images.setdefault(item.image, item.number)
    return CocoIds(entry, content, images, {number: category for category, number in numbers.items()})


def cache_place(dataset: Dataset, split: str) -> Path:
    """Where the index of a split is kept: beside its annotations."""
    entry = dataset.entries(split)[0]
    return entry.parent / f"{entry.stem}{cache.SUFFIX}"


def own_key(dataset: Dataset) -> str:
    """A fingerprint of the annotations that ``own_names`` reads."""
    entries = _naming(dataset)
    pages = [str(page) for entry in entries if _kind(dataset, entry) == "voc" for page in _pages(entry, Tally())]
    return fingerprint(cache.FORMAT, list(map(str, entries)), pages)


def own_names(dataset: Dataset) -> tuple[str, ...]:
    """The classes that the annotations name, in the order that ``yolo.convert`` gives them. Raises DataError."""
    entries = _naming(dataset)
    kinds = {_kind(dataset, entry) for entry in entries}
    if len(kinds) > 1:
        raise DataError("'names' is missing: COCO's and VOC's annotations name classes in different orders",
                        where=dataset.source, hint="list the class names there")  # fmt: skip
    key = own_key(dataset)
    places = [cache_place(dataset, split) for split in dataset.splits]
    names = next(filter(None, (cache.own_names(place, key) for place in places)), None)
    if names is None and kinds == {"coco"}:
        files = [(entry, coco.read_coco(entry)["categories"]) for entry in entries]
        names = merged(files, _common(entries), Tally())[0]
    elif names is None:
        names = tuple(voc.names_in({p: page for entry in entries for p, page in _voc_pages(entry, Tally()).items()}))
    if not names:
        raise DataError("the annotations name no class", where=entries[0], hint=f"add 'names' to {dataset.source}")
    require_text(names, entries[0], f"add 'names' to {dataset.source}")
    _LOG.info("%s has no 'names': the annotations' %d classes are taken", dataset.source, len(names))
    return names


def _naming(dataset: Dataset) -> list[Path]:
    """The annotations that name the classes: those that must be there."""
    splits = [split for split in ("train", "val") if split in dataset.splits] or list(dataset.splits)
    return list(dict.fromkeys(entry for split in splits for entry in dataset.splits[split]))


def _kind(dataset: Dataset, entry: Path) -> str:
    if entry not in dataset.annotations:
        return ""
    return "coco" if entry.suffix.lower() == ".json" else "voc"


def _home(entry: Path) -> Path:
    """The folder that annotations and images lie below."""
    if entry.suffix.lower() == ".json":
        return entry.parent.parent if entry.parent.name == "annotations" else entry.parent
    if entry.is_dir():
        above = next((some for some in (entry, *entry.parents) if some.name == "Annotations"), None)
        return entry if above is None else above.parent
    return next((some.parent for some in entry.parents if some.name == "ImageSets"), entry.parent)


def _images_folder(dataset: Dataset, entry: Path) -> Path:
    return dataset.annotations[entry] or _home(entry)


def _finder(dataset: Dataset, entry: Path) -> ImageFinder:
    folder = _images_folder(dataset, entry)
    if not folder.is_dir():
        raise DataError("no such folder of images", where=folder, hint=f"mend 'images' in {dataset.source}")
    return ImageFinder(folder)


def _coco(dataset: Dataset, entries: Sequence[Path], done: Annotated) -> Iterator[Labelled]:
    files = [(entry, coco.read_coco(entry)) for entry in entries]
    for (entry, content), numbers in zip(files, _classes(dataset, files, done.noticed)):
        reading = coco.Reading(_finder(dataset, entry), dataset.segments, done.skipped, done.noticed)
        yield from coco.labelled_images([(entry, content)], [numbers], reading)


def _classes(dataset: Dataset, files: coco.Contents, noticed: Tally) -> list[dict[int, int]]:
    """For each of the files the class of each category id: by name, else as ``yolo.convert`` renames them."""
    own, numbers = merged(
        [(path, content["categories"]) for path, content in files], _common([path for path, _ in files]), Tally()
    )
    places = {name: position for position, name in enumerate(dataset.names)}
    if places.keys() >= set(own):
        return [{number: places[own[position]] for number, position in some.items()} for some in numbers]
    known = dict(files)
    every = [entry for entry in dataset.annotations if _kind(dataset, entry) == "coco" and entry.is_file()]
    contents = [known.get(entry) or coco.read_coco(entry) for entry in every]
    categories = [(entry, content["categories"]) for entry, content in zip(every, contents)]
    own, numbers = merged(categories, _common(every), noticed)
    if len(own) != dataset.nc:
        what = f"'names' lists {dataset.nc} classes, its annotations have {len(own)}, such as {brief(own[0])}"
        raise DataError(what, where=dataset.source, hint="leave 'names' out to take those of the annotations")
    _, order = renamed(own, dataset.names, dataset.source, noticed)
    of_file = dict(zip(every, numbers))
    return [{number: order[position] for number, position in of_file[path].items()} for path, _ in files]


def _voc(dataset: Dataset, entries: Sequence[Path], done: Annotated) -> Iterator[Labelled]:
    classes = {name: number for number, name in enumerate(dataset.names)}
    for entry in entries:
        pages = _voc_pages(entry, done.skipped)
        reading = voc.Reading(_home(entry), _finder(dataset, entry), done.skipped, done.noticed)
        yield from voc.labelled_images([(path, "") for path in pages], pages, classes, reading)


def _voc_pages(entry: Path, skipped: Tally) -> dict[Path, voc.Page]:
    return voc.read_pages(_pages(entry, skipped), _home(entry), skipped)


def _pages(entry: Path, skipped: Tally) -> list[Path]:
    """The XML files of a list in ``ImageSets``, or of a folder."""
    folder = entry if entry.is_dir() else _home(entry) / "Annotations"
    files = files_below(folder, "*.xml", skipped)
    need(files, "no XML file below it", folder)
    return files if entry.is_dir() else list(dict.fromkeys(listed(_home(entry), entry, files, skipped)))


def _images_below(folder: Path) -> Iterator[str]:
    for place, folders, names in walk(folder, Tally()):
        folders[:] = [name for name in folders if name[0] != "."]
        begin = os.path.join(place, "")
        yield from (begin + name for name in names if name[0] != "." and is_image_name(name))


def _common(paths: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([path.parent for path in paths]))

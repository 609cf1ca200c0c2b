"""PASCAL VOC: one XML file a picture, ``Annotations`` beside ``JPEGImages`` and, perhaps, ``ImageSets/Main``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from yolo.data.convert.pictures import PictureFinder
from yolo.data.convert.records import Conversion, Label, Labelled, count, need, split_of
from yolo.errors import DataError


@dataclass(frozen=True)
class _Page:
    """One XML file: ``objects`` are name and box, difficult ones left out."""

    picture: str
    objects: tuple[tuple[str, tuple[float, float, float, float]], ...]
    difficult: int


def voc(source: Path, names: Sequence[str] | None, segments: bool = False) -> Conversion:
    """Every XML file below ``source``; difficult objects are left out.

    Splits are those of ``ImageSets/Main``, else the XML files' folder says. VOC counts pixels from 1 and a box includes
    its last ones, so the corners are ``xmin - 1, ymin - 1, xmax, ymax``. ``names`` are the classes (others are left
    out); None takes every name there is, sorted.
    """
    folders = sorted({path.parent for path in source.rglob("*.xml")})
    need(folders, "no XML file below it", source)
    pages = {path: _read(path) for folder in folders for path in sorted(folder.glob("*.xml"))}
    found = sorted({name for page in pages.values() for name, _ in page.objects})
    classes = {name: number for number, name in enumerate(names or found)}
    skipped: dict[str, int] = {}
    finder = PictureFinder(source)

    def pictures() -> Iterator[Labelled]:
        for folder in folders:
            for path, split in _members(folder, pages):
                page = pages[path]
                picture = finder.find(path.stem, (folder, folder.parent / "JPEGImages"))
                picture = picture or finder.find(page.picture, (folder,))
                if picture is None:
                    count(skipped, "pictures are not there")
                    continue
                labels = _labels(page, classes, skipped)
                yield Labelled(picture, PurePosixPath("images", split, picture.name), split_of(split), labels)

    return Conversion(tuple(classes), pictures(), skipped)


def _members(folder: Path, pages: dict[Path, _Page]) -> Iterator[tuple[Path, str]]:
    """XML files with the folder name of their split: train2007, val2007, …"""
    year = "".join(re.findall(r"VOC(\d{4})$", folder.parent.name))
    lists = [folder.parent / "ImageSets" / "Main" / f"{split}.txt" for split in ("train", "val", "test")]
    if not any(file.is_file() for file in lists):
        split = split_of(folder.name if folder.name != "Annotations" else folder.parent.name)
        yield from ((path, f"{split}{year}") for path in pages if path.parent == folder)
        return
    for file in filter(Path.is_file, lists):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            path = folder / f"{(line.split() or [''])[0]}.xml"
            if path in pages:
                yield path, f"{file.stem}{year}"


def _labels(page: _Page, classes: dict[str, int], skipped: dict[str, int]) -> tuple[Label, ...]:
    for _ in range(page.difficult):
        count(skipped, "objects marked as difficult")
    for name, _ in page.objects:
        if name not in classes:
            count(skipped, "objects of other classes")
    return tuple(Label(classes[name], box) for name, box in page.objects if name in classes)


def _read(path: Path) -> _Page:
    try:
        content = path.read_bytes()
        need(b"<!ENTITY" not in content, "an XML file with entities", path)
        root = ElementTree.fromstring(content)
        objects = root.findall("object")
        easy = [some for some in objects if (some.findtext("difficult") or "0").strip() != "1"]
        return _Page(
            (root.findtext("filename") or path.stem).strip(),
            tuple(((some.findtext("name") or "").strip(), _box(some)) for some in easy),
            len(objects) - len(easy),
        )
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=path) from error
    except (ElementTree.ParseError, ValueError, TypeError) as error:
        raise DataError(f"not a VOC annotation ({str(error)[:100]})", where=path) from error


def _box(element: ElementTree.Element) -> tuple[float, float, float, float]:
    left, top, right, bottom = (
        float(element.findtext(f"bndbox/{name}") or "") for name in ("xmin", "ymin", "xmax", "ymax")
    )
    return left - 1, top - 1, right, bottom

"""PASCAL VOC: one XML file an image, ``Annotations`` beside ``JPEGImages`` and, perhaps, ``ImageSets/Main``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from yolo.data.convert.image_finder import ImageFinder, Wanted, parts_of, plain_name
from yolo.data.convert.image_sets import members
from yolo.data.convert.records import Conversion, Label, Labelled, Tally, count, need, split_of
from yolo.data.convert.walk import files_below
from yolo.errors import DataError

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class Page:
    """One XML file: ``objects`` are name and box; ``left_out`` counts those that are not among them."""

    filename: str
    """What <filename> says; '' where there is none."""
    paths: tuple[str, ...]
    """Where <folder> and <path> say that the image is."""
    size: tuple[int, int] | None
    objects: tuple[tuple[str, tuple[float, float, float, float]], ...]
    left_out: Tally = field(default_factory=Tally)


@dataclass(frozen=True)
class Reading:
    """What holds for all files of a conversion: where they lie, where the images are, what is counted."""

    source: Path
    finder: ImageFinder
    skipped: Tally
    noticed: Tally


def voc(source: Path, names: Sequence[str] | None, segments: bool = False) -> Conversion:
    """Every XML file below ``source``; difficult objects are left out, and those without a box or a name.

    Splits are those of ``ImageSets/Main``, else the XML files' folder says. VOC counts pixels from 1 and a box includes
    its last ones, so the corners are ``xmin - 1, ymin - 1, xmax, ymax``. ``names`` are the classes (others are left
    out); None takes every name there is, sorted.
    """
    skipped, noticed = Tally(), Tally()
    files = files_below(source, "*.xml", skipped)
    need(files, "no XML file below it", source)
    pages = read_pages(files, source, skipped)
    classes = {name: number for number, name in enumerate(names or names_in(pages))}

    def labelled() -> Iterator[Labelled]:
        finder, chosen = ImageFinder(source), list(members(source, list(pages), skipped))
        yield from labelled_images(chosen, pages, classes, Reading(source, finder, skipped, noticed))

    return Conversion(tuple(classes), labelled(), skipped, noticed)


def read_pages(files: Sequence[Path], source: Path, skipped: Tally) -> dict[Path, Page]:
    """What the XML files hold; those of another kind, named as they lie below ``source``, are counted."""
    return {path: page for path in files if (page := _read(path, source, skipped))}


def names_in(pages: Mapping[Path, Page]) -> list[str]:
    """The classes that any object has, sorted."""
    return sorted({name for page in pages.values() for name, _ in page.objects})


def labelled_images(
    chosen: Sequence[tuple[Path, str]], pages: Mapping[Path, Page], classes: Mapping[str, int], reading: Reading
) -> Iterator[Labelled]:
    """The images of XML files that are there; ``chosen`` are the files with the folder name of their split."""
    wanted = [_wanted(path, pages[path]) for path, _ in chosen]
    for (path, split), file in zip(chosen, reading.finder.find_all(wanted, reading.skipped)):
        if file is None:
            continue
        page = pages[path]
        if _names_another(page, file, reading.finder):
            reason = "XML files whose <filename> is another image than the one of their own name, which is taken"
            count(reading.noticed, reason, 1, path.relative_to(reading.source))
        place = PurePosixPath("images", split, plain_name(file))
        labels = _labels(page, classes, reading.skipped)
        yield Labelled(file, place, split_of(split), labels, page.size, scaled=False, file=path)


def _wanted(path: Path, page: Page) -> Wanted:
    """An XML file's own name goes before <filename>: whoever renames images rarely mends that."""
    folder = path.parent
    top = next((above for above in (folder, *folder.parents) if above.name == "Annotations"), folder)
    usual = [top.parent / images / folder.relative_to(top) for images in ("JPEGImages", "images")]
    names = (Path(plain_name(path)).stem, *filter(None, [page.filename]))
    return Wanted(names, path, page.paths, (folder, folder.parent / "JPEGImages", *usual))


def _names_another(page: Page, file: Path, finder: ImageFinder) -> bool:
    """Whether <filename> is an image that is there, and another one than ``file``."""
    name = (parts_of(page.filename) or ("",))[-1]
    own = plain_name(file)
    return name not in (own, Path(own).stem) and finder.has(name)


def _labels(page: Page, classes: Mapping[str, int], skipped: Tally) -> tuple[Label, ...]:
    skipped.add(page.left_out)
    for name, _ in page.objects:
        if name not in classes:
            count(skipped, "objects of other classes", 1, name)
    return tuple(Label(classes[name], box) for name, box in page.objects if name in classes)


def _read(path: Path, source: Path, skipped: Tally) -> Page | None:
    """The XML file's content; None, which is counted, for one of another kind."""
    try:
        content = path.read_bytes()
        need(b"<!ENTITY" not in content.replace(b"\0", b""), "an XML file with entities", path)  # in UTF-16 too
        root = ElementTree.fromstring(content)
        if root.tag != "annotation" and root.find("object") is None and root.find("filename") is None:
            count(skipped, "XML files that are no VOC annotation", 1, path.relative_to(source))
            return None
        return _page(root)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=path) from error
    except (ElementTree.ParseError, ValueError, TypeError, LookupError) as error:  # the last: no such encoding
        raise DataError(f"not a VOC annotation ({str(error)[:100]})", where=path) from error


def _page(root: ElementTree.Element) -> Page:
    filename, folder, path = ((root.findtext(key) or "").strip() for key in ("filename", "folder", "path"))
    left_out, objects = Tally(), []
    for some in root.findall("object"):
        name, box = (some.findtext("name") or "").strip(), _box(some)
        if (some.findtext("difficult") or "0").strip() == "1":
            count(left_out, "objects marked as difficult")
        elif box is None:
            count(left_out, "objects without a box", 1, *filter(None, [name]))
        elif not name:
            count(left_out, "objects without a name")
        else:
            objects.append((name, box))
    paths = [f"{folder}/{filename}"] if folder and filename else []
    return Page(filename, (*paths, *filter(None, [path])), _size(root), tuple(objects), left_out)


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    """Height and width as <size> says; None where it says nothing of use."""
    words = [(root.findtext(f"size/{key}") or "").strip() for key in ("height", "width")]
    return (int(words[0]), int(words[1])) if all(word.isdecimal() and 0 < len(word) < 9 for word in words) else None


def _box(element: ElementTree.Element) -> tuple[float, float, float, float] | None:
    """The corners; None where the file does not say all of them. Raises ValueError for what is no number."""
    words = [(element.findtext(f"bndbox/{name}") or "").strip() for name in _CORNERS]
    values = [float(word) for word in words if word]
    return (values[0] - 1, values[1] - 1, values[2], values[3]) if len(values) == 4 else None

"""VOC's splits: what the lists in ``ImageSets/Main`` name, else what folders say."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from yolo.data.convert.image_finder import common_end, parts_of, plain_name
from yolo.data.convert.records import Tally, count, split_of, splits_in
from yolo.data.images import SUFFIXES
from yolo.errors import DataError
from yolo.io.files import require_file

_FLAGS = ("0", "1", "-1")
"""Behind every entry in the lists of a class: whether the image has it."""


def members(source: Path, files: Sequence[Path], skipped: Tally) -> Iterator[tuple[Path, str]]:
    """The XML ``files`` with the folder name of their split: train2007, val2007, …

    Entries of lists without a file, and files without an entry where there are lists, are counted.
    """
    groups: dict[Path, list[Path]] = defaultdict(list)
    lists: dict[Path, list[Path]] = {}
    for path in files:
        if path.parent not in groups:
            lists[path.parent] = _lists(path.parent, source)
        groups[path.parent].append(path)
    done = set()
    for folder, own in groups.items():
        if not lists[folder]:
            split = _folder_split(folder, source)
            yield from ((path, split) for path in own)
        elif (base := lists[folder][0].parents[2]) not in done:
            done.add(base)
            together = [path for other in groups if lists[other] == lists[folder] for path in groups[other]]
            yield from _listed(base, lists[folder], together, skipped)


def _lists(folder: Path, source: Path) -> list[Path]:
    """The lists of the nearest ``ImageSets/Main`` above a folder of XML files."""
    above = [folder.parent, *(some for some in folder.parents[1:] if some == source or source in some.parents)]
    for base in above:
        main = base / "ImageSets" / "Main"
        found = [file for name in ("train", "val", "test") if (file := main / f"{name}.txt").is_file()]
        if (both := main / "trainval.txt").is_file() and not {"train", "val"} & {file.stem for file in found}:
            found.insert(0, both)
        if found:
            return found
    return []


def _year(base: Path) -> str:
    return "".join(re.findall(r"VOC(\d{4})$", base.name))


def _folder_split(folder: Path, source: Path) -> str:
    inside = folder.relative_to(source).parts
    while "Annotations" in inside[:-1] and folder.name != "Annotations" and not splits_in(folder.name):
        folder, inside = folder.parent, inside[:-1]
    name = folder.name if folder.name != "Annotations" else folder.parent.name
    return f"{split_of(name)}{_year(folder.parent)}"


def _listed(base: Path, lists: Sequence[Path], files: Sequence[Path], skipped: Tally) -> Iterator[tuple[Path, str]]:
    unlisted = dict.fromkeys(files)
    for file in lists:
        for path in listed(base, file, files, skipped):
            unlisted.pop(path, None)
            yield path, f"{file.stem}{_year(base)}"
    left = [path.relative_to(base) for path in unlisted]
    count(skipped, "XML files that no list in ImageSets/Main names", len(left), *left[:3])


def listed(base: Path, file: Path, files: Sequence[Path], skipped: Tally) -> Iterator[Path]:
    """Those of the XML ``files`` that a list names; ``base`` is the folder of ``Annotations`` and ``ImageSets``.

    Entries that mean no file, or several, are counted.
    """
    by_stem: dict[str, list[tuple[tuple[str, ...], Path]]] = defaultdict(list)
    for path in files:
        parts = (*path.relative_to(base).parts[1:-1], *parts_of(plain_name(path)))  # below Annotations
        by_stem[Path(parts[-1]).stem].append((parts, path))
    entries = _entries(file)
    plain = [head for head, *flag in (entry.rsplit(maxsplit=1) for entry in entries) if flag and flag[0] in _FLAGS]
    flagged = len(plain) == len(entries)
    for number, entry in enumerate(entries):
        forms = [entry, plain[number]] if flagged else [entry]
        matches = next(filter(None, (_matches(form, by_stem) for form in forms)), [])
        if len(matches) == 1:
            yield matches[0]
        else:
            reason = "that several XML files may mean" if matches else "without an XML file"
            count(skipped, f"entries of ImageSets/Main {reason}", 1, f"{file.name}: {entry}")


def _entries(file: Path) -> list[str]:
    try:
        require_file(file)
        lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=file) from error
    return [line.strip() for line in lines if line.strip()]


def _matches(entry: str, by_stem: dict[str, list[tuple[tuple[str, ...], Path]]]) -> list[Path]:
    """The XML files that an entry may mean, a path or a name, with or without an ending: at best one."""
    said = parts_of(entry)
    for form in (said, (*said[:-1], Path(said[-1]).stem) if Path(entry).suffix.lower() in {*SUFFIXES, ".xml"} else ()):
        if not form:
            continue
        ends = [(common_end(parts, form), parts, path) for parts, path in by_stem.get(form[-1], ())]
        good = [(end, len(parts), path) for end, parts, path in ends if end == min(len(parts), len(form))]
        best = min(((-end, length) for end, length, _ in good), default=None)
        if best is not None:
            return [path for end, length, path in good if (-end, length) == best]
    return []

"""What is wrong, or worth knowing, about a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from yolo.data.audit.scan import Seen, stray_labels
from yolo.data.convert.records import Tally
from yolo.data.dataset import Dataset

ERROR, WARNING, NOTE = "error", "warning", "note"
"""Training refuses it; training leaves something out or is misled; worth knowing."""

TINY_PIXELS = 2.0
"""A side below this at the training size is lost: the augmentation drops such boxes."""
HUGE_AREA = 0.95
RARE = 100
"""A class this many times rarer than the most frequent one is noted."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found."""

    kind: str
    level: str
    split: str
    where: str
    """A file, ``file:line``, or a class."""
    text: str


def findings(dataset: Dataset, splits: Mapping[str, Sequence[Seen]], imgsz: int) -> list[Finding]:
    """Everything about all splits; boxes are measured as they are when the long side is ``imgsz`` pixels."""
    found: list[Finding] = []
    for split, images in splits.items():
        for seen in images:
            found += _of_image(seen, split)
            found += _of_labels(seen, split, imgsz)
        found += _of_split(images, split)
        found += _twice(images, split)
    found += _in_both(dataset, splits)
    found += _labelled_otherwise(splits)
    found += _classes(dataset, splits)
    return found


def annotation_findings(entry: Path, split: str, skipped: Tally, noticed: Tally) -> list[Finding]:
    """What is not used, or taken otherwise than said, of annotations in another format."""
    left_out = [Finding("left-out", WARNING, split, str(entry), line) for line in skipped.lines()]
    return left_out + [Finding("taken-otherwise", NOTE, split, str(entry), line) for line in noticed.lines()]


def _of_image(seen: Seen, split: str) -> Iterator[Finding]:
    where = str(seen.path)
    if seen.missing:
        yield Finding("missing-picture", WARNING, split, where, "the image is not there")
    elif seen.broken:
        yield Finding("broken-picture", WARNING, split, where, seen.broken)
    elif seen.turned:
        text = "EXIF turns it: it is trained upright, so its labels must be for the upright image"
        yield Finding("turned-picture", NOTE, split, where, text)


def _of_labels(seen: Seen, split: str, imgsz: int) -> Iterator[Finding]:
    file = seen.where
    if seen.labels is None:
        yield Finding("unreadable-labels", WARNING, split, file, "the label file cannot be read")
        return
    for line, reason in seen.labels.problems:
        yield Finding(_kind(reason), WARNING, split, f"{file}:{line}", reason)
    for line, number in seen.labels.out_of_range:
        yield Finding("unknown-class", ERROR, split, f"{file}:{line}", f"class {number} has no name")
    if not seen.usable:
        return
    scale = imgsz / max(seen.shape)
    for row in seen.labels.rows:
        width, height = row[3] * seen.shape[1] * scale, row[4] * seen.shape[0] * scale
        if min(width, height) < TINY_PIXELS:
            text = f"a box of {width:.1f} x {height:.1f} pixels at {imgsz}: too small to be learnt"
            yield Finding("tiny-box", NOTE, split, file, text)
        elif row[3] * row[4] > HUGE_AREA:
            yield Finding("huge-box", NOTE, split, file, f"a box covers {100 * row[3] * row[4]:.0f} % of the image")


def _kind(reason: str) -> str:
    """The kind of a dropped label line, by the parser's words."""
    for words, kind in (
        ("duplicate of line", "duplicate-label"),
        ("is not within 0..1", "label-outside"),
        ("has no area", "label-without-area"),
    ):
        if words in reason:
            return kind
    return "broken-label"


def _of_split(images: Sequence[Seen], split: str) -> Iterator[Finding]:
    usable = [seen for seen in images if seen.usable]
    if not usable:
        yield Finding("empty-split", ERROR, split, split, "no usable image")
        return
    empty = sum(not seen.labels or not len(seen.labels.rows) for seen in usable)
    if empty == len(usable):
        level = ERROR if split == "train" else WARNING
        where = str(usable[0].label_file.parent)
        yield Finding("no-labels", level, split, where, "no image has a label; is this where the label files lie?")
    elif empty > len(usable) / 2:
        yield Finding("backgrounds", NOTE, split, split, f"{empty} of {len(usable)} images have no label")
    for file in stray_labels(images):
        yield Finding("stray-labels", NOTE, split, str(file), "no image belongs to this label file")


def _labelled_otherwise(splits: Mapping[str, Sequence[Seen]]) -> Iterator[Finding]:
    """Copies of an image with other labels than the first: one of them is wrong."""
    first: dict[str, Seen] = {}
    for split, images in splits.items():
        for seen in filter(lambda seen: seen.usable, images):
            other = first.setdefault(seen.digest, seen)
            if seen is not other and seen.labels and other.labels and _rows(seen) != _rows(other):
                text = f"its labels ({seen.objects}) are not those ({other.objects}) of {other.path}, the same image"
                yield Finding("labels-differ", WARNING, split, str(seen.path), text)


def _rows(seen: Seen) -> list[list[float]]:
    return sorted(map(list, seen.labels.rows))


def _twice(images: Sequence[Seen], split: str) -> Iterator[Finding]:
    first: dict[str, Path] = {}
    for seen in filter(lambda seen: seen.usable, images):
        other = first.setdefault(seen.digest, seen.path)
        if other != seen.path:
            yield Finding("duplicate-picture", WARNING, split, str(seen.path), f"the same image as {other}")


def _in_both(dataset: Dataset, splits: Mapping[str, Sequence[Seen]]) -> Iterator[Finding]:
    """Images that are trained on and measured with."""
    first = {seen.digest: seen.path for seen in splits.get("train", ()) if seen.usable}
    for split in ("val", "test"):
        images = splits.get(split, ())
        shared = [seen for seen in images if seen.digest in first]
        if shared and dataset.splits.get(split) == dataset.splits.get("train"):
            yield Finding(
                "same-split", NOTE, split, split, "the same images as train: it does not measure generalisation"
            )
            continue
        for seen in shared:
            text = f"is trained on too, as {first[seen.digest]}"
            yield Finding("picture-in-both", WARNING, split, str(seen.path), text)


def class_counts(images: Sequence[Seen]) -> Counter:
    """Labels of usable images by class number."""
    rows = (row for seen in images if seen.usable and seen.labels for row in seen.labels.rows)
    return Counter(int(row[0]) for row in rows)


def _classes(dataset: Dataset, splits: Mapping[str, Sequence[Seen]]) -> Iterator[Finding]:
    for split in (split for split in ("train", "val") if split in splits):
        counts = class_counts(splits[split])
        most = max(counts.values(), default=0)
        if not most:
            continue
        level = WARNING if split == "train" else NOTE
        for number, name in enumerate(dataset.names):
            if not counts[number]:
                yield Finding("class-without-labels", level, split, name, "no label of this class")
            elif counts[number] * RARE < most:
                own = f"{counts[number]} label" + "s" * (counts[number] > 1)
                text = f"{own}, the most frequent class has {most}"
                yield Finding("rare-class", NOTE, split, name, text)

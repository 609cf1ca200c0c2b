"""A corrected copy of a data set; the data set itself is only read."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml

from yolo.data.audit.scan import Seen
from yolo.data.convert.run import link_or_copy
from yolo.data.dataset import Dataset
from yolo.data.folders import new_folder
from yolo.data.labels import parse_labels
from yolo.data.listing import label_path
from yolo.errors import DataError
from yolo.io.files import write_text_atomic


def write_mended(dataset: Dataset, splits: Mapping[str, Sequence[Seen]], folder: Path) -> Path:
    """Write usable images with mended labels and ``data.yaml`` into the new ``folder``; give the YAML file.

    Left out are images that are missing, broken, a second copy in their split, or in train although val or test has
    them (unless nothing would remain to train on); what stays has the labels of the copy that has most. Labels are cut
    to the image; lines that cannot be mended, that repeat another or whose class has no name are left out. Images
    are hard links where that is possible. Raises DataError when ``folder`` is within the data set's own folders, or
    holds something.
    """
    _refuse_own(dataset, folder)
    chosen = choose(splits)
    with new_folder(folder, dataset.source, "--fix") as target:
        for split, images in chosen.items():
            parents = [str(seen.path.parent) for seen in images]
            common = os.path.commonpath([os.path.abspath(parent) for parent in parents]) if parents else "."
            (target / "images" / split).mkdir(parents=True)
            for seen in images:
                place = target / "images" / split / os.path.relpath(os.path.abspath(seen.path), common)
                place.parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(seen.path, place)
                lines = mended_lines(seen.content, dataset.nc)
                file = label_path(place)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        content = {"path": ".", **{split: f"images/{split}" for split, some in chosen.items() if some}}
        content["names"] = dict(enumerate(dataset.names))
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        write_text_atomic(target / "data.yaml", f"# Made by yolo.check --fix from {dataset.source.name}\n{text}")
    return folder / "data.yaml"


def choose(splits: Mapping[str, Sequence[Seen]]) -> dict[str, list[Seen]]:
    """The images of each split that are kept."""
    held_out = {seen.digest for split in ("val", "test") for seen in splits.get(split, ()) if seen.usable}
    richest: dict[str, Seen] = {}
    for seen in (seen for images in splits.values() for seen in images if seen.usable):
        richest[seen.digest] = max(richest.get(seen.digest, seen), seen, key=lambda copy: copy.objects)
    chosen = {}
    for split, images in splits.items():
        kept = list({seen.digest: seen for seen in reversed(images) if seen.usable}.values())[::-1]
        if split == "train":
            kept = [seen for seen in kept if seen.digest not in held_out] or kept
        chosen[split] = [_with_labels_of(richest[seen.digest], seen) for seen in kept]
    return chosen


def _with_labels_of(copy: Seen, seen: Seen) -> Seen:
    """The image with the labels of its copy where those are more."""
    more = copy.objects > seen.objects
    return dataclasses.replace(seen, content=copy.content, labels=copy.labels) if more else seen


def mended_lines(content: bytes, classes: int) -> list[str]:
    """The lines of a label file that can be used, as they are or cut to the image, each once."""
    lines: dict[str, None] = {}
    for line in content.decode("utf-8-sig", errors="replace").replace("\r", "\n").split("\n"):
        text = " ".join(line.split())
        if text and not len(parse_labels(text.encode(), classes).rows):
            text = _cut(text)
        if text and len(parse_labels(text.encode(), classes).rows):
            lines[text] = None
    # Equal numbers may be written in different ways: what the parser still calls a duplicate goes.
    kept = list(lines)
    twice = {number for number, _ in parse_labels("\n".join(kept).encode(), classes).problems}
    return [line for number, line in enumerate(kept, 1) if number not in twice]


def _cut(text: str) -> str:
    """A box or outline that leaves the image, cut to it; '' for what is no such line."""
    try:
        values = np.array([float(word) for word in text.split()[1:]])
    except ValueError:
        return ""
    if not np.isfinite(values).all() or len(values) < 4 or len(values) % 2:
        return ""
    if len(values) == 4:
        corners = np.concatenate([values[:2] - values[2:] / 2, values[:2] + values[2:] / 2]).clip(0, 1)
        values = np.concatenate([(corners[:2] + corners[2:]) / 2, corners[2:] - corners[:2]])
    return " ".join([text.split()[0], *(f"{value:.6f}" for value in values.clip(0, 1))])


def _refuse_own(dataset: Dataset, folder: Path) -> None:
    place = folder.resolve()
    for entries in dataset.splits.values():
        for entry in entries:
            own = entry.resolve() if entry.is_dir() else entry.resolve().parent
            if place == own or (entry.is_dir() and own in place.parents) or place in own.parents:
                raise DataError(f"lies within or around {own}, which is the data set's", where=f"--fix {folder}",
                                hint="name a new folder elsewhere")  # fmt: skip

"""What indexing a split gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolo.data.sequences import Outlines, Paths, Rows


@dataclass
class IndexReport:
    """What was found while indexing; the texts are ``file: reason`` or ``file:line: reason``."""

    pictures: int = 0
    """Usable images."""
    labels: int = 0
    without_labels: int = 0
    """Usable images whose label file is absent or holds no label: backgrounds."""
    corrupt: list[str] = field(default_factory=list)
    """Images that were left out."""
    problems: list[str] = field(default_factory=list)
    """Label lines that were dropped."""
    out_of_range: list[str] = field(default_factory=list)
    """Label lines with a class that has no name."""
    left_out: list[str] = field(default_factory=list)
    """Of annotations in another format: what is not used, ``number reason (examples)``."""
    noticed: list[str] = field(default_factory=list)
    """Of these, too: what is taken otherwise than they say it."""

    def summary(self) -> str:
        """One line of figures."""
        return (
            f"{self.pictures} images, {self.labels} labels, {self.without_labels} images without labels, "
            f"{len(self.corrupt)} images left out, {len(self.problems)} label lines dropped"
        )


@dataclass(frozen=True, eq=False)
class Index:
    """The usable images of a split; position ``i`` of every field belongs to one image.

    The fields are read alone: they may be a file that several processes map.
    """

    paths: Paths
    """Of each image, a Path."""
    labels: Rows
    """Label rows, float32 ``[n, 5]``: class, xywhn."""
    segments: Outlines
    """For each label row its polygon, float32 ``[k, 2]`` xyn; ``[0, 2]`` where the label is a box."""
    shapes: NDArray[np.int64]
    """``[N, 2]``: height and width in pixels, upright."""
    names: tuple[str, ...]
    report: IndexReport

    @classmethod
    def of(
        cls,
        paths: Sequence[str | Path],
        labels: Sequence[NDArray[np.float32]],
        segments: Sequence[Sequence[NDArray[np.float32]]],
        shapes: Sequence[tuple[int, int]],
        names: Sequence[str],
        report: IndexReport | None = None,
    ) -> Index:
        """Of an item for each image; the ``report``'s counts are set by them."""
        index = cls(
            Paths.of(paths),
            Rows.of(labels),
            Outlines.of(segments),
            np.array(shapes, np.int64).reshape(-1, 2),
            tuple(names),
            report or IndexReport(),
        )
        return index._counted()

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, places: NDArray[np.int64]) -> Index:
        """Some of the images, in that order."""
        fields = {name: getattr(self, name).take(places) for name in ("paths", "labels", "segments")}
        return replace(self, **fields, shapes=self.shapes[places])._counted()

    def _counted(self) -> Index:
        counts = self.labels.counts
        figures = {"labels": int(counts.sum()), "without_labels": int((counts == 0).sum())}
        return replace(self, report=replace(self.report, pictures=len(self), **figures))


def renumbered(index: Index, order: Sequence[int]) -> Index:
    """``index`` with its classes in another order: class i is the one that was ``order[i]``."""
    rows = index.labels.joined().copy()
    rows[:, 0] = np.argsort(order)[rows[:, 0].astype(int)]
    labels = Rows.split(rows, index.labels.counts)
    return replace(index, labels=labels, names=tuple(index.names[number] for number in order))

"""What indexing a split gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


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

    def summary(self) -> str:
        """One line of figures."""
        return (
            f"{self.pictures} images, {self.labels} labels, {self.without_labels} images without labels, "
            f"{len(self.corrupt)} images left out, {len(self.problems)} label lines dropped"
        )


@dataclass(frozen=True, eq=False)
class Index:
    """The usable images of a split; position ``i`` of every field belongs to one image."""

    paths: tuple[Path, ...]
    labels: list[NDArray[np.float32]]
    """Label rows, float32 ``[n, 5]``: class, xywhn."""
    segments: list[list[NDArray[np.float32]]]
    """For each label row its polygon, float32 ``[k, 2]`` xyn; ``[0, 2]`` where the label is a box."""
    shapes: NDArray[np.int64]
    """``[N, 2]``: height and width in pixels, upright."""
    names: tuple[str, ...]
    report: IndexReport

    def __len__(self) -> int:
        return len(self.paths)


def renumbered(index: Index, order: Sequence[int]) -> Index:
    """``index`` with its classes in another order: class i is the one that was ``order[i]``."""
    numbers, labels = np.argsort(order), [rows.copy() for rows in index.labels]
    for rows in labels:
        rows[:, 0] = numbers[rows[:, 0].astype(int)]
    return replace(index, labels=labels, names=tuple(index.names[number] for number in order))

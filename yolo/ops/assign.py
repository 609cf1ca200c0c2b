"""Assignment of targets to the cells of the detection levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from yolo.ops._native import native


@dataclass(frozen=True, eq=False, slots=True)
class Assignment:
    """The matches of one level: k cells and what each shall predict."""

    image: np.ndarray  #: int32 [k]
    anchor: np.ndarray  #: int32 [k]
    row: np.ndarray  #: int32 [k], the cell's gj
    column: np.ndarray  #: int32 [k], the cell's gi
    boxes: np.ndarray  #: float32 [k, 4]: x, y from the cell's corner, w, h; in cells
    classes: np.ndarray  #: int32 [k]

    def __len__(self) -> int:
        return len(self.image)


def assign_targets(
    labels: np.ndarray,
    counts: np.ndarray,
    anchors: np.ndarray,
    grid_sizes: Sequence[tuple[int, int]],
    anchor_t: float = 4.0,
) -> list[Assignment]:
    """Which cells answer for which target: one Assignment per level.

    ``labels`` is float32 ``[B, M, 5]`` (class, x, y, w, h; normalised), of which image i uses the first
    ``counts[i]``; ``anchors`` is float32 ``[levels, anchors, 2]``, width and height in cells; ``grid_sizes`` holds
    (height, width) of each level in cells.

    A target matches an anchor when neither side is ``anchor_t`` times greater or smaller. It goes to its own cell
    and to the neighbours whose border is nearer than half a cell. Order: own cell, left, top, right, bottom; within
    each by anchor, then image, then label. Cells outside the grid are moved to its border. A label that is not
    finite, has a class below 0 (or above 2^24) or a side that is not above 0 matches nothing.

    Raises ValueError, naming the argument, for a wrong shape, type or range. Rule: YOLOv5's, section "Targets and
    loss" of its public description.
    """
    sizes = [(int(height), int(width)) for height, width in grid_sizes]
    return [Assignment(*level) for level in native.assign_targets(labels, counts, anchors, sizes, anchor_t)]

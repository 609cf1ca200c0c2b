"""Which detection belongs to which track.

The rule: among all ways to pair rows with columns the one is taken whose sum is least, where a pair costs what the
matrix says and everything that stays alone costs ``limit`` a pair. So a pair above the limit is never made, and no good
pair is given up for one that would be dropped afterwards, as happens where the limit is a filter behind the assignment.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from yolo import ops
from yolo.tracking.tracks import Places

OTHER_CLASS = 0.1
"""What a pair of different classes costs more: where two boxes lie on each other each keeps its own class."""

# How much less than two that stay alone a pair costs whose cost is the limit.
_PREFERENCE = 1e-9


def match(costs: NDArray[np.floating], limit: float) -> tuple[Places, Places]:
    """The rows and the columns of the pairs, rows ascending; see the module for the rule.

    ``costs`` is ``[n, m]``, n and m may be 0; a pair whose cost is NaN or above ``limit`` is not made, one of exactly
    ``limit`` is. Raises ValueError for what is no matrix.
    """
    from scipy.optimize import linear_sum_assignment  # takes as long to load as all else together

    costs = np.asarray(costs, np.float64)
    if costs.ndim != 2:
        raise ValueError(f"costs of {costs.ndim} dimensions are no matrix")
    possible = costs <= limit  # NaN is not
    rows, columns = linear_sum_assignment(np.where(possible, costs, limit + _PREFERENCE))
    made = possible[rows, columns]
    return rows[made].astype(np.int64), columns[made].astype(np.int64)


def overlap_costs(
    tracks: NDArray[np.float32],
    boxes: NDArray[np.float32],
    track_classes: NDArray[np.int64],
    box_classes: NDArray[np.int64],
) -> NDArray[np.float64]:
    """1 − IoU of each track's box with each detection's (xyxy, pixels, ``[n, 4]`` and ``[m, 4]``), ``[n, m]``.

    A pair of different classes, ``[n]`` and ``[m]``, costs ``OTHER_CLASS`` more; one that does not overlap, infinity.
    """
    overlaps = ops.pairwise_iou(np.ascontiguousarray(tracks), np.ascontiguousarray(boxes)).astype(np.float64)
    costs = 1 - overlaps + OTHER_CLASS * (track_classes[:, None] != box_classes)
    return np.where(overlaps > 0, costs, np.inf)

"""What was found in the windows of an image made what there is in the image: objects that a seam cut become whole.

A side of a box that lies at an inner edge of its window is *cut*: the object may go on. Two boxes of one class from
different windows are one object where they agree as far as both are known: each is clipped to the other's window at
those sides that are cut there, and the IoU of what is left is above the threshold. Of boxes that nothing cuts that is
the suppression that each window had.

The best box left takes those that are one object with it; while a side is cut in all that it has so far, those that
are cut there take theirs, so that an object longer than a window becomes one along its chain. Each side is that of the
best box which is not cut there, the score the best one; what is one object with the box that came of it goes, too. A
cut box that stands alone, although another window shows all of its place, is a part of what is something else as a
whole: it is left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
Flags = NDArray[np.bool_]
Numbers = NDArray[np.int64]

CUT = 0.02
"""So near, in sides of its window, a box ends to where the window cuts it."""
_OUTWARDS = np.array([1, 1, -1, -1], np.float32)


def merge(whole: Rows, parts: Sequence[Rows], windows: Numbers, *, iou: float, agnostic: bool = False) -> Rows:
    """The detections of an image, float32 ``[n, 6]``, best first.

    ``whole``: those of the image as a whole; ``parts``: those of each of ``windows`` (xyxy, int64 ``[m, 4]``, which
    cover the image); all as detection rows in pixels of the image. Boxes merge within a class, unless ``agnostic``.
    """
    rows = np.concatenate([whole, *parts]).astype(np.float32, copy=False)
    seen_in = np.repeat(np.arange(len(parts) + 1), [len(whole), *map(len, parts)])
    order = np.argsort(-rows[:, 4], kind="stable")
    rows, seen_in = rows[order], seen_in[order]
    image = np.concatenate([windows[:, :2].min(0), windows[:, 2:].max(0)])
    areas = np.concatenate([image[None], windows]).astype(np.float32)
    boxes = _Boxes(rows, areas[seen_in], _at_edges(rows[:, :4], areas[seen_in], areas[0]))
    doubtful = boxes.cut.any(1) & _shown_whole(rows[:, :4], areas[1:], areas[0])
    same = _Same(boxes, _candidates(rows, seen_in, areas, agnostic), iou)
    free, kept, merged = np.ones(len(rows), bool), [], rows.copy()
    for seed in range(len(rows)):
        if not free[seed]:
            continue
        group = _object(seed, same, boxes.cut, free)
        if len(group) > 1 and boxes.cut[seed].any():
            merged[seed, :4] = _sides(rows, boxes.cut, group)
            free &= ~_one_with(merged[seed], areas[0], boxes, free, iou, agnostic)
        if len(group) > 1 or not doubtful[seed]:
            kept.append(seed)
    return merged[kept]


def _at_edges(boxes: Rows, windows: Rows, image: Rows) -> Flags:
    """Which sides lie at an edge of the window that is none of the image, ``[n, 4]``; a window for each, or for all."""
    sides = windows[..., 2:] - windows[..., :2]
    from_edge = (boxes - windows) * _OUTWARDS
    return (windows != image) & (from_edge <= np.float32(CUT) * np.concatenate([sides, sides], -1))


def _shown_whole(boxes: Rows, windows: Rows, image: Rows) -> Flags:
    """Which boxes lie inside one of the windows, away from its inner edges, ``[n]``."""
    shown = np.zeros(len(boxes), bool)
    for window in windows:
        inside = ((boxes - window) * _OUTWARDS >= 0).all(1)
        shown |= inside & ~_at_edges(boxes, window, image).any(1)
    return shown


@dataclasses.dataclass(frozen=True, eq=False)
class _Boxes:
    """Boxes with the windows they were seen in, ``[n, 4]`` each, and which of their sides these cut."""

    rows: Rows
    windows: Rows
    cut: Flags

    def __getitem__(self, numbers: Numbers) -> _Boxes:
        return _Boxes(self.rows[numbers], self.windows[numbers], self.cut[numbers])

    def known_iou(self, others: _Boxes) -> NDArray[np.float32]:
        """IoU of each with the one of ``others`` in its place, as far as both are known."""
        a = np.where(others.cut, _clipped(self.rows, others.windows), self.rows[:, :4])
        b = np.where(self.cut, _clipped(others.rows, self.windows), others.rows[:, :4])
        shared = _area(np.concatenate([np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])], 1))
        return shared / np.maximum(_area(a) + _area(b) - shared, np.float32(1e-9))


class _Same:
    """Which boxes are one object with a box: ``same[i]``, best first."""

    def __init__(self, boxes: _Boxes, pairs: Numbers, iou: float) -> None:
        pairs = pairs[boxes[pairs[:, 0]].known_iou(boxes[pairs[:, 1]]) > iou]
        pairs = np.concatenate([pairs, pairs[:, ::-1]])
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        self._others = pairs[:, 1]
        self._begins = np.searchsorted(pairs[:, 0], np.arange(len(boxes.rows) + 1)).tolist()

    def __getitem__(self, number: int) -> Numbers:
        return self._others[self._begins[number] : self._begins[number + 1]]


def _candidates(rows: Rows, seen_in: Numbers, windows: Rows, agnostic: bool) -> Numbers:
    """Pairs of boxes of one class from different windows that share pixels, ``[k, 2]``."""
    members = {int(number): np.flatnonzero(seen_in == number) for number in np.unique(seen_in)}
    numbers, found = np.array(list(members), np.int64), [np.zeros((0, 2), np.int64)]
    for place, one in enumerate(numbers):
        later = numbers[place + 1 :]
        for other in later[_meet(windows[[one]], windows[later])[0]].tolist():
            a, b = members[one], members[other]
            a, b = a[_meet(rows[a], windows[[other]])[:, 0]], b[_meet(rows[b], windows[[one]])[:, 0]]
            first, second = np.nonzero(_meet(rows[a], rows[b]) & (agnostic | (rows[a, None, 5] == rows[b, 5])))
            found.append(np.stack([a[first], b[second]], 1))
    return np.concatenate(found)


def _meet(a: Rows, b: Rows) -> Flags:
    """Which boxes share pixels, ``[len(a), len(b)]``."""
    left, top, right, bottom = (a[:, None, side] for side in range(4))
    return (left < b[:, 2]) & (top < b[:, 3]) & (right > b[:, 0]) & (bottom > b[:, 1])


def _clipped(boxes: Rows, windows: Rows) -> Rows:
    low, high = (np.concatenate([edges, edges], 1) for edges in (windows[:, :2], windows[:, 2:]))
    return np.clip(boxes[:, :4], low, high)


def _area(boxes: Rows) -> NDArray[np.float32]:
    return np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0)


def _object(seed: int, same: _Same, cut: Flags, free: Flags) -> list[int]:
    """``seed`` and all that are one object with it, which are not ``free`` any more."""
    group, unknown = [seed], cut[seed]
    free[seed] = False
    for number in group:  # grows meanwhile
        if number == seed or (cut[number] & unknown).any():
            taken = same[number]
            taken = taken[free[taken]]
            free[taken] = False
            group += taken.tolist()
            unknown = unknown & cut[taken].all(0)
    return group


def _one_with(row: Rows, image: Rows, boxes: _Boxes, free: Flags, iou: float, agnostic: bool) -> Flags:
    """Which of the ``free`` boxes are one object with one of which all is known, ``[n]``."""
    near = np.flatnonzero(free & _meet(row[None], boxes.rows)[0] & (agnostic | (boxes.rows[:, 5] == row[5])))
    known = _Boxes(row[None], image[None], np.zeros((1, 4), bool))
    found = np.zeros(len(free), bool)
    found[near] = known[np.zeros(len(near), np.int64)].known_iou(boxes[near]) > iou
    return found


def _sides(rows: Rows, cut: Flags, group: Sequence[int]) -> Rows:
    """The box of a group: the best one's, with each side that is cut there from the best that is not, ``[4]``."""
    box = rows[group[0], :4].copy()
    members = np.sort(group)  # best first
    for side in np.flatnonzero(cut[group[0]]):
        uncut = members[~cut[members, side]]
        outermost = rows[members, side].min() if side < 2 else rows[members, side].max()
        box[side] = rows[uncut[0], side] if len(uncut) else outermost
    return box

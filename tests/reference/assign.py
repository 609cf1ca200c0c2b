"""The assignment rule written out one target at a time: the oracle of the loss's matches."""

from __future__ import annotations

import numpy as np

F = np.float32
OWN, LEFT, TOP, RIGHT, BOTTOM = range(5)
STEPS = {OWN: (0, 0), LEFT: (-1, 0), TOP: (0, -1), RIGHT: (1, 0), BOTTOM: (0, 1)}


def assign_level(labels, counts, anchors, grid, anchor_t):
    """Rows (image, anchor, row, column, class) int64 [k, 5] and boxes float32 [k, 4] of one level."""
    height, width = grid
    found = []
    for image, count in enumerate(counts):
        for i, label in enumerate(labels[image, :count]):
            if not np.isfinite(label).all() or label[0] < 0 or min(label[3:]) <= 0 or abs(label[1:3]).max() >= 1e6:
                continue
            x, y, w, h = (F(v) * F(s) for v, s in zip(label[1:], (width, height, width, height)))
            for a, (aw, ah) in enumerate(anchors):
                ratio_w, ratio_h = w / aw, h / ah
                if not max(ratio_w, 1 / ratio_w, ratio_h, 1 / ratio_h) < anchor_t:
                    continue
                for offset in given(x, y, width, height):
                    dx, dy = STEPS[offset]
                    column = int(np.clip(np.floor(x + F(dx / 2)), 0, width - 1))
                    row = int(np.clip(np.floor(y + F(dy / 2)), 0, height - 1))
                    order = (offset, a, image, i)
                    found.append((order, (image, a, row, column, int(label[0])), (x - column, y - row, w, h)))
    found.sort(key=lambda match: match[0])
    cells = np.array([match[1] for match in found], np.int64).reshape(-1, 5)
    return cells, np.array([match[2] for match in found], np.float32).reshape(-1, 4)


def given(x, y, width, height):
    """The offsets a target at (x, y) goes to."""
    near = {LEFT: x, TOP: y, RIGHT: F(width) - x, BOTTOM: F(height) - y}
    return [OWN] + [offset for offset, v in near.items() if v - np.floor(v) < 0.5 and v > 1]

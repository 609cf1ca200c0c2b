"""A batch as one image: ``train_batch*.jpg``, ``val_batch*_labels.jpg``, ``val_batch*_pred.jpg``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from yolo.ops import xywhn_to_xyxy
from yolo.plots.annotate import Annotator, label_text
from yolo.plots.class_labels import say_fonts
from yolo.plots.colours import class_colour
from yolo.plots.fonts import shorten

MOST_IMAGES = 16
DENSE = 12  # boxes: with more, lines are thin, tags small, and some are left out
MOST_TAGGED = 0.15  # of such an image, so that it is still seen
LEAST_SIDE = 240  # pixels: on smaller images tags would hide what they name
_PAPER = 255


def plot_batch(
    images: NDArray[np.uint8],
    rows: Sequence[ArrayLike],
    paths: Sequence[str | Path] | None = None,
    names: Sequence[str] = (),
    *,
    conf: float = 0.25,
    max_side: int = 1920,
) -> NDArray[np.uint8]:
    """The first 16 of ``images`` (RGB uint8 ``[B, 3, H, W]``) in a square grid, RGB uint8 ``[h, w, 3]``.

    ``rows[i]`` is what is drawn on image i: label rows ``[n, 5]`` (class, xywhn) or detection rows ``[n, 6]``
    (x1, y1, x2, y2, confidence, class; pixels of the batch), of which those above ``conf`` are shown. Images
    smaller than 240 pixels are enlarged to that; the result's longer side is at most ``max_side`` pixels. Of more than
    12 boxes the most confident have tags, as many as leave the image visible; the caption says how many have none.
    """
    say_fonts(names)
    images = np.asarray(images)[:MOST_IMAGES]
    count, _, height, width = images.shape
    across = max(math.ceil(math.sqrt(count)), 1)
    down = max(math.ceil(count / across), 1)
    scale = min(max_side / max(down * height, across * width), max(LEAST_SIDE / min(height, width), 1.0))
    cell_h, cell_w = max(int(height * scale), 1), max(int(width * scale), 1)
    mosaic = np.full((down * cell_h, across * cell_w, 3), _PAPER, np.uint8)
    for place in range(count):
        image = np.ascontiguousarray(images[place].transpose(1, 2, 0))
        if scale != 1:
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            image = cv2.resize(image, (cell_w, cell_h), interpolation=how)
        caption = Path(paths[place]).name if paths is not None else ""
        top, left = place // across * cell_h, place % across * cell_w
        drawn = _drawn(image, rows[place], scale, names, caption, conf)
        mosaic[top : top + cell_h, left : left + cell_w] = drawn
    return mosaic


def _drawn(
    image: NDArray[np.uint8],
    rows: ArrayLike,
    scale: float,
    names: Sequence[str],
    caption: str,
    conf: float,
) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    entries = _entries(np.asarray(rows, np.float32), (height, width), scale, conf)
    dense = len(entries) > DENSE
    text_height = 7 if dense else int(np.clip(height / 45, 7, 12))
    annotator = Annotator(image, line_width=1 if dense else 2, text_height=text_height)
    boxes = [(box, class_colour(category), label_text(names, category, sure)) for category, sure, box in entries]
    untold = annotator.boxes(boxes, most_tagged=MOST_TAGGED if dense else 0)
    if caption or untold:
        note = f" ({untold} of {len(boxes)} without a tag)" if untold else ""
        fits = max(int(width / annotator.text_height / 0.95) - 1 - len(note), 4)
        # Below, because most tags lie above.
        place = height - 2 * annotator.text_height - 2
        annotator.text((shorten(caption, fits) + note).strip(), 3, place, (255, 255, 255), (60, 60, 60))
    # The grid line between the images: half of it belongs to each.
    cv2.rectangle(annotator.image, (0, 0), (width - 1, height - 1), (_PAPER,) * 3, 3)
    return annotator.image


def _entries(
    rows: NDArray[np.float32], size: tuple[int, int], scale: float, conf: float
) -> list[tuple[int, float | None, NDArray[np.float32]]]:
    """Class, confidence (None for labels) and box in pixels of the cell."""
    if not rows.size:
        return []
    if rows.shape[1] == 5:
        return [(int(row[0]), None, box) for row, box in zip(rows, xywhn_to_xyxy(rows[:, 1:], size))]
    rows = rows[rows[:, 4] > conf]
    rows = rows[np.argsort(rows[:, 4], kind="stable")]
    return [(int(row[5]), float(row[4]), row[:4] * scale) for row in rows]

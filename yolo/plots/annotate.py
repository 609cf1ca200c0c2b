"""Boxes and names drawn on a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from yolo.plots.colours import Colour, class_colour, text_colour
from yolo.plots.fonts import font_file, pillow_font, readable, shorten

Picture = NDArray[np.uint8]
LONGEST_NAME = 40
_CAPITAL = 0.73  # height of a capital letter in DejaVu Sans, by the font's size


class Annotator:
    """Draws on a copy of ``picture`` (RGB uint8 ``[H, W, 3]``), which ``picture`` then gives.

    ``line_width`` (pixels) comes from the picture's size unless given; ``text_height`` (pixels, of a capital
    letter) from the line width.
    """

    def __init__(self, picture: Picture, line_width: int | None = None, text_height: int | None = None) -> None:
        self.picture: Picture = np.array(picture, np.uint8, order="C")
        height, width = self.picture.shape[:2]
        self.line_width = line_width or max(round((height + width) / 2 * 0.003), 2)
        self.text_height = text_height or 4 + 3 * self.line_width

    def boxes(self, boxes: Iterable[tuple[ArrayLike, Colour, str]]) -> None:
        """Frames around boxes (xyxy, pixels) with their labels on tags, later ones on top.

        A tag lies above its box, or inside where there is no room; an empty label has none. All tags lie above
        all frames. A box with a coordinate that is no number is left out; what lies outside the picture is cut
        off.
        """
        height, width = self.picture.shape[:2]
        far = np.array((width, height) * 2) + 10
        tags = []
        for xyxy, colour, label in boxes:
            corners = np.asarray(xyxy, np.float64)
            if not np.isfinite(corners).all():
                continue
            x1, y1, x2, y2 = np.clip(corners, -10, far).round().astype(int).tolist()
            cv2.rectangle(self.picture, (x1, y1), (x2, y2), colour, self.line_width, cv2.LINE_AA)
            tags.append((label, x1, y1, colour))
        for label, x, y, colour in tags:
            if label:
                self._tag(label, x, y, colour)

    def box(self, xyxy: ArrayLike, colour: Colour, label: str = "") -> None:
        """One of ``boxes``."""
        self.boxes([(xyxy, colour, label)])

    def detections(
        self,
        rows: ArrayLike,
        names: Sequence[str],
        *,
        hide_labels: bool = False,
        hide_conf: bool = False,
    ) -> None:
        """Detection rows ``[n, 6]`` (x1, y1, x2, y2, confidence, class; pixels), the most confident on top."""
        rows = np.asarray(rows, np.float32).reshape(-1, 6)
        rows = rows[np.argsort(rows[:, 4], kind="stable")]
        categories = rows[:, 5].astype(int).tolist()
        confidences = [None] * len(rows) if hide_conf else rows[:, 4].tolist()
        labels = [label_text(names, *pair) for pair in zip(categories, confidences)]
        colours = map(class_colour, categories)
        self.boxes(zip(rows[:, :4], colours, [""] * len(rows) if hide_labels else labels))

    def text(self, text: str, x: int, y: int, colour: Colour, background: Colour) -> None:
        """``text`` with its upper left corner at ``(x, y)`` on a rectangle of ``background``."""
        self._paste(self._rendered(text), x, y, colour, background)

    def _tag(self, label: str, x: int, y: int, colour: Colour) -> None:
        mask = self._rendered(label)
        height, width = mask.shape
        half = self.line_width // 2
        top = y - height - half + 1 if y - height - half + 1 >= 0 else max(y, 0) + half
        left = min(x - half, self.picture.shape[1] - width)
        self._paste(mask, max(left, 0), top, text_colour(colour), colour)

    def _paste(self, mask: Picture, x: int, y: int, colour: Colour, background: Colour) -> None:
        target = self.picture[max(y, 0) : y + mask.shape[0], max(x, 0) : x + mask.shape[1]]
        mask = mask[max(-y, 0) :, max(-x, 0) :][: target.shape[0], : target.shape[1], None]
        share = mask.astype(np.float32) / 255
        target[:] = (share * colour + (1 - share) * background).round()

    def _rendered(self, text: str) -> Picture:
        """How much of each pixel is ink, uint8 ``[h, w]``, with a margin around the letters.

        Every text has the same height, so that tags in a row look alike.
        """
        text = readable(text)
        margin = max(self.text_height // 3, 2)
        font = pillow_font(font_file(text), round(self.text_height / _CAPITAL))
        ink, (left, top) = font.getmask2(text, mode="L")
        width, height = ink.size
        above = font.getmetrics()[0] - self.text_height  # the font's room over its capitals
        mask = np.zeros((self.text_height + 2 * margin, left + width + 2 * margin), np.uint8)
        letters = np.asarray(ink, np.uint8).reshape(height, width)
        y = margin + top - above
        letters = letters[max(-y, 0) :]
        target = mask[max(y, 0) : max(y, 0) + len(letters), margin + left : margin + left + width]
        target[:] = letters[: len(target)]
        return mask


def annotate(
    picture: Picture,
    detections: ArrayLike,
    names: Sequence[str],
    *,
    line_width: int | None = None,
    hide_labels: bool = False,
    hide_conf: bool = False,
) -> Picture:
    """A copy of ``picture`` (RGB uint8 ``[H, W, 3]``) with ``detections [n, 6]`` (pixels) drawn on it."""
    annotator = Annotator(picture, line_width)
    annotator.detections(detections, names, hide_labels=hide_labels, hide_conf=hide_conf)
    return annotator.picture


def label_text(names: Sequence[str], category: int, confidence: float | None = None) -> str:
    """``name`` or ``name 0.87``; the number of a class without a name."""
    name = shorten(names[category] if category < len(names) else str(category), LONGEST_NAME)
    return name if confidence is None else f"{name} {confidence:.2f}"

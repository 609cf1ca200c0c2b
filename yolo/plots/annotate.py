"""Boxes and names drawn on an image."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from yolo.plots.class_labels import class_label, say_fonts
from yolo.plots.colours import Colour, class_colour, text_colour, track_colour
from yolo.plots.fonts import pillow_font, readable, runs, shorten

Image = NDArray[np.uint8]
Ids = Sequence[int] | NDArray[np.int64] | None
LONGEST_NAME = 40
_CAPITAL = 0.73  # height of a capital letter in DejaVu Sans, by the font's size


@dataclasses.dataclass(frozen=True, eq=False)
class Tag:
    """Text ready to be pasted: how much of each pixel is ink, uint8 ``[h, w]``, and its upper left corner."""

    mask: Image
    x: int
    y: int
    colour: Colour
    background: Colour

    def paste(self, image: Image) -> None:
        """Onto ``image``; what lies outside is cut off."""
        x, y = self.x, self.y
        target = image[max(y, 0) : y + self.mask.shape[0], max(x, 0) : x + self.mask.shape[1]]
        mask = self.mask[max(-y, 0) :, max(-x, 0) :][: target.shape[0], : target.shape[1], None]
        share = mask.astype(np.float32) / 255
        target[:] = (share * self.colour + (1 - share) * self.background).round()

    def covers(self, other: Tag) -> bool:
        """Whether the two have a pixel in common."""
        (height, width), (tall, wide) = self.mask.shape, other.mask.shape
        beside = self.x >= other.x + wide or other.x >= self.x + width
        return not (beside or self.y >= other.y + tall or other.y >= self.y + height)


class Annotator:
    """Draws on a copy of ``image`` (RGB uint8 ``[H, W, 3]``), which ``image`` then gives.

    ``line_width`` (pixels) comes from the image's size unless given; ``text_height`` (pixels, of a capital
    letter) from the line width.
    """

    def __init__(self, image: Image, line_width: int | None = None, text_height: int | None = None) -> None:
        self.image: Image = np.array(image, np.uint8, order="C")
        height, width = self.image.shape[:2]
        self.line_width = line_width or max(round((height + width) / 2 * 0.003), 2)
        self.text_height = text_height or 4 + 3 * self.line_width

    def boxes(self, boxes: Iterable[tuple[ArrayLike, Colour, str]], *, most_tagged: float = 0) -> int:
        """Frames around boxes (xyxy, pixels) with their labels on tags, later ones on top.

        A tag lies above its box, or inside where there is no room; an empty label has none. All tags lie above
        all frames. A box with a coordinate that is no number is left out; what lies outside the image is cut
        off. With ``most_tagged`` tags cover no other tag and at most this share of the image, the last boxes' first;
        gives how many tags were left out.
        """
        height, width = self.image.shape[:2]
        far = np.array((width, height) * 2) + 10
        tags = []
        for xyxy, colour, label in boxes:
            corners = np.asarray(xyxy, np.float64)
            if not np.isfinite(corners).all():
                continue
            x1, y1, x2, y2 = np.clip(corners, -10, far).round().astype(int).tolist()
            cv2.rectangle(self.image, (x1, y1), (x2, y2), colour, self.line_width, cv2.LINE_AA)
            tags.append((label, x1, y1, colour))
        tags = [self._tag(*tag) for tag in tags if tag[0]]
        shown = _apart(tags, most_tagged * height * width) if most_tagged else tags
        for tag in shown:
            tag.paste(self.image)
        return len(tags) - len(shown)

    def box(self, xyxy: ArrayLike, colour: Colour, label: str = "") -> None:
        """One of ``boxes``."""
        self.boxes([(xyxy, colour, label)])

    def detections(
        self,
        rows: ArrayLike,
        names: Sequence[str],
        *,
        ids: Ids = None,
        hide_labels: bool = False,
        hide_conf: bool = False,
    ) -> None:
        """Detection rows ``[n, 6]`` (x1, y1, x2, y2, confidence, class; pixels), the most confident on top.

        ``ids`` are those of tracks, ``[n]``, which labels then begin with; they have colours of their own.
        """
        if not hide_labels:
            say_fonts(names)
        rows = np.asarray(rows, np.float32).reshape(-1, 6)
        order = np.argsort(rows[:, 4], kind="stable")
        rows = rows[order]
        categories = rows[:, 5].astype(int).tolist()
        confidences = [None] * len(rows) if hide_conf else rows[:, 4].tolist()
        tracks = [""] * len(rows) if ids is None else [f"id:{ids[place]} " for place in order]
        labels = [track + label_text(names, *pair) for track, *pair in zip(tracks, categories, confidences)]
        colours = map(class_colour, categories) if ids is None else [track_colour(ids[place]) for place in order]
        self.boxes(zip(rows[:, :4], colours, [""] * len(rows) if hide_labels else labels))

    def text(self, text: str, x: int, y: int, colour: Colour, background: Colour) -> None:
        """``text`` with its upper left corner at ``(x, y)`` on a rectangle of ``background``."""
        Tag(self._rendered(text), x, y, colour, background).paste(self.image)

    def _tag(self, label: str, x: int, y: int, colour: Colour) -> Tag:
        mask = self._rendered(label)
        height, width = mask.shape
        half = self.line_width // 2
        top = y - height - half + 1 if y - height - half + 1 >= 0 else max(y, 0) + half
        left = min(x - half, self.image.shape[1] - width)
        return Tag(mask, max(left, 0), top, text_colour(colour), colour)

    def _rendered(self, text: str) -> Image:
        """How much of each pixel is ink, uint8 ``[h, w]``, with a margin around the letters.

        Every text has the same height, so that tags in a row look alike.
        """
        margin = max(self.text_height // 3, 2)
        parts, right = [], 0.0
        for file, part in runs(readable(text)):
            font = pillow_font(file, round(self.text_height / _CAPITAL))
            ink, (left, top) = font.getmask2(part, mode="L")
            above = font.getmetrics()[0] - self.text_height  # the font's room over its capitals
            letters = np.asarray(ink, np.uint8).reshape(ink.size[1], ink.size[0])
            parts.append((letters, max(round(right) + left, 0), margin + top - above))
            right += font.getlength(part)
        width = max(x + letters.shape[1] for letters, x, _ in parts)
        mask = np.zeros((self.text_height + 2 * margin, width + 2 * margin), np.uint8)
        for letters, x, y in parts:
            letters = letters[max(-y, 0) :]
            target = mask[max(y, 0) : max(y, 0) + len(letters), margin + x : margin + x + letters.shape[1]]
            np.maximum(target, letters[: len(target)], out=target)
        return mask


def _apart(tags: Sequence[Tag], room: float) -> list[Tag]:
    """Those of ``tags``, the last first, that cover none before them, as many as have room (pixels); one at least."""
    shown: list[Tag] = []
    for tag in reversed(tags):
        room -= tag.mask.size
        if shown and (room < 0 or any(map(tag.covers, shown))):
            room += tag.mask.size
            continue
        shown.append(tag)
    return shown[::-1]


def annotate(
    image: Image,
    detections: ArrayLike,
    names: Sequence[str],
    *,
    ids: Ids = None,
    line_width: int | None = None,
    hide_labels: bool = False,
    hide_conf: bool = False,
) -> Image:
    """A copy of ``image`` (RGB uint8 ``[H, W, 3]``) with ``detections [n, 6]`` (pixels) drawn on it.

    ``ids`` are those of tracks, ``[n]``.
    """
    annotator = Annotator(image, line_width)
    annotator.detections(detections, names, ids=ids, hide_labels=hide_labels, hide_conf=hide_conf)
    return annotator.image


def label_text(names: Sequence[str], category: int, confidence: float | None = None) -> str:
    """``name`` or ``name 0.87``; the number of a class without a name, or with one that cannot be drawn."""
    name = shorten(class_label(names, category), LONGEST_NAME)
    return name if confidence is None else f"{name} {confidence:.2f}"

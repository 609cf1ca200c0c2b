"""Label files' lines of an image that annotations in another format describe."""

from __future__ import annotations

from collections.abc import Sequence

from yolo.data.convert.frame import in_frame
from yolo.data.convert.records import Label, Labelled, Tally, count


def image_lines(item: Labelled, actual: tuple[int, int], skipped: Tally, noticed: Tally) -> list[str] | None:
    """The lines of an image of that height and width; None, which is counted, where its boxes' frame is unknown."""
    framed = in_frame(item, actual, noticed)
    if framed is None:
        reason = "pictures whose width and height are swapped, and whose boxes fit only so"
        count(skipped, reason, 1, item.image.name)
        return None
    return _label_lines(*framed, skipped, noticed)


def _label_lines(labels: Sequence[Label], size: tuple[int, int], skipped: Tally, noticed: Tally) -> list[str]:
    """The lines of a label file: each once, cut to the image; what is left out or becomes a box is counted."""
    lines: dict[str, None] = {}
    for label in labels:
        outline = _outline_words(label, size)
        words = outline or _box_words(label, size)
        line = f"{label.category} {words}"
        count(skipped, "boxes without area in their picture", not words)
        count(skipped, "labels that repeat another", line in lines)
        if words:
            lines[line] = None
            flat = bool(label.outline) and not outline
            count(noticed, "objects whose outline has no area in their picture: kept as boxes", flat)
    return list(lines)


def _box_words(label: Label, size: tuple[int, int]) -> str:
    height, width = size
    left, right = (min(max(value, 0), width) / width for value in label.box[0::2])
    top, bottom = (min(max(value, 0), height) / height for value in label.box[1::2])
    words = [f"{value:.6f}" for value in ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)]
    return " ".join(words) if all(float(word) > 0 for word in words[2:]) else ""


def _outline_words(label: Label, size: tuple[int, int]) -> str:
    """The outline, '' where there is none or nothing of it is within the image."""
    sides = (size[1], size[0])
    values = [min(max(value, 0), sides[k % 2]) / sides[k % 2] for k, value in enumerate(label.outline)]
    flat = any(max(some) - min(some) < 1e-6 for some in (values[0::2], values[1::2]) if some)
    return "" if flat else " ".join(f"{value:.6f}" for value in values)

"""Large images of small objects with their labels, put together from photographs of a data set: always the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from yolo.data.images import read_image, write_image
from yolo.data.letterbox import FILL
from yolo.data.records import Index

HEIGHT, WIDTH = 1920, 2560
SPLITS = (1.0, 0.75, 0.5)
"""How likely a cell is cut into four: the canvas itself, a quarter of it, a quarter of that."""

Cell = tuple[int, int, int, int]


def write_canvases(folder: Path, index: Index, count: int, seed: int) -> Path:
    """Write ``count`` canvases and their labels into ``folder``, with the data set's YAML, whose path it gives."""
    rng = np.random.default_rng(seed)
    photographs = _forever(len(index), rng)
    for number in range(count):
        canvas, rows = _canvas(index, _cells((0, 0, HEIGHT, WIDTH), SPLITS, rng), photographs)
        write_image(folder / f"images/val/{number:03}.png", canvas)
        labels = folder / f"labels/val/{number:03}.txt"
        labels.parent.mkdir(parents=True, exist_ok=True)
        labels.write_text("".join(" ".join(f"{value:.6g}" for value in row) + "\n" for row in rows), encoding="ascii")
    names = "\n".join(f"  {number}: {name}" for number, name in enumerate(index.names))
    file = folder / "canvases.yaml"
    file.write_text(f"path: {folder}\ntrain: images/val\nval: images/val\nnames:\n{names}\n", encoding="utf-8")
    return file


def _forever(count: int, rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(count).tolist()


def _cells(cell: Cell, splits: Sequence[float], rng: np.random.Generator) -> list[Cell]:
    """``cell`` (top, left, height, width), or its quarters and what becomes of them."""
    if not splits or rng.random() >= splits[0]:
        return [cell]
    top, left, height, width = cell
    height, width = height // 2, width // 2
    quarters = [(top + y, left + x, height, width) for y in (0, height) for x in (0, width)]
    return [part for quarter in quarters for part in _cells(quarter, splits[1:], rng)]


def _canvas(
    index: Index, cells: Sequence[Cell], photographs: Iterator[int]
) -> tuple[np.ndarray, list[tuple[float, ...]]]:
    """A photograph in each cell, as large as fits; label rows (class, xywhn)."""
    canvas, rows = np.full((HEIGHT, WIDTH, 3), FILL, np.uint8), []
    for top, left, height, width in cells:
        number = next(photographs)
        image = read_image(index.paths[number])
        scale = min(height / image.shape[0], width / image.shape[1])
        h, w = (max(1, round(side * scale)) for side in image.shape[:2])
        image = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        y0, x0 = top + (height - h) // 2, left + (width - w) // 2
        canvas[y0 : y0 + h, x0 : x0 + w] = image
        for kind, x, y, box_w, box_h in index.labels[number].tolist():
            place = ((x0 + x * w) / WIDTH, (y0 + y * h) / HEIGHT, box_w * w / WIDTH, box_h * h / HEIGHT)
            rows.append((int(kind), *place))
    return canvas, rows

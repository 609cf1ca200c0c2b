"""Objects cut out of their images, and the files that they become."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolo.inference.boxes import Boxes
from yolo.inference.outputs.names import UniqueNames, class_folders

# A cut-out object has this much around it.
_GAIN, _PAD = 1.02, 10


def cut_out(image: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The part of ``image`` in ``box`` (xyxy, pixels) and a little around it: 1.02 times as large and 10 pixels."""
    corners = np.round(box.astype(np.float64))
    centre, size = (corners[:2] + corners[2:]) / 2, corners[2:] - corners[:2]
    half = (size * _GAIN + _PAD) / 2
    height, width = image.shape[:2]
    x1, y1, x2, y2 = np.clip(np.trunc([*(centre - half), *(centre + half)]), 0, [width, height] * 2).astype(int)
    return np.ascontiguousarray(image[y1:y2, x1:x2])


class CropFiles:
    """Gives cut-out objects their files: ``FOLDER/CLASS/STEM.jpg``, ``STEM2.jpg``, …; each name is given once."""

    def __init__(self, folder: Path, names: Sequence[str], *, replace: bool = False) -> None:
        """``names`` are the classes'; ``replace``: a file that is there already may be written over."""
        self._folder, self._replace = folder, replace
        self._classes = class_folders(names)
        self._taken: dict[str, UniqueNames] = {}

    def cut(self, image: NDArray[np.uint8], boxes: Boxes, stem: str) -> Iterator[tuple[Path, NDArray[np.uint8]]]:
        """The files of an image's objects and what they show, the most confident one last."""
        for box, number in zip(boxes.xyxy[::-1], boxes.cls[::-1]):
            crop = cut_out(image, box)
            if crop.size:
                yield self._take(self._classes[number], stem), crop

    def _take(self, folder: str, stem: str) -> Path:
        names = self._taken.setdefault(folder, UniqueNames(""))
        while (path := self._folder / folder / names.take(stem, ".jpg")).exists() and not self._replace:
            pass
        return path

"""Boxes of detections, in whichever form somebody asks for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from yolo import ops
from yolo.data.letterbox import Size


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Boxes:
    """A view of detection rows, best first; ``len(boxes)`` is n.

    ``boxes[0]``, ``boxes[:5]`` and ``boxes[boxes.conf > 0.5]`` are Boxes too. The forms of a box are float32
    ``[n, 4]``; those that end in n are divided by the image's width and height.
    """

    rows: NDArray[np.float32]
    """``[n, 6]``: x1, y1, x2, y2 (pixels), confidence, class."""
    size: Size
    """(height, width) of the image, in pixels."""
    id: NDArray[np.int64] | None = None
    """Of the tracks, ``[n]``; None where nothing is tracked."""

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Boxes]:
        return (self[place] for place in range(len(self)))

    def __getitem__(self, places: int | slice | NDArray[np.generic]) -> Boxes:
        """Some of them, as Boxes too; one where ``places`` is a number. Raises IndexError beyond the last."""
        chosen = np.arange(len(self))[places].reshape(-1)
        return Boxes(self.rows[chosen], self.size, None if self.id is None else self.id[chosen])

    def __repr__(self) -> str:
        return f"Boxes({len(self)} in {self.size[1]}x{self.size[0]})"

    @property
    def xyxy(self) -> NDArray[np.float32]:
        """x1, y1, x2, y2 in pixels."""
        return self.rows[:, :4]

    @property
    def xywh(self) -> NDArray[np.float32]:
        """Centre, width and height in pixels."""
        return ops.xyxy_to_xywhn(self.xyxy, (1, 1))

    @property
    def xyxyn(self) -> NDArray[np.float32]:
        """``xyxy``, 0 to 1."""
        height, width = self.size
        return self.xyxy / np.array([width, height] * 2, np.float32)

    @property
    def xywhn(self) -> NDArray[np.float32]:
        """``xywh``, 0 to 1."""
        return ops.xyxy_to_xywhn(self.xyxy, self.size)

    @property
    def conf(self) -> NDArray[np.float32]:
        """Confidences, 0 to 1, ``[n]``."""
        return self.rows[:, 4]

    @property
    def cls(self) -> NDArray[np.int64]:
        """Class numbers, ``[n]``."""
        return self.rows[:, 5].astype(np.int64)

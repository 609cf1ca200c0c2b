"""Several networks, several views of the pictures, known boxes: all decoded together, then one suppression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from yolo import native
from yolo.data.batch import pad_labels
from yolo.inference.heads import RawHeadRunner
from yolo.inference.views import AS_IT_IS, AUGMENTED, View, kept_levels, seen
from yolo.program.detection import NmsSettings, levels_of

# So many pictures at once that their raw heads stay within some tens of megabytes; more of them gain nothing.
_PIXELS_AT_ONCE = 640 * 640


class EnsembleRunner:
    """What ``Forward`` does for detection, with an ensemble of networks and with test-time augmentation.

    Every network and every scaled size of a picture is a program of its own; the predictions of all of them are
    suppressed together, as YOLOv5 does it.
    """

    loss = None

    def __init__(self, networks: Sequence[RawHeadRunner], settings: NmsSettings, *, augment: bool = False) -> None:
        """``networks`` must know the same classes."""
        self._networks, self._settings = tuple(networks), settings
        self._views = AUGMENTED if augment else AS_IT_IS
        self._watch = native.Stopwatch()

    @property
    def compile_seconds(self) -> float:
        """Seconds spent compiling so far."""
        return sum(network.compile_seconds for network in self._networks)

    @property
    def nms_seconds(self) -> float:
        """Seconds spent in decoding and suppression so far; they are part of a call's time."""
        return self._watch.milliseconds / 1000

    def detect(self, images: np.ndarray, known: Sequence[np.ndarray] = ()) -> tuple[np.ndarray, np.ndarray]:
        """images uint8 [B, 3, H, W] -> detections float32 [B, max_det, 6] (pixels of the input), counts int32 [B].

        ``known``: label rows (class, xywhn) a picture that take part in the suppression with full confidence.
        """
        count = max(1, _PIXELS_AT_ONCE // (images.shape[2] * images.shape[3]))
        starts = range(0, len(images), count)
        parts = [self._part(images[start : start + count], known[start : start + count]) for start in starts]
        return np.concatenate([rows for rows, _ in parts]), np.concatenate([counts for _, counts in parts])

    def _part(self, images: np.ndarray, known: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        heads, levels = [], []
        for network in self._networks:
            for number, view in enumerate(self._views):
                found = network(seen(images, view, max(network.strides)))
                for level in kept_levels(len(found), number, len(self._views)):
                    heads.append(found[level])
                    levels.append(_level(network, level, found[level].shape, view, images.shape[3]))
        classes = heads[0].shape[1] // self._networks[0].anchors.shape[1] - 5
        boxes = _in_pixels(known, images.shape[2:])
        max_labels = 0 if boxes is None else boxes[0].shape[1]
        settings = self._settings.native(classes)
        return native.DetectionHead(levels, classes, len(images), settings, self._watch, max_labels)(heads, boxes)


def _level(network: RawHeadRunner, number: int, shape: tuple[int, ...], view: View, width: int) -> native.Level:
    (level,) = levels_of(
        [shape],
        network.anchors[number : number + 1],
        network.strides[number : number + 1],
        view.scale,
        view.mirrored * width,
    )
    return level


def _in_pixels(known: Sequence[np.ndarray], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray] | None:
    """Label rows as boxes float32 [B, max_labels, 5] in pixels and their counts; None when there are none at all."""
    max_labels = max(map(len, known), default=0)
    if not max_labels:
        return None
    boxes, counts = pad_labels(known, max_labels)
    return boxes * np.array([1, size[1], size[0], size[1], size[0]], np.float32), counts

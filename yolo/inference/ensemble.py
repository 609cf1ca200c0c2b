"""Several networks, several views of the images, known boxes: all decoded together, then one suppression."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from yolo import native
from yolo.data.batch import pad_labels
from yolo.inference.runner import PIXELS_AT_ONCE, Guard, Part, Runner
from yolo.inference.views import AS_IT_IS, AUGMENTED, View, kept_levels, seen
from yolo.program.compiled import CompiledNetwork
from yolo.program.detection import NmsSettings, levels_of


class RawHeadRunner(Protocol):
    """Call it with images uint8 ``[B, C, H, W]`` for its raw heads, float32 ``[B, na * (5 + nc), h, w]`` a level."""

    anchors: np.ndarray
    """float32 ``[nl, na, 2]`` in pixels."""
    strides: tuple[int, ...]
    compile_seconds: float
    """Seconds spent compiling so far."""
    pixels_at_once: int | None
    """So many of a batch are worth going through together; None: all."""

    def __call__(self, images: np.ndarray) -> Sequence[np.ndarray]: ...

    def lanes(self) -> list[RawHeadRunner]:
        """See ``Runner``."""


class CompiledHeads:
    """The heads of a compiled network; ``guard`` is around the making of its programs."""

    def __init__(
        self,
        compiled: CompiledNetwork,
        anchors: np.ndarray,
        strides: Sequence[int],
        guard: Guard = contextlib.nullcontext,
    ) -> None:
        self._compiled, self.anchors, self.strides, self._guard = compiled, anchors, tuple(strides), guard
        self.compile_seconds, self.pixels_at_once = 0.0, compiled.pixels_at_once

    def __call__(self, images: np.ndarray) -> Sequence[np.ndarray]:
        self._compiled.require_own_process()
        begin = time.perf_counter()
        with self._guard():
            program = self._compiled.program(images.shape)  # made now, or long ago in no time
        self.compile_seconds += time.perf_counter() - begin
        return program(images)

    def lanes(self) -> list[RawHeadRunner]:
        return [CompiledHeads(lane, self.anchors, self.strides, self._guard) for lane in self._compiled.lanes()]


class EnsembleRunner(Runner):
    """An ensemble of networks, test-time augmentation, or both; known boxes take part.

    Every network and every scaled size of an image is a program of its own; the predictions of all of them are
    suppressed together, as YOLOv5 does it.
    """

    def __init__(self, networks: Sequence[RawHeadRunner], settings: NmsSettings, *, augment: bool = False) -> None:
        """``networks`` must know the same classes."""
        self._networks, self._settings, self._augment = tuple(networks), settings, augment
        self._views = AUGMENTED if augment else AS_IT_IS
        bounds = [network.pixels_at_once for network in self._networks if network.pixels_at_once is not None]
        self.pixels_at_once = min(bounds, default=PIXELS_AT_ONCE)  # the heads are decoded here

    @property
    def compile_seconds(self) -> float:
        return sum(network.compile_seconds for network in self._networks)

    def lanes(self) -> list[Runner]:
        lanes = zip(*(network.lanes() for network in self._networks))
        return [EnsembleRunner(networks, self._settings, augment=self._augment) for networks in lanes]

    def _part(self, images: np.ndarray, known: Sequence[np.ndarray]) -> Part:
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
        begin = time.perf_counter()
        head = native.DetectionHead(levels, classes, len(images), settings, max_labels)
        return *head(heads, boxes), time.perf_counter() - begin


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

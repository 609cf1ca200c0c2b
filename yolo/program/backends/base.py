"""What the compiler's users ask of a device, whichever it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from yolo import native
from yolo.program.detection import NmsSettings
from yolo.program.ir import Shape
from yolo.program.plan import Plan

Heads = tuple[np.ndarray, Sequence[int]]
"""A network's anchors, float32 ``[nl, na, 2]`` in pixels, and its strides."""


class Program(Protocol):
    """A network for images of one shape: uint8 ``[B, C, H, W]`` -> raw heads float32 ``[B, na * (5 + nc), h, w]``."""

    address: int
    steps: Sequence[native.StepInfo]
    memory_bytes: int

    def __call__(self, images: np.ndarray) -> Sequence[np.ndarray]: ...


class DetectorProgram(Protocol):
    """images uint8 ``[B, C, H, W]`` -> detections float32 ``[B, max_det, 6]``, counts int32 ``[B]``."""

    address: int
    nms_seconds: float

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


class Backend(Protocol):
    """Makes what runs plans on one device.

    The programs of a network share ``weights()`` and ``memory()``. What does not fit into the device's memory raises
    MemoryError.
    """

    pixels_at_once: int | None
    """So many are worth going through a network together; None: all of a batch."""

    def weights(self) -> Any:
        """For constants: ``set(name, float32 array)``."""

    def memory(self) -> Any:
        """For maps; ``bytes`` of it are taken."""

    def free_memory(self) -> int:
        """Bytes of the device that can be taken."""

    def program(self, plan: Plan, weights: Any, memory: Any, limits: native.Limits) -> Program:
        """Of a plan for inference."""

    def batch(self, lanes: Sequence[Any], count: int, memory: Any) -> Program:
        """Of so many images, which go side by side through programs for one of them, a processor's thread each."""

    def detector(self, program: Program, shapes: Sequence[Shape], heads: Heads, nms: NmsSettings) -> DetectorProgram:
        """The program with decoding and suppression behind it; ``shapes``: of its raw heads."""

    def group(self, exchange: native.Exchange) -> Any:
        """What ranks, a device each, add up by. All of them call this together."""

    def trainer(self, plan: Plan, memory: Any, group: Any) -> Any:
        """The executor of a plan for training; ``group`` joins its batch norms over ranks, None: each has its own."""

    def vectors(self, numbers: Sequence[int], *, scaled: bool) -> Any:
        """Where the device keeps values, gradient, first, second and ema, of so many numbers; ``scaled``: the loss is,
        as float16 needs it. None where they are tensors."""

    def uploads(self) -> Any:
        """What brings batches to the device; None where they are where they are made."""

    def gradient_step(self, executor: Any, loss: native.DetectionLoss, places: int, ranks: int, vectors: Any) -> Any:
        """Forward, loss, backward; ``vectors``: where a device keeps what is trained, None where tensors have it."""

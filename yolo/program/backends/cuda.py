"""Programs on a CUDA device."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from yolo import cuda, native
from yolo.program.backends.base import Heads
from yolo.program.detection import NmsSettings, detection_loss, levels_of
from yolo.program.ir import Shape
from yolo.program.plan import Plan

if TYPE_CHECKING:
    from yolo.loss.settings import LossSettings

_NCCL = "libnccl.so.2"
logger = logging.getLogger("yolo")


class CudaProgram:
    """See ``Program``; the raw heads come to the host, where it is called for them."""

    def __init__(self, module: ModuleType, executor: Any) -> None:
        self._module, self.executor = module, executor

    @functools.cached_property
    def _heads(self) -> Any:
        return self._module.HeadsProgram(self.executor)

    @property
    def address(self) -> int:
        return self._heads.address

    @property
    def steps(self) -> Sequence[native.StepInfo]:
        return self.executor.steps

    @property
    def memory_bytes(self) -> int:
        return self.executor.memory_bytes

    def __call__(self, images: np.ndarray) -> Sequence[np.ndarray]:
        return self._heads(images)


class Uploads:
    """Brings batches to the device, from any thread.

    A buffer that is given back is used again, by batches of other shapes too: there are as many as batches are on their
    way at once, each with room for the largest so far.
    """

    def __init__(self, module: ModuleType) -> None:
        self._module, self._lock = module, threading.Lock()
        self._free: list[Any] = []
        self._room = 0

    def __call__(self, images: np.ndarray) -> Any:
        """Images uint8 ``[B, C, H, W]``, which may change afterwards, as a training step takes them."""
        with self._lock:
            self._room = room = max(self._room, images.nbytes)
            staged = self._free.pop() if self._free else None
        if staged is None or staged.room < images.nbytes:
            staged = None  # its memory first
            staged = self._module.StagedImages(room)
        staged.fill(np.ascontiguousarray(images))
        return staged

    def give_back(self, staged: Any) -> None:
        with self._lock:
            self._free.append(staged)


class CudaBackend:
    """See ``Backend``."""

    pixels_at_once = None

    def __init__(self, module: ModuleType) -> None:
        """``module``: ``yolo.cuda.started``."""
        self.module = module

    def weights(self) -> Any:
        return self.module.Constants()

    def memory(self) -> Any:
        return self.module.Memory()

    def free_memory(self) -> int:
        return self.module.memory()[0]

    def program(self, plan: Plan, weights: Any, memory: Any, limits: native.Limits) -> CudaProgram:
        executor = self.module.Executor(plan, constants=weights, memory=memory, limits=limits)
        return CudaProgram(self.module, executor)

    def detector(self, program: CudaProgram, shapes: Sequence[Shape], heads: Heads, nms: NmsSettings) -> Any:
        return self.module.DetectorProgram(program.executor, *_head(shapes, heads, nms))

    def validator(
        self,
        program: CudaProgram,
        shapes: Sequence[Shape],
        heads: Heads,
        nms: NmsSettings,
        loss: LossSettings,
        places: int,
    ) -> Any:
        """A detector that takes labels (float32 ``[B, places, 5]``) and counts (int32 ``[B]``) too, and gives the loss
        terms, float64 ``[levels, 5]``, behind the detections."""
        lost = detection_loss(shapes, *heads, loss)
        return self.module.DetectorProgram(program.executor, *_head(shapes, heads, nms), loss=lost, places=places)

    def group(self, exchange: native.Exchange) -> Any:
        """By NCCL where all ranks have it, else by way of the hosts' memory and sockets."""
        try:
            return self.module.Group(exchange, nccl=cuda.library_folder("nccl", _NCCL))
        except RuntimeError as error:  # of all ranks the same
            hint = "pip install nvidia-nccl-cu13 brings NCCL"
            logger.warning("the ranks' GPUs add up through the hosts' memory, which is slow: %s (%s)", error, hint)
            return self.module.Group(exchange)

    def trainer(self, plan: Plan, memory: Any, group: Any) -> Any:
        return self.module.Executor(plan, memory=memory, group=group)

    def vectors(self, numbers: Sequence[int], *, scaled: bool) -> Any:
        return self.module.TrainVectors(list(numbers), scaled=scaled)

    def uploads(self) -> Uploads:
        return Uploads(self.module)

    def update_step(
        self,
        optimizer: str,
        group_sizes: Sequence[int],
        rest: int,
        weight_decay: float,
        vectors: Any,
        *,
        group: Any,
        frozen: int,
    ) -> Any:
        """Clipping, optimizer and moving average of ``vectors``; ``rest``: numbers behind the parameters, of which the
        first ``frozen`` are no statistics. ``group``: adds up the ranks' gradients before, None for one rank."""
        sizes = list(group_sizes)
        return self.module.UpdateStep(optimizer, sizes, rest, weight_decay, vectors, group=group, frozen=frozen)

    def gradient_step(
        self, executor: Any, loss: native.DetectionLoss, places: int, ranks: int, vectors: Any
    ) -> native.GradientStep:
        return self.module.GradientStep(executor, loss, places, vectors, ranks)


def _head(
    shapes: Sequence[Shape], heads: Heads, nms: NmsSettings
) -> tuple[list[native.Level], int, native.NmsSettings]:
    anchors, strides = heads
    classes = shapes[0][1] // anchors.shape[1] - 5
    return levels_of(shapes, anchors, strides), classes, nms.native(classes)

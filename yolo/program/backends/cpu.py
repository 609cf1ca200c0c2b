"""Programs on the processor."""

from __future__ import annotations

from collections.abc import Sequence

from yolo import native
from yolo.io.memory import free_memory
from yolo.program.backends.base import Heads
from yolo.program.detection import NmsSettings, detection_head
from yolo.program.ir import Shape
from yolo.program.plan import Plan


class CpuBackend:
    """See ``Backend``."""

    # More images at once take more memory, and a processor gains nothing from them except where they are so small that
    # starting costs more than the work. So: one large image, or many small ones.
    pixels_at_once = 640 * 640

    def weights(self) -> native.Weights:
        return native.Weights()

    def memory(self) -> native.Memory:
        return native.Memory()

    def free_memory(self) -> int:
        return free_memory()

    def program(
        self, plan: Plan, weights: native.Weights, memory: native.Memory, limits: native.Limits
    ) -> native.Executor:
        return native.Executor(plan, weights=weights, memory=memory, limits=limits)

    def batch(self, lanes: Sequence[native.Executor], count: int, memory: native.Memory) -> native.SideBySide:
        return native.SideBySide(list(lanes), count, memory)

    def detector(
        self, program: native.Network, shapes: Sequence[Shape], heads: Heads, nms: NmsSettings
    ) -> native.DetectorProgram:
        return native.DetectorProgram(program, detection_head(shapes, *heads, nms))

    def group(self, exchange: native.Exchange) -> native.Exchange:
        return exchange

    def trainer(self, plan: Plan, memory: native.Memory, group: native.Exchange | None) -> native.Executor:
        return native.Executor(plan, memory=memory, exchange=group)

    def vectors(self, numbers: Sequence[int], *, scaled: bool) -> None:
        return None

    def uploads(self) -> None:
        return None

    def gradient_step(
        self, executor: native.Executor, loss: native.DetectionLoss, places: int, ranks: int, vectors: None
    ) -> native.GradientStep:
        return native.GradientStep(executor, loss, places, ranks)

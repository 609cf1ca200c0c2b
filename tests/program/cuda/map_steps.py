"""Single steps of a plan for a CUDA device, on maps that a test fills and reads."""

from __future__ import annotations

import numpy as np

from tests.device import cuda_host
from tests.program.cuda.programs import target
from yolo.program.plan import Attribute, Plan, Step, TensorView

PRECISIONS = ("fp32", "fp16", "bf16")
TOLERANCE = {"fp32": 1e-5, "fp16": 2e-3, "bf16": 1.6e-2}
"""Of the largest number."""
GARBAGE = 7.0
"""What is in a map before a step writes it."""


def rounded(values: np.ndarray, precision: str) -> np.ndarray:
    """The nearest numbers of a precision, as float32."""
    values = np.asarray(values, np.float32)
    if precision == "fp32":
        return values
    if precision == "fp16":
        with np.errstate(over="ignore"):
            return values.astype(np.float16).astype(np.float32)
    bits = values.view(np.uint32).astype(np.uint64)
    kept = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16 << 16).astype(np.uint32).view(np.float32)
    return np.where(np.isnan(values), values, kept)


def assert_close(found: np.ndarray, wanted: np.ndarray, precision: str) -> None:
    """Equal within the tolerance of a precision."""
    scale = float(np.abs(wanted).max(initial=1e-30))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE[precision] * scale)


class MapSteps:
    """A plan of steps that run in its backward pass, which is given any numbers and takes what both passes may do."""

    def __init__(self, precision: str, batch: int) -> None:
        self.precision, self.batch, self.arena = precision, batch, 0
        self.target = target(precision)
        self.pixel = self._place(1, 1, 1, self.target.element, 0, 0)
        self.forward: list[Step] = [Step("load_images", "input", {"target": (self.pixel,)}, {"divisor": 255.0})]
        self.backward: list[Step] = []
        self.given: list[np.ndarray] = []

    def map(
        self, channels: int, size: tuple[int, int], first: int = 0, behind: int = 0, element: int = 0
    ) -> TensorView:
        """Channels of a buffer that has ``first`` channels before them and ``behind`` after them, all of them garbage.

        element: bytes of a number, by default the precision's; of others the buffer holds zeros.
        """
        view = self._place(channels, *size, element or self.target.element, first, behind)
        if view.element == self.target.element:
            shape = (self.batch, view.buffer_channels, *size)
            self._load(self._whole(view), np.full(shape, GARBAGE, np.float32))
        return view

    def filled(self, values: np.ndarray, first: int = 0, behind: int = 0) -> TensorView:
        """A map that holds float32 ``[B, C, h, w]``, with zeros in the lanes after the last channel."""
        view = self.map(values.shape[1], values.shape[2:], first, behind)
        self._load(view, values)
        return view

    def add(self, kind: str, views: dict[str, list[TensorView]], **attributes: Attribute) -> None:
        """A step."""
        self.backward.append(Step(kind, "step", {role: tuple(found) for role, found in views.items()}, attributes))

    def run(self) -> MapSteps:
        """Run all steps; gives itself."""
        heads = tuple(values.shape for values in self.given)
        images = (self.batch, 1, 1, 1)
        plan = Plan(self.target, images, heads, self.arena, tuple(self.forward), tuple(self.backward))
        executor = cuda_host().HostExecutor(plan)
        executor(np.zeros(images, np.uint8))
        executor.backward(self.given, np.zeros(0, np.float32), np.zeros(0, np.float32))
        self.maps, self.steps = executor.maps(), executor.steps
        return self

    def places(self, view: TensorView) -> np.ndarray:
        """A map of places of maxima, ``[B, C, h, w]``."""
        whole = self._bytes(view).view(f"u{view.element}").transpose(0, 3, 1, 2)
        return whole[:, view.first : view.first + view.channels]

    def buffer(self, view: TensorView) -> np.ndarray:
        """All channels of a map's buffer, float32 ``[B, buffer_channels, h, w]``."""
        raw = self._bytes(view)
        if self.precision == "bf16":
            numbers = (raw.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            numbers = raw.view(f"f{view.element}").astype(np.float32)
        return numbers.transpose(0, 3, 1, 2)

    def _bytes(self, view: TensorView) -> np.ndarray:
        shape = (self.batch, view.height, view.width, view.buffer_channels)
        return self.maps[view.offset :][: int(np.prod(shape)) * view.element].reshape(shape[:3] + (-1,))

    def result(self, view: TensorView) -> np.ndarray:
        """What a step has written, float32 ``[B, C, h, w]``; it must have zeros behind it and garbage around that."""
        whole = self.buffer(view)
        end = view.first + view.channels
        lanes = view.first + self.target.whole(view.channels)
        np.testing.assert_array_equal(whole[:, end:lanes], 0.0)
        np.testing.assert_array_equal(whole[:, : view.first], GARBAGE)
        np.testing.assert_array_equal(whole[:, lanes:], GARBAGE)
        return whole[:, view.first : end]

    def _place(self, channels: int, height: int, width: int, element: int, first: int, behind: int) -> TensorView:
        pitch = first + self.target.whole(channels) + behind
        view = TensorView(self.arena, channels, height, width, element, "nhwc", first, pitch)
        self.arena += -(-self.batch * height * width * pitch * element // 256) * 256
        return view

    def _whole(self, view: TensorView) -> TensorView:
        channels = view.buffer_channels
        return TensorView(view.offset, channels, view.height, view.width, view.element, "nhwc", 0, channels)

    def _load(self, view: TensorView, values: np.ndarray) -> None:
        """As a head's gradient; the forward pass stores that head from the same place."""
        number, index = {"number": len(self.given)}, (0, 0, 0) * view.channels
        moved = {"fine": (self.pixel,), "coarse": (view,)}
        self.forward.append(Step("gather", "fill", moved, {"index": index, "stride": 1}))
        self.forward.append(Step("store_head", "output", {"source": (view,)}, number))
        self.backward.append(Step("load_head_gradient", "output", {"target": (view,)}, number))
        self.given.append(np.ascontiguousarray(values, np.float32))

"""Pictures in, detections out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import oneflow as flow

from graphs.base import StaticGraph, called, synchronise, to_unit_range
from yolo import native
from yolo.models.decode import decode
from yolo.program.compiled import CompiledNetwork
from yolo.program.detection import NmsSettings, detection_head, suppression
from yolo.program.detector import CompiledDetector
from yolo.program.operator import Switch, call


class DetectGraph(StaticGraph):
    """images uint8 [B, 3, H, W] -> detections float32 [B, max_det, 6], counts int32 [B].

    Rows are x1, y1, x2, y2 in pixels of the input, confidence and class, best first. The network runs as plain OneFlow
    modules; this is what ``CompiledDetectGraph`` must equal. ``watch`` adds up the time of decoding and suppression.
    """

    def __init__(self, network: flow.nn.Module, settings: NmsSettings, watch: native.Stopwatch) -> None:
        super().__init__()
        self.network = network
        self._parts = (network.anchors, network.strides, settings, watch)

    def build(self, images: flow.Tensor) -> tuple[flow.Tensor, flow.Tensor]:
        anchors, strides, settings, watch = self._parts
        predictions = decode(called(self.network)(to_unit_range(images)), anchors, strides)
        return suppressed(predictions, settings, watch)


class CompiledDetectGraph(StaticGraph):
    """pixels uint8 [bytes] -> detections float32 [B, max_det, 6], counts int32 [B], as ``DetectGraph`` gives them.

    One operator: a network's compiled program, and decoding and suppression behind it. To OneFlow images are so many
    bytes. Which program reads them, and with it their shape, ``run`` says: one graph serves all shapes that fit, and
    rows behind those of the program's own batch are not written.
    """

    def __init__(self, batch: int, settings: NmsSettings) -> None:
        super().__init__()
        self._switch, self._outputs = Switch(), _detections(batch, settings)

    def run(self, program: native.DetectorProgram, pixels: flow.Tensor) -> tuple[flow.Tensor, flow.Tensor]:
        """Call it with this program; what the graph gave before must have been read."""
        self._switch.set(program)
        return self(pixels)

    def build(self, pixels: flow.Tensor) -> tuple[flow.Tensor, flow.Tensor]:
        return call(self._switch, [pixels], self._outputs)


class CompiledDetection:
    """Detects in images of any shape with ``detector``'s programs, in a handful of graphs.

    There is a graph for the first shape alone, and the next larger images get one of at least twice the size, which
    serves all that fit; likewise for the number of images. So there are as many as powers of two between the smallest
    and the largest. Without ``graphs`` the operator runs as it is called.
    """

    def __init__(self, detector: CompiledDetector, *, graphs: bool = True) -> None:
        self._detector, self._use_graphs = detector, graphs
        self._graphs: dict[int, dict[int, CompiledDetectGraph]] = {}
        self._tracing, self._running = 0.0, False

    @property
    def compile_seconds(self) -> float:
        """Seconds spent compiling so far."""
        return self._detector.compile_seconds + self._tracing

    def __len__(self) -> int:
        return sum(map(len, self._graphs.values()))

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """images uint8 [B, 3, H, W] -> detections float32 [B, max_det, 6], counts int32 [B]."""
        program, batch = self._detector.program(images.shape), len(images)
        if self._running:  # a call was broken off, by Ctrl-C: its graph may still read what its switch says
            synchronise()
        self._running = True
        if self._use_graphs:
            found = self._run(program, images)
        else:
            found = call(program, [flow.tensor(images)], _detections(batch, self._detector.settings))
        rows, counts = (tensor.numpy() for tensor in found)
        self._running = False
        return rows[:batch], counts[:batch]

    def _run(self, program: native.DetectorProgram, images: np.ndarray) -> tuple[flow.Tensor, flow.Tensor]:
        """In the smallest graph that takes so many images and bytes."""
        batch, size = 1 << (len(images) - 1).bit_length(), images.size
        graphs = self._graphs.setdefault(batch, {})
        fitting = [room for room in graphs if room >= size]
        if fitting:
            room = min(fitting)
            return graphs[room].run(program, flow.tensor(_filled(images, room)))
        room = max(batch * images[0].size, 2 * max(graphs, default=0))
        graph = CompiledDetectGraph(batch, self._detector.settings)
        found = graph.run(program, flow.tensor(_filled(images, room)))
        graphs[room] = graph  # only now: a graph whose tracing failed cannot be used again
        self._tracing += graph.compile_seconds
        return found


def _filled(images: np.ndarray, size: int) -> np.ndarray:
    """The images' bytes with as many behind them as are missing."""
    pixels = np.ascontiguousarray(images).reshape(-1)
    if pixels.size == size:
        return pixels
    room = np.empty(size, np.uint8)
    room[: pixels.size] = pixels
    return room


def run_network(compiled: CompiledNetwork, images: flow.Tensor) -> tuple[flow.Tensor, ...]:
    """Raw heads float32 [B, na * (5 + nc), h, w] a level, by the compiled program for this shape."""
    shape = tuple(images.shape)
    outputs = [(head, flow.float32) for head in compiled.head_shapes(shape)]
    return call(compiled.program(shape), [images], outputs)


def detected(
    heads: Sequence[flow.Tensor],
    anchors: np.ndarray,
    strides: Sequence[int],
    settings: NmsSettings,
    watch: native.Stopwatch,
) -> tuple[flow.Tensor, flow.Tensor]:
    """Decode and suppress raw heads."""
    operator = detection_head([tuple(head.shape) for head in heads], anchors, strides, settings, watch)
    return call(operator, heads, _detections(heads[0].shape[0], settings))


def suppressed(
    predictions: flow.Tensor, settings: NmsSettings, watch: native.Stopwatch
) -> tuple[flow.Tensor, flow.Tensor]:
    """Suppress decoded predictions [B, N, 5 + nc], on the CPU wherever they are."""
    operator = suppression(tuple(predictions.shape), settings, watch)
    return call(operator, [predictions.cpu()], _detections(predictions.shape[0], settings))


def _detections(batch: int, settings: NmsSettings) -> list:
    return [((batch, settings.max_det, 6), flow.float32), ((batch,), flow.int32)]

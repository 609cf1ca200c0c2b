"""Images in, detections or raw heads out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import oneflow as flow

from graphs.base import StaticGraph, called, synchronise, to_unit_range
from yolo import native
from yolo.models.decode import decode
from yolo.program.compiled import CompiledNetwork
from yolo.program.detection import NmsSettings, detection_head, suppression
from yolo.program.operator import Switch, call
from yolo.runtime import require_own_process


class DetectGraph(StaticGraph):
    """images uint8 [B, 3, H, W] -> detections float32 [B, max_det, 6], counts int32 [B].

    Rows are x1, y1, x2, y2 in pixels of the input, confidence and class, best first. The network runs as plain OneFlow
    modules; this is what ``CompiledDetectGraph`` must equal.
    """

    def __init__(self, network: flow.nn.Module, settings: NmsSettings) -> None:
        super().__init__()
        self.network = network
        self._parts = (network.anchors, network.strides, settings)

    def build(self, images: flow.Tensor) -> tuple[flow.Tensor, flow.Tensor]:
        anchors, strides, settings = self._parts
        predictions = decode(called(self.network)(to_unit_range(images)), anchors, strides)
        self._operator, found = suppressed(predictions, settings)
        return found


class HeadsGraph(StaticGraph):
    """images uint8 [B, 3, H, W] -> raw heads float32 [B, na * (5 + nc), h, w] a level, as compiled programs give them.

    The network runs as plain OneFlow modules.
    """

    def __init__(self, network: flow.nn.Module) -> None:
        super().__init__()
        self.network = network

    def build(self, images: flow.Tensor) -> list[flow.Tensor]:
        return [_channels_first(head) for head in called(self.network)(to_unit_range(images))]


def _channels_first(head: flow.Tensor) -> flow.Tensor:
    """[B, na, h, w, 5 + nc] -> [B, na * (5 + nc), h, w]."""
    batch, anchors, height, width, columns = head.shape
    return head.permute(0, 1, 4, 2, 3).reshape(batch, anchors * columns, height, width)


class CompiledDetectGraph(StaticGraph):
    """pixels uint8 [bytes] -> detections float32 [B, max_det, 6], counts int32 [B], as ``DetectGraph`` gives them.

    One operator: a network's compiled program, and decoding and suppression behind it. To OneFlow images are so many
    bytes. Which program reads them, and with it their shape, ``run`` says: one graph serves all shapes that fit, and
    rows behind those of the program's own batch are not written.
    """

    def __init__(self, batch: int, settings: NmsSettings) -> None:
        super().__init__()
        self._switch, self._outputs = Switch(), detections(batch, settings)

    def run(self, program: native.DetectorProgram, pixels: flow.Tensor) -> list[np.ndarray]:
        """Run it with this program; see ``arrays``."""
        self._switch.set(program)
        return self.arrays(pixels)

    def build(self, pixels: flow.Tensor) -> tuple[flow.Tensor, flow.Tensor]:
        return call(self._switch, [pixels], self._outputs)


class DetectGraphs:
    """Runs a detector's programs for images of any shape in a handful of graphs. Threads may share it.

    There is a graph for the first shape alone, and the next larger images get one of at least twice the size, which
    serves all that fit; likewise for the number of images. So there are as many as powers of two between the smallest
    and the largest. Without ``graphs``, in one of several ranks, the operator runs as it is called.
    """

    def __init__(self, settings: NmsSettings, *, graphs: bool = True) -> None:
        """``settings``: those of the programs."""
        require_own_process()
        self._settings, self._use_graphs = settings, graphs
        self._graphs: dict[int, dict[int, CompiledDetectGraph]] = {}
        self._running = False
        self.compile_seconds = 0.0

    def __call__(self, program: native.DetectorProgram, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """images uint8 [B, 3, H, W] of ``program``'s shape -> detections float32 [B, max_det, 6], counts int32 [B]."""
        require_own_process()
        with StaticGraph.turns.turn():
            if self._running:  # a call was broken off, by Ctrl-C: its graph may still read what its switch says
                synchronise()
            self._running = True
            if self._use_graphs:
                rows, counts = self._in_graph(program, images)
            else:
                found = call(program, [flow.from_numpy(images)], detections(len(images), self._settings))
                rows, counts = (tensor.numpy() for tensor in found)
            self._running = False
            return rows[: len(images)].copy(), counts[: len(images)].copy()

    def _in_graph(self, program: native.DetectorProgram, images: np.ndarray) -> list[np.ndarray]:
        """In the smallest graph that takes so many images and bytes."""
        batch, size = 1 << (len(images) - 1).bit_length(), images.size
        graphs = self._graphs.setdefault(batch, {})
        fitting = [room for room in graphs if room >= size]
        if fitting:
            room = min(fitting)
            return graphs[room].run(program, _pixels(images, room))
        room = max(batch * images[0].size, 2 * max(graphs, default=0))
        graph = CompiledDetectGraph(batch, self._settings)
        found = graph.run(program, _pixels(images, room))
        graphs[room] = graph  # only now: a graph whose tracing failed cannot be used again
        self.compile_seconds += graph.compile_seconds
        return found


def _pixels(images: np.ndarray, size: int) -> flow.Tensor:
    """The images' own bytes, in a copy with as many behind them as are missing where there are."""
    pixels = np.ascontiguousarray(images).reshape(-1)
    if pixels.size < size:
        pixels = np.append(pixels, np.empty(size - pixels.size, np.uint8))
    return flow.from_numpy(pixels)  # who calls reads the results before the images can change


def run_network(compiled: CompiledNetwork, images: flow.Tensor) -> tuple[flow.Tensor, ...]:
    """Raw heads float32 [B, na * (5 + nc), h, w] a level, by the compiled program for this shape."""
    shape = tuple(images.shape)
    outputs = [(head, flow.float32) for head in compiled.graph.head_shapes(shape)]
    return call(compiled.program(shape), [images], outputs)


def detected(
    heads: Sequence[flow.Tensor], anchors: np.ndarray, strides: Sequence[int], settings: NmsSettings
) -> tuple[native.DetectionHead, tuple[flow.Tensor, flow.Tensor]]:
    """The operator that decodes and suppresses raw heads, and what it gives."""
    operator = detection_head([tuple(head.shape) for head in heads], anchors, strides, settings)
    return operator, call(operator, heads, detections(heads[0].shape[0], settings))


def suppressed(predictions: flow.Tensor, settings: NmsSettings) -> tuple[native.Nms, tuple[flow.Tensor, flow.Tensor]]:
    """The same for decoded predictions [B, N, 5 + nc], on the CPU wherever they are."""
    operator = suppression(tuple(predictions.shape), settings)
    return operator, call(operator, [predictions.cpu()], detections(predictions.shape[0], settings))


def detections(batch: int, settings: NmsSettings) -> list[tuple[tuple[int, ...], flow.dtype]]:
    """Shapes and dtypes of a batch's detections and their counts."""
    return [((batch, settings.max_det, 6), flow.float32), ((batch,), flow.int32)]

"""Worker: this project's compiled program inside a graph, or the network as plain OneFlow modules in a graph."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmarks.workers.serve import serve
from yolo import runtime


class OneflowInference:
    """images uint8 -> raw heads."""

    def load(self, weights: str, images: str, threads: int, precision: str, calibration: str, compile: str) -> None:
        """compile: "program", or "off" for plain modules; calibration: .npz of the images for int8."""
        flow = runtime.start()
        from yolo.models.weights.load import load_weights

        checkpoint = load_weights(weights)
        if compile == "program":
            looked_at = list(np.load(calibration)["images"]) if precision == "int8" else ()
            self._graph = _compiled_graph(checkpoint, precision, looked_at)
        else:
            self._graph = _plain_graph(checkpoint)
        self._images = flow.tensor(np.load(images)["images"])

    def run(self) -> None:
        self._heads = self._graph.arrays(self._images)

    def outputs(self) -> Mapping[str, np.ndarray]:
        self.run()
        return {f"head{level}": _channels_first(head) for level, head in enumerate(self._heads)}


def _compiled_graph(checkpoint, precision, looked_at):
    from graphs.base import StaticGraph
    from graphs.detect import run_network
    from yolo.inference.compile import compile_network

    compiled = compile_network(checkpoint.spec, checkpoint.model, precision=precision, calibration=looked_at)

    class CompiledHeadsGraph(StaticGraph):
        """The network alone."""

        def build(self, images):
            return run_network(compiled, images)

    return CompiledHeadsGraph()


def _plain_graph(checkpoint):
    from graphs.base import StaticGraph, to_unit_range
    from yolo.models.weights.transfer import network_from_checkpoint

    class PlainHeadsGraph(StaticGraph):
        """The same by modules."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network_from_checkpoint(checkpoint).eval()

        def build(self, images):
            return self.network(to_unit_range(images))

    return PlainHeadsGraph()


def _channels_first(head: np.ndarray) -> np.ndarray:
    """Heads of the plain modules, ``[B, na, h, w, 5 + nc]``, as convolutions give them."""
    if head.ndim == 4:
        return head
    batch, anchors, height, width, columns = head.shape
    return head.transpose(0, 1, 4, 2, 3).reshape(batch, anchors * columns, height, width)


if __name__ == "__main__":
    serve(OneflowInference())

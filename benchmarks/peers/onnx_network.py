"""A network of the intermediate representation as an ONNX file: images uint8 in, raw heads float32 out.

python -m benchmarks.peers.onnx_network WEIGHTS FILE.onnx HEIGHT WIDTH [float]

With ``float`` the images are float32 in 0..1, for who has no bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from benchmarks.peers.network import read_graph
from yolo.formats.onnx_body import OnnxBody
from yolo.formats.onnx_model import assemble
from yolo.formats.onnx_network import write_network
from yolo.program import ir
from yolo.program.passes.fold import fold_batch_norm

OPSET = 17


def onnx_model(graph: ir.Graph, height: int, width: int, *, floats: bool = False) -> onnx.ModelProto:
    """The model of a folded graph for one image of this size; output i is the head ``head<i>`` of level i.

    floats: whether ``images`` are float32 in 0..1 instead of uint8.
    """
    body, shape = OnnxBody(), (1, graph.channels[ir.INPUT], height, width)
    given, pixels = (TensorProto.FLOAT if floats else TensorProto.UINT8), "images"
    if not floats:
        scale = body.constant("scale", np.array(1 / 255, np.float32))
        pixels = body.node("Mul", [body.node("Cast", ["images"], "pixels", to=TensorProto.FLOAT), scale], "scaled")
    heads = write_network(body, graph, pixels)
    outputs = {name: (TensorProto.FLOAT, shape) for name, shape in zip(heads, graph.head_shapes(shape))}
    return assemble(body, {"images": (given, shape)}, outputs, OPSET, {})


def main() -> int:
    """Write the file that the command line names."""
    weights, path, height, width, *floats = sys.argv[1:]
    graph = fold_batch_norm(read_graph(Path(weights)).graph)
    model = onnx_model(graph, int(height), int(width), floats=floats == ["float"])
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return 0


if __name__ == "__main__":
    sys.exit(main())

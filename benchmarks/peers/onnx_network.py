"""A network of the intermediate representation as an ONNX file: images uint8 in, raw heads float32 out.

python -m benchmarks.peers.onnx_network WEIGHTS FILE.onnx HEIGHT WIDTH [float]

With ``float`` the images are float32 in 0..1, for who has no bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.peers.network import read_graph
from yolo.models.activation import Activation
from yolo.program import ir
from yolo.program.passes.fold import fold_batch_norm

OPSET = 17
IR_VERSION = 10

Steps = Iterator[onnx.NodeProto]


def onnx_model(graph: ir.Graph, height: int, width: int, *, floats: bool = False) -> onnx.ModelProto:
    """The model of a folded graph for one image of this size; output i is the head ``head<i>`` of level i.

    floats: whether images are float32 in 0..1 instead of uint8.
    """
    constants: dict[str, np.ndarray] = {} if floats else {"scale": np.float32(1 / 255)}
    nodes = [
        helper.make_node("Cast", ["pictures"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["pixels", "scale"], [_name(graph, ir.INPUT)]),
    ]
    given = ("pictures", TensorProto.UINT8)
    if floats:
        nodes, given = [], (_name(graph, ir.INPUT), TensorProto.FLOAT)
    for node in graph.nodes:
        if type(node) not in _WRITERS:
            raise NotImplementedError(f"{node.where}: no {node.kind} for ONNX")
        inputs = [_name(graph, value) for value in node.inputs]
        nodes += _WRITERS[type(node)](node, inputs, _name(graph, node.output), graph, constants)
    sizes = graph.sizes(height, width)
    shape = [1, graph.channels[ir.INPUT], height, width]
    heads = [
        helper.make_tensor_value_info(_name(graph, v), TensorProto.FLOAT, [1, graph.channels[v], *sizes[v]])
        for v in graph.outputs
    ]
    images = helper.make_tensor_value_info(*given, shape)
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    body = helper.make_graph(nodes, "network", [images], heads, tensors)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model


def _name(graph: ir.Graph, value: int) -> str:
    return f"head{graph.outputs.index(value)}" if value in graph.outputs else f"v{value}"


def _conv(node: ir.Conv, inputs: list[str], output: str, graph: ir.Graph, constants: dict) -> Steps:
    for part in ("weight", "bias") if node.bias else ("weight",):
        constants[f"{node.weights}.{part}"] = np.ascontiguousarray(graph.tensors[f"{node.weights}.{part}"], np.float32)
        inputs = [*inputs, f"{node.weights}.{part}"]
    shape = {
        "kernel_shape": node.kernel,
        "strides": node.stride,
        "pads": (*node.padding, *node.padding),
        "dilations": node.dilation,
        "group": node.groups,
    }
    if node.transposed:
        shape["output_padding"] = (node.output_padding, node.output_padding)
    yield helper.make_node("ConvTranspose" if node.transposed else "Conv", inputs, [output], node.where, **shape)


def _batch_norm(node: ir.BatchNorm, inputs: list[str], output: str, graph: ir.Graph, constants: dict) -> Steps:
    for part in ("scale", "shift"):
        constants[f"{node.weights}.{part}"] = graph.tensors[f"{node.weights}.{part}"].reshape(1, -1, 1, 1)
    yield helper.make_node("Mul", [*inputs, f"{node.weights}.scale"], [f"{output}.scaled"])
    yield helper.make_node("Add", [f"{output}.scaled", f"{node.weights}.shift"], [output])


def _activate(node: ir.Activate, inputs: list[str], output: str, graph: ir.Graph, constants: dict) -> Steps:
    activation: Activation = node.activation
    if activation.name == "SiLU":
        yield helper.make_node("Sigmoid", inputs, [f"{output}.gate"])
        yield helper.make_node("Mul", [*inputs, f"{output}.gate"], [output])
    elif activation.name == "LeakyReLU":
        yield helper.make_node("LeakyRelu", inputs, [output], alpha=activation.value)
    elif activation.name in ("ReLU", "Hardswish"):
        yield helper.make_node({"ReLU": "Relu", "Hardswish": "HardSwish"}[activation.name], inputs, [output])
    else:
        raise NotImplementedError(f"{node.where}: no activation {activation} for ONNX")


def _pool(node: ir.Pool, inputs: list[str], output: str, graph: ir.Graph, constants: dict) -> Steps:
    square = {"kernel_shape": [node.kernel] * 2, "strides": [node.stride] * 2, "pads": [node.padding] * 4}
    if node.average:
        yield helper.make_node("AveragePool", inputs, [output], count_include_pad=1, **square)
    else:
        yield helper.make_node("MaxPool", inputs, [output], **square)


def _upsample(node: ir.Upsample, inputs: list[str], output: str, graph: ir.Graph, constants: dict) -> Steps:
    constants[f"{output}.scales"] = np.array([1, 1, node.scale, node.scale], np.float32)
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    yield helper.make_node("Resize", [*inputs, "", f"{output}.scales"], [output], **how)


def _pad(node: ir.Pad, inputs: list[str], output: str, graph: ir.Graph, constants: dict) -> Steps:
    left, right, top, bottom = node.sides
    constants[f"{output}.pads"] = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    yield helper.make_node("Pad", [*inputs, f"{output}.pads"], [output])


def _space_to_depth(node: ir.SpaceToDepth, inputs: list[str], output: str, graph: ir.Graph, constants: dict) -> Steps:
    name = f"{output}.rows" if node.column_major else output
    yield helper.make_node("SpaceToDepth", inputs, [name], blocksize=node.gain)
    if node.column_major:  # ONNX orders the blocks by row first
        channels = np.arange(graph.channels[node.output]).reshape(node.gain, node.gain, -1)
        constants[f"{output}.order"] = channels.swapaxes(0, 1).reshape(-1)
        yield helper.make_node("Gather", [name, f"{output}.order"], [output], axis=1)


def _simple(kind: str, **attributes: object) -> Callable:
    return lambda node, inputs, output, graph, constants: iter([helper.make_node(kind, inputs, [output], **attributes)])


_WRITERS: Mapping[type[ir.Node], Callable[..., Steps]] = {
    ir.Conv: _conv,
    ir.BatchNorm: _batch_norm,
    ir.Activate: _activate,
    ir.Add: _simple("Add"),
    ir.Concat: _simple("Concat", axis=1),
    ir.Pool: _pool,
    ir.Upsample: _upsample,
    ir.Pad: _pad,
    ir.SpaceToDepth: _space_to_depth,
    ir.DepthToSpace: lambda node, *rest: _simple("DepthToSpace", blocksize=node.gain)(node, *rest),
}


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

"""A network of the intermediate representation as ONNX nodes: images in, raw heads out.

Every operator that is written here means the same in opsets 13 to 17.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from yolo.formats.onnx_body import OnnxBody
from yolo.models.activation import IDENTITY, Activation
from yolo.program import ir


def write_network(body: OnnxBody, graph: ir.Graph, images: str) -> list[str]:
    """Add the nodes of a graph whose batch norms are folded; give the heads' names, ``head<i>`` of level i.

    ``images`` names float32 ``[B, C, H, W]``, 0 to 1. Heads are float32 ``[B, na * (5 + nc), h, w]``. Raises ValueError
    for graphs of a precision that is not float32.
    """
    if graph.whole_pixels or graph.scales:
        raise ValueError("an ONNX file is written from a graph in float32")
    names = {ir.INPUT: images, **{value: f"head{level}" for level, value in enumerate(graph.outputs)}}
    for node in graph.nodes:
        inputs = [names[value] for value in node.inputs]
        output = names.setdefault(node.output, f"v{node.output}")
        _WRITERS[type(node)](body, node, inputs, output, graph)
    return [names[value] for value in graph.outputs]


def write_activation(body: OnnxBody, activation: Activation, x: str, output: str, where: str) -> str:
    """Add the nodes of an activation of ``x``; give the output's name."""
    name, value = activation.name, activation.value
    if name in _FACTORS:  # x times a function of x
        function, attributes = _FACTORS[name]
        gate = body.node(function, [x], f"{output}.gate", where, **attributes)
        return body.node("Mul", [x, gate], output, where)
    if name == "Mish":
        soft = body.node("Softplus", [x], f"{output}.softplus", where)
        gate = body.node("Tanh", [soft], f"{output}.gate", where)
        return body.node("Mul", [x, gate], output, where)
    if name == "GELU":
        return _gelu(body, x, output, where)
    if name == "ReLU6":
        bounds = [body.constant(f"{output}.{end}", np.array(end, np.float32)) for end in (0, 6)]
        return body.node("Clip", [x, *bounds], output, where)
    return body.node(_PLAIN[name], [x], output, where, **({} if value is None else {"alpha": value}))


def _gelu(body: OnnxBody, x: str, output: str, where: str) -> str:
    """x (1 + erf(x / sqrt(2))) / 2."""
    numbers = {"root": np.sqrt(0.5), "one": 1.0, "half": 0.5}
    root, one, half = (body.constant(f"{output}.{name}", np.array(v, np.float32)) for name, v in numbers.items())
    scaled = body.node("Mul", [x, root], f"{output}.scaled", where)
    erf = body.node("Erf", [scaled], f"{output}.erf", where)
    shifted = body.node("Add", [erf, one], f"{output}.shifted", where)
    gate = body.node("Mul", [shifted, half], f"{output}.gate", where)
    return body.node("Mul", [x, gate], output, where)


_FACTORS: Mapping[str, tuple[str, dict[str, float]]] = {
    "SiLU": ("Sigmoid", {}),
    "Hardswish": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),  # HardSwish itself is not in opset 13
}
_PLAIN: Mapping[str, str] = {
    "ReLU": "Relu",
    "LeakyReLU": "LeakyRelu",
    "ELU": "Elu",
    "Sigmoid": "Sigmoid",
    "Tanh": "Tanh",
    "Identity": "Identity",
}


def _conv(body: OnnxBody, node: ir.Conv, inputs: list[str], output: str, graph: ir.Graph) -> None:
    parts = ("weight", "bias") if node.bias else ("weight",)
    tensors = [body.constant(f"{node.weights}.{part}", graph.tensors[f"{node.weights}.{part}"]) for part in parts]
    shape = {
        "kernel_shape": node.kernel,
        "strides": node.stride,
        "pads": (*node.padding, *node.padding),
        "dilations": node.dilation,
        "group": node.groups,
    }
    if node.transposed:
        shape["output_padding"] = (node.output_padding, node.output_padding)
    activated, added = node.activation != IDENTITY, node.residual is not None
    kind, first = "ConvTranspose" if node.transposed else "Conv", f"{output}.conv" if activated or added else output
    found = body.node(kind, [inputs[0], *tensors], first, node.where, **shape)
    if activated:
        found = write_activation(body, node.activation, found, f"{output}.act" if added else output, node.where)
    if added:
        body.node("Add", [found, inputs[1]], output, node.where)


def _batch_norm(body: OnnxBody, node: ir.BatchNorm, inputs: list[str], output: str, graph: ir.Graph) -> None:
    scale, shift = (
        body.constant(f"{node.weights}.{part}", graph.tensors[f"{node.weights}.{part}"].reshape(1, -1, 1, 1))
        for part in ("scale", "shift")
    )
    scaled = body.node("Mul", [*inputs, scale], f"{output}.scaled", node.where)
    body.node("Add", [scaled, shift], output, node.where)


def _activate(body: OnnxBody, node: ir.Activate, inputs: list[str], output: str, graph: ir.Graph) -> None:
    write_activation(body, node.activation, inputs[0], output, node.where)


def _split(body: OnnxBody, node: ir.Split, inputs: list[str], output: str, graph: ir.Graph) -> None:
    ends = {"start": node.start, "end": node.start + node.count, "axis": 1}
    bounds = [body.constant(f"{output}.{name}", np.array([number], np.int64)) for name, number in ends.items()]
    body.node("Slice", [*inputs, *bounds], output, node.where)


def _pool(body: OnnxBody, node: ir.Pool, inputs: list[str], output: str, graph: ir.Graph) -> None:
    square = {"kernel_shape": [node.kernel] * 2, "strides": [node.stride] * 2, "pads": [node.padding] * 4}
    kind, counted = ("AveragePool", {"count_include_pad": 1}) if node.average else ("MaxPool", {})
    body.node(kind, inputs, output, node.where, **square, **counted)


def _upsample(body: OnnxBody, node: ir.Upsample, inputs: list[str], output: str, graph: ir.Graph) -> None:
    scales = body.constant(f"{output}.scales", np.array([1, 1, node.scale, node.scale], np.float32))
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    if isinstance(node, ir.Bilinear):
        how = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    body.node("Resize", [*inputs, "", scales], output, node.where, **how)


def _pad(body: OnnxBody, node: ir.Pad, inputs: list[str], output: str, graph: ir.Graph) -> None:
    left, right, top, bottom = node.sides
    sides = body.constant(f"{output}.sides", np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
    # A zero of this sign is none to onnxruntime, which would give a max pool behind it padding of -inf instead.
    zero = body.constant(f"{output}.zero", np.array(-0.0, np.float32))
    body.node("Pad", [*inputs, sides, zero], output, node.where)


def _space_to_depth(body: OnnxBody, node: ir.SpaceToDepth, inputs: list[str], output: str, graph: ir.Graph) -> None:
    name = f"{output}.rows" if node.column_major else output
    body.node("SpaceToDepth", inputs, name, node.where, blocksize=node.gain)
    if node.column_major:  # ONNX orders the blocks by row first
        channels = np.arange(graph.channels[node.output]).reshape(node.gain, node.gain, -1)
        order = body.constant(f"{output}.order", channels.swapaxes(0, 1).reshape(-1))
        body.node("Gather", [name, order], output, node.where, axis=1)


def _attention(body: OnnxBody, node: ir.Attention, inputs: list[str], output: str, graph: ir.Graph) -> None:
    """softmax(query' key / sqrt(d)) over keys; a head has d channels, which are the rows of its matrices here."""
    each, where = graph.channels[node.output] // node.heads, node.where
    shape = body.constant(f"{output}.heads", np.array([0, node.heads, each, -1], np.int64))
    scale = body.constant(f"{output}.scale", np.array(1 / np.sqrt(each), np.float32))
    query, key, value = (
        body.node("Reshape", [given, shape], f"{output}.{name}", where)
        for name, given in zip(("query", "key", "value"), inputs)
    )
    turned = body.node("Transpose", [query], f"{output}.turned", where, perm=(0, 1, 3, 2))
    scaled = body.node("Mul", [turned, scale], f"{output}.scaled", where)
    products = body.node("MatMul", [scaled, key], f"{output}.products", where)
    shares = body.node("Softmax", [products], f"{output}.shares", where, axis=-1)
    columns = body.node("Transpose", [shares], f"{output}.columns", where, perm=(0, 1, 3, 2))
    mixed = body.node("MatMul", [value, columns], f"{output}.mixed", where)
    back = body.node("Shape", inputs[2:], f"{output}.shape", where)
    body.node("Reshape", [mixed, back], output, where)


def _simple(kind: str, **attributes: object) -> Callable[..., None]:
    def write(body: OnnxBody, node: ir.Node, inputs: list[str], output: str, graph: ir.Graph) -> None:
        body.node(kind, inputs, output, node.where, **attributes)

    return write


def _depth_to_space(body: OnnxBody, node: ir.DepthToSpace, inputs: list[str], output: str, graph: ir.Graph) -> None:
    body.node("DepthToSpace", inputs, output, node.where, blocksize=node.gain)


_WRITERS: Mapping[type[ir.Node], Callable[..., None]] = {
    ir.Conv: _conv,
    ir.BatchNorm: _batch_norm,
    ir.Activate: _activate,
    ir.Add: _simple("Add"),
    ir.Concat: _simple("Concat", axis=1),
    ir.Split: _split,
    ir.Pool: _pool,
    ir.Upsample: _upsample,
    ir.Bilinear: _upsample,
    ir.Pad: _pad,
    ir.SpaceToDepth: _space_to_depth,
    ir.DepthToSpace: _depth_to_space,
    ir.Attention: _attention,
}
"""All kinds of nodes but those of int8."""

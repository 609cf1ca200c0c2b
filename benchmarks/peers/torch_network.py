"""A network of the intermediate representation as a PyTorch module, for training or, folded, for inference."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from yolo.models.activation import Activation
from yolo.program import ir
from yolo.program.passes.fold import EPSILON

MOMENTUM = 0.03
"""Of the batch norms' running statistics."""


class TorchNetwork(nn.Module):
    """float32 ``[B, C, H, W]`` in 0..1 -> raw heads ``[B, na * (5 + nc), h, w]`` a level.

    The modules' tensors are copies of the graph's; ``names`` says which tensor of the graph a parameter is.
    """

    def __init__(self, graph: ir.Graph) -> None:
        super().__init__()
        self._outputs = graph.outputs
        self.layers = nn.ModuleList()
        self.names: dict[nn.Parameter, str] = {}
        self._steps: list[tuple[Callable, tuple[int, ...], int, tuple[int, ...]]] = []
        last = {value: place for place, node in enumerate(graph.nodes) for value in node.inputs}
        readers = graph.consumers
        for place, node in enumerate(graph.nodes):
            alone = len(readers[node.inputs[0]]) == 1 and node.inputs[0] not in (ir.INPUT, *graph.outputs)
            operation = self._operation(node, graph, alone)
            dead = tuple(v for v in node.inputs if last[v] == place and v not in graph.outputs)
            self._steps.append((operation, node.inputs, node.output, dead))

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        values = {ir.INPUT: images}
        for operation, inputs, output, dead in self._steps:
            values[output] = operation(*[values[value] for value in inputs])
            for value in dead:
                values.pop(value, None)
        return [values[value] for value in self._outputs]

    def _operation(self, node: ir.Node, graph: ir.Graph, alone: bool) -> Callable:
        if isinstance(node, ir.Activate):
            return _activation(node.activation, inplace=alone)
        if isinstance(node, ir.Conv):
            return self._registered(_convolution(node, graph), node.weights, graph)
        if isinstance(node, ir.BatchNorm):
            norm = nn.BatchNorm2d(graph.channels[node.output], eps=EPSILON, momentum=MOMENTUM)
            return self._registered(norm, node.weights, graph)
        if type(node) not in _PLAIN:
            raise NotImplementedError(f"{node.where}: no {node.kind} for PyTorch")
        return _PLAIN[type(node)](node)

    def _registered(self, module: nn.Module, weights: str, graph: ir.Graph) -> nn.Module:
        with torch.no_grad():
            for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
                if name != "num_batches_tracked":
                    tensor.copy_(torch.from_numpy(np.ascontiguousarray(graph.tensors[f"{weights}.{name}"])))
        self.names |= {parameter: f"{weights}.{name}" for name, parameter in module.named_parameters()}
        self.layers.append(module)
        return module


def _convolution(node: ir.Conv, graph: ir.Graph) -> nn.Module:
    given, shape = graph.channels[node.inputs[0]], (node.kernel, node.stride, node.padding)
    common = {"groups": node.groups, "bias": node.bias, "dilation": node.dilation}
    if node.transposed:
        return nn.ConvTranspose2d(given, node.out_channels, *shape, node.output_padding, **common)
    return nn.Conv2d(given, node.out_channels, *shape, **common)


def _activation(activation: Activation, inplace: bool) -> Callable:
    known: Mapping[str, Callable[[], nn.Module]] = {
        "SiLU": lambda: nn.SiLU(inplace),
        "ReLU": lambda: nn.ReLU(inplace),
        "Hardswish": lambda: nn.Hardswish(inplace),
        "LeakyReLU": lambda: nn.LeakyReLU(activation.value, inplace),
    }
    if activation.name not in known:
        raise NotImplementedError(f"no activation {activation} for PyTorch")
    return known[activation.name]()


def _pool(node: ir.Pool) -> Callable:
    kind = nn.AvgPool2d if node.average else nn.MaxPool2d
    return kind(node.kernel, node.stride, node.padding)


def _space_to_depth(node: ir.SpaceToDepth) -> Callable:
    def run(x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        cells = x.reshape(batch, channels, height // node.gain, node.gain, width // node.gain, node.gain)
        order = (0, 5, 3, 1, 2, 4) if node.column_major else (0, 3, 5, 1, 2, 4)
        return cells.permute(order).reshape(batch, -1, height // node.gain, width // node.gain)

    return run


def _depth_to_space(node: ir.DepthToSpace) -> Callable:
    def run(x: torch.Tensor) -> torch.Tensor:
        batch, channels, height, width = x.shape
        cells = x.reshape(batch, node.gain, node.gain, channels // node.gain**2, height, width)
        return cells.permute(0, 3, 4, 1, 5, 2).reshape(batch, -1, height * node.gain, width * node.gain)

    return run


_PLAIN: Mapping[type[ir.Node], Callable[[ir.Node], Callable]] = {
    ir.Add: lambda node: torch.add,
    ir.Concat: lambda node: lambda *parts: torch.cat(parts, 1),
    ir.Split: lambda node: lambda x: x[:, node.start : node.start + node.count],
    ir.Pool: _pool,
    ir.Upsample: lambda node: lambda x: functional.interpolate(x, scale_factor=float(node.scale), mode="nearest"),
    ir.Pad: lambda node: nn.ZeroPad2d(node.sides),
    ir.SpaceToDepth: _space_to_depth,
    ir.DepthToSpace: _depth_to_space,
}

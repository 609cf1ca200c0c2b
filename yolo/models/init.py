"""A network's first weights, from one NumPy generator."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import oneflow as flow
from oneflow import nn

from yolo.models.layers.head import Detect
from yolo.models.layers.transformer import MultiheadAttention


def initialise(module: nn.Module, strides: Sequence[int], nc: int, rng: np.random.Generator) -> None:
    """Fill all weights as PyTorch and YOLOv5 do: uniform ±1/√fan_in, and the head's biases for rare objects.

    Batch norms keep their ones and zeros. The order of the modules decides the order of the draws.
    """
    for layer in module.modules():
        for tensor, bound in _bounds(layer):
            values = rng.random(tuple(tensor.shape), dtype=np.float32)
            assign(tensor, (values * 2 - 1) * np.float32(bound))
    for layer in module.modules():
        if isinstance(layer, Detect):  # after its own convolutions, which come later in the order
            _bias_head(layer, strides, nc)


def assign(tensor: flow.Tensor, values: np.ndarray) -> None:
    """Write ``values`` into ``tensor`` in place, the only way that compiled graphs see."""
    source = flow.tensor(np.asarray(values, order="C"), dtype=tensor.dtype)
    with flow.no_grad():
        if tensor.is_global:
            replicated = [flow.sbp.broadcast] * len(tensor.sbp)
            source = source.to_global(placement=tensor.placement, sbp=replicated).to_global(sbp=tensor.sbp)
        tensor.copy_(source)


def _bounds(layer: nn.Module) -> Iterator[tuple[flow.Tensor, float]]:
    """Own tensors of ``layer`` with the half width of their uniform distribution."""
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        bound = 1 / math.sqrt(math.prod(layer.weight.shape[1:]))
        yield layer.weight, bound
        if layer.bias is not None:
            yield layer.bias, bound
    elif isinstance(layer, MultiheadAttention):
        rows, columns = layer.in_proj_weight.shape
        yield layer.in_proj_weight, math.sqrt(6 / (rows + columns))  # Glorot & Bengio, 2010


def _bias_head(head: Detect, strides: Sequence[int], nc: int) -> None:
    """Start from 8 objects in a 640 pixel image and even classes (focal loss paper, section 3.3)."""
    for conv, stride in zip(head.m, strides):
        bias = conv.bias.numpy().copy().reshape(head.na, head.no)
        bias[:, 4] += math.log(8 / (640 / stride) ** 2)
        bias[:, 5 : 5 + nc] += math.log(0.6 / (nc - 0.99999))
        assign(conv.bias, bias.reshape(-1))

"""Networks with every kind of layer, small enough for a test."""

from __future__ import annotations

import numpy as np
import oneflow as flow
import yaml

from tests.models.small import small_mapping
from yolo.models.config import PRESETS, load_model_config, parse_model_config
from yolo.models.network import Network, build_network
from yolo.models.weights.transfer import state_to_numpy

ROWS = {
    "focus": [[-1, 1, "Focus", [16, 3]], [-1, 1, "Conv", [24, 3, 2]]],
    "contract": [[-1, 1, "Contract", [2]], [-1, 1, "Conv", [16, 3, 2]]],
    "expand": [[-1, 1, "Conv", [32, 3, 2]], [-1, 1, "Expand", [2]], [-1, 1, "Conv", [16, 3, 4]]],
    "csp": [[-1, 1, "Conv", [16, 6, 4, 2]], [-1, 2, "BottleneckCSP", [24]]],
    "ghost": [[-1, 1, "Conv", [16, 6, 4, 2]], [-1, 1, "GhostConv", [24, 1, 1]], [-1, 1, "C3Ghost", [24]]],
    "ghost_stride": [[-1, 1, "Conv", [16, 6, 2, 2]], [-1, 1, "GhostBottleneck", [32, 3, 2]]],
    "cross": [[-1, 1, "Conv", [16, 6, 4, 2]], [-1, 1, "C3x", [16]], [-1, 1, "CrossConv", [24, 3, 1]]],
    "spp": [[-1, 1, "Conv", [16, 6, 4, 2]], [-1, 1, "SPP", [32, [3, 5]]], [-1, 1, "C3SPP", [16, [3, 5]]]],
    "sppf": [[-1, 1, "Conv", [32, 6, 4, 2]], [-1, 1, "SPPF", [32, 5]], [-1, 2, "C3", [48]]],
    "groups": [[-1, 1, "Conv", [32, 6, 4, 2]], [-1, 1, "Conv", [32, 3, 1, None, 4]], [-1, 1, "DWConv", [32, 3]]],
    "dilated": [[-1, 1, "Conv", [16, 6, 4, 2]], [-1, 1, "Conv", [16, 3, 1, None, 1, 2]]],
    "oblong": [[-1, 1, "Conv", [16, 6, 4, 2]], [-1, 1, "Conv", [16, [1, 5], 1]], [-1, 1, "Conv", [16, [5, 1], 1]]],
    "plain": [[-1, 1, "nn.Conv2d", [16, 3, 4, 1]], [-1, 1, "nn.BatchNorm2d", []], [-1, 1, "nn.LeakyReLU", [0.2]]],
    "pools": [[-1, 1, "Conv", [16, 3, 2]], [-1, 1, "nn.MaxPool2d", [2]], [-1, 1, "nn.AvgPool2d", [3, 1, 1]]],
    "padded": [[-1, 1, "Conv", [16, 3, 4]], [-1, 1, "nn.ZeroPad2d", [[0, 1, 0, 1]]], [-1, 1, "nn.MaxPool2d", [2, 1]]],
    "transposed": [
        [-1, 1, "Conv", [16, 3, 4]],
        [-1, 1, "nn.ConvTranspose2d", [16, 4, 2, 1]],
        [-1, 1, "Conv", [8, 3, 2]],
    ],
    "upsample": [[-1, 1, "Conv", [8, 3, 8]], [-1, 1, "nn.Upsample", [None, 2, "nearest"]], [[-1], 1, "Concat", [1]]],
    "transformer": [[-1, 1, "Conv", [16, 6, 4, 2]], [-1, 2, "C3TR", [32]]],
    "bilinear": [[-1, 1, "Conv", [8, 3, 8]], [-1, 1, "nn.Upsample", [None, 2, "bilinear"]], [-1, 1, "Conv", [8, 3]]],
    "joined": [
        [-1, 1, "Conv", [16, 3, 4]],
        [-1, 1, "Conv", [24, 1]],
        [-2, 1, "Conv", [8, 1]],
        [[-1, -2, 0], 1, "Concat", [1]],
        [[-1, 0], 1, "Concat", [1]],
        [-1, 1, "Conv", [20, 1]],
    ],
    "activations": [
        [-1, 1, "Conv", [16, 3, 4]],
        *([-1, 1, "Conv", [16, 1, 1, None, 1, 1, f"nn.{name}()"]] for name in ("ReLU", "Hardswish", "Mish", "ELU")),
        [-1, 1, "nn.SiLU", []],
        [-1, 1, "nn.Hardswish", []],
    ],
}
"""Backbones whose last layer has a stride of 4."""


def network_of(name: str, seed: int = 0) -> Network:
    """A network of ``ROWS``, with a head of one level, in evaluation mode, its statistics away from 0 and 1."""
    return network_with(ROWS[name], name, seed)


def network_with(rows: list, name: str, seed: int = 0) -> Network:
    """The same of any backbone."""
    mapping = {
        "nc": 3,
        "depth_multiple": 1.0,
        "width_multiple": 1.0,
        "anchors": [[10, 13, 16, 30, 33, 23]],
        "backbone": rows,
        "head": [[[len(rows) - 1], 1, "Detect", ["nc", "anchors"]]],
    }
    return stirred(build_network(parse_model_config(mapping, name=name), rng=seed), seed)


def zoo_network(name: str) -> Network:
    """A published model with random weights, in evaluation mode."""
    return stirred(build_network(load_model_config(name)), 0)


def narrow_zoo_network(name: str, width: float, depth: float | None = None) -> Network:
    """A published model with other numbers of channels, and of blocks where ``depth`` is given; not stirred."""
    mapping = yaml.safe_load((PRESETS / f"{name}.yaml").read_text(encoding="utf-8"))
    changed = {"nc": 3, "width_multiple": width, "depth_multiple": depth or mapping["depth_multiple"]}
    return build_network(parse_model_config({**mapping, **changed}, name=name))


def two_levels(seed: int = 0) -> Network:
    """A small network with two levels and residuals."""
    return stirred(build_network(parse_model_config(small_mapping(), name="small"), rng=seed), seed)


def stirred(network: Network, seed: int) -> Network:
    """Random running statistics and biases, so that folding has something to fold."""
    rng = np.random.default_rng(seed)
    for name, tensor in network.state_dict().items():
        if name.endswith(("running_mean", ".bn.bias")):
            tensor.copy_(flow.tensor(rng.normal(0, 0.2, tuple(tensor.shape)).astype(np.float32)))
        elif name.endswith(("running_var", ".bn.weight")):
            tensor.copy_(flow.tensor(rng.uniform(0.6, 1.4, tuple(tensor.shape)).astype(np.float32)))
    return network.eval()


def raw_heads(network: Network, images: np.ndarray) -> list[np.ndarray]:
    """What the plain modules give, float32 [B, na * (5 + nc), h, w] a level."""
    with flow.no_grad():
        heads = network(flow.tensor(images).to(flow.float32) / 255.0)
    return [channels_first(head.numpy()) for head in heads]


def channels_first(head: np.ndarray) -> np.ndarray:
    """[B, na, h, w, no] -> [B, na * no, h, w]."""
    batch, anchors, height, width, columns = head.shape
    return head.transpose(0, 1, 4, 2, 3).reshape(batch, anchors * columns, height, width)


def state_of(network: Network) -> dict[str, np.ndarray]:
    """Its tensors as arrays."""
    return state_to_numpy(network)


def random_images(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Random uint8 images."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)

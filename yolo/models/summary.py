"""A network in one line: layers, parameters, operations."""

from __future__ import annotations

import math
from pathlib import Path

from oneflow import nn

from yolo.config.values import IMAGE_SIZE
from yolo.models.network import Network
from yolo.models.spec import INPUT, TRACE_SIZE, LayerSpec, NetworkSpec


def describe(network: Network, imgsz: int = IMAGE_SIZE) -> str:
    """`YOLOv5n summary: 270 layers, 1872157 parameters, 1872157 gradients, 4.5 GFLOPs`.

    Layers are all modules; gradients are the parameters that train; GFLOPs are for one square image of
    ``imgsz`` pixels.
    """
    parameters = list(network.parameters())
    gradients = sum(p.numel() for p in parameters if p.requires_grad)
    layers = sum(1 for _ in network.modules())
    stem = Path(network.config.name).stem
    title = stem.replace("yolo", "YOLO", 1) if stem.startswith("yolo") else "Model"
    operations = gflops(network, imgsz)
    return (
        f"{title} summary: {layers} layers, {sum(p.numel() for p in parameters)} parameters, "
        f"{gradients} gradients, {operations:{'.1f' if operations >= 1 else '.2g'}} GFLOPs"
    )


def gflops(network: Network, imgsz: int = IMAGE_SIZE) -> float:
    """10⁹ operations (two per multiply-add) of all convolutions and linear layers for one square image."""
    total = 0
    for spec, layer in zip(network.spec.layers, network.model):
        for name, module in layer.named_modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                cells = _cells(spec, network.spec, name, isinstance(module, nn.ConvTranspose2d))
                total += 2 * module.weight.numel() * cells
    return total * (imgsz / TRACE_SIZE) ** 2 / 1e9


def _cells(spec: LayerSpec, network: NetworkSpec, name: str, transposed: bool) -> float:
    """Positions at which the weights of one inner layer are applied, at an input of TRACE_SIZE."""
    sizes = [TRACE_SIZE if source == INPUT else network.layers[source].size for source in spec.sources]
    if spec.module == "Detect":
        return sizes[int(name.split(".")[1])] ** 2
    before, after = sizes[0] ** 2, spec.size**2
    if transposed or (spec.module == "GhostBottleneck" and name.startswith("conv.0.")):
        return before
    if spec.module == "CrossConv" and name.startswith("cv1."):  # strides along one axis only
        return math.sqrt(before * after)
    return after

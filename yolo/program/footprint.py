"""The least memory that a network takes for images of a size, so that too much is refused before the machine gives up.

Plain estimates from below, of what is there at once whatever a plan saves: what is refused could not have run.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from yolo.errors import ConfigError
from yolo.io.memory import free_memory
from yolo.program.ir import INPUT, Conv, Graph, Shape

VALUE_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1}
"""Of a feature map's value by precision; in int8 few are more."""


def inference_bytes(graph: Graph, shape: Shape, precision: str = "fp32") -> int:
    """Of images uint8 ``[B, C, H, W]``: all of them, and of one (they take turns) the largest convolution."""
    sizes = _sizes(graph, shape)

    def size(value: int) -> int:
        height, width = sizes[value]
        return graph.channels[value] * height * width * (0 if value == INPUT else VALUE_BYTES[precision])

    nodes = [node for node in graph.nodes if isinstance(node, Conv) and node.output in sizes]
    convolutions = [size(node.inputs[0]) + size(node.output) for node in nodes]
    return image_bytes(shape) + max(convolutions, default=0)


def training_bytes(graph: Graph, shape: Shape, precision: str = "fp32", frozen: Collection[int] = ()) -> int:
    """Of a step with images ``[B, C, H, W]``: them, and what convolutions give, which their backward passes want.

    ``frozen``: numbers of layers without one. ``graph``: as lowered, before any pass.
    """
    sizes = _sizes(graph, shape)
    values = 0
    for node in graph.nodes:
        if isinstance(node, Conv) and node.output in sizes and int(node.weights.split(".")[1]) not in frozen:
            height, width = sizes[node.output]
            values += graph.channels[node.output] * height * width
    return image_bytes(shape) + shape[0] * values * VALUE_BYTES[precision]


def _sizes(graph: Graph, shape: Shape) -> dict[int, tuple[int, int]]:
    """Of every value; none where nothing is left of the images, which is for the plan to say."""
    try:
        return graph.sizes(*shape[2:])
    except ValueError:
        return {}


def image_bytes(shape: Shape) -> int:
    """Of images uint8 ``[B, C, H, W]``."""
    return math.prod(shape)


def require_memory(needed: int, shape: Shape, where: object, free: int | None = None) -> None:
    """Raise ConfigError where images of this shape need more bytes than are ``free`` (default: of this machine's)."""
    free = free_memory(most=True) if free is None else free
    if needed > free:
        batch, _, height, width = shape
        images = f"{batch} images" if batch > 1 else "an image"
        take = "take" if batch > 1 else "takes"
        what = f"{images} of {width} x {height} pixels {take} at least {_gigabytes(needed)} of memory"
        hint = "lower --imgsz" + (" or --batch-size" if batch > 1 else "")
        raise ConfigError(f"{what}, and {_gigabytes(free)} are free", where=where, hint=hint)


def _gigabytes(count: int) -> str:
    if count < 10**8:
        return f"{count / 1e6:.1f} MB"
    return f"{count / 1e9:.2f} GB" if count < 10**11 else f"{count // 10**9} GB"

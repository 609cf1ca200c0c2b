"""Steps of nodes that inference and training plan alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from yolo.models.activation import Activation
from yolo.program import ir
from yolo.program.index_map import index_map
from yolo.program.ir import Node
from yolo.program.plan import Attribute
from yolo.program.plan_builder import BufferView, PlanBuilder

ATTENDED = ("query", "key", "value")
"""What an attention reads, by role."""

PLAIN_CHANNELS = 4
"""A convolution reads the plain images where they have this few channels; blocks would be mostly zeros."""

Channels = Mapping[int, int] | Sequence[int]


def add_step(
    builder: PlanBuilder,
    node: Node,
    channels: Channels,
    inputs: Sequence[BufferView],
    target: BufferView,
    index: BufferView | None = None,
) -> None:
    """The step of a node that attends, resamples or moves numbers; ``channels``: of each value.

    ``index``: where a max pool keeps the places of its maxima. Raises TypeError for other nodes.
    """
    if isinstance(node, ir.Attention):
        views = {**dict(zip(ATTENDED, inputs)), "target": target}
        builder.forward("attention", node.where, views, heads=node.heads)
    elif isinstance(node, (ir.Pool, ir.Upsample)):
        views = {"source": inputs[0], "target": target, "index": index}
        builder.forward("resample", node.where, views, **resampling(node))
    else:
        moved = index_map(node, channels)
        if moved.to_fine:
            views, more = {"fine": target, "coarse": inputs[0]}, {"clear": False}
        else:
            views, more = {"fine": inputs[0], "coarse": target}, {}
        kind = "scatter" if moved.to_fine else "gather"
        builder.forward(kind, node.where, views, index=moved.index, stride=moved.stride, **more)


def resampling(node: ir.Pool | ir.Upsample) -> dict[str, Attribute]:
    """The attributes of a pool or an upsampling."""
    if isinstance(node, ir.Upsample):
        return {"method": node.kind, "kernel": node.scale, "stride": node.scale, "padding": 0}
    method = "average_pool" if node.average else "max_pool"
    return {"method": method, "kernel": node.kernel, "stride": node.stride, "padding": node.padding}


def convolution(node: ir.Conv) -> dict[str, Attribute]:
    """The attributes of a convolution besides its weights."""
    names = ("kernel", "stride", "padding", "dilation", "groups", "transposed")
    return {name: getattr(node, name) for name in names}


def activated(activation: Activation) -> dict[str, Attribute]:
    """The attributes of an activation."""
    return {"activation": activation.name, "value": activation.value or 0.0}


def offsets(node: ir.Concat, channels: Channels) -> list[int]:
    """The first channel of each input of a concatenation."""
    return [sum(channels[value] for value in node.inputs[:number]) for number in range(len(node.inputs))]

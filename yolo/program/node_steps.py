"""Steps of nodes that inference and training plan alike, and which channel and pixel belong together in moves."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from yolo.models.activation import Activation
from yolo.program import ir
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


@dataclasses.dataclass(frozen=True)
class IndexMap:
    """coarse[i, y, x] is fine[channel_i, y * stride + dy_i, x * stride + dx_i].

    index: channel, dy and dx of each coarse channel, one after the other. ``to_fine``: the fine one is the output.
    """

    index: tuple[int, ...]
    stride: int = 1
    to_fine: bool = False


def index_map(node: ir.Node, channels: Channels) -> IndexMap:
    """The index map that a node is; ``channels``: of each value. Raises TypeError for other kinds of nodes."""
    given = channels[node.inputs[0]]
    if isinstance(node, ir.Pad):
        left, _, top, _ = node.sides
        return IndexMap(_flat((c, -top, -left) for c in range(given)))
    if isinstance(node, ir.Split):
        return IndexMap(consecutive(node.start, node.count))
    if isinstance(node, ir.SpaceToDepth):
        return IndexMap(_cells(given, node.gain, node.column_major), node.gain)
    if isinstance(node, ir.DepthToSpace):
        return IndexMap(_cells(channels[node.output], node.gain, False), node.gain, to_fine=True)
    raise TypeError(f"{node.where}: {node.kind} is no index map")


def consecutive(start: int, count: int) -> tuple[int, ...]:
    """The index of ``count`` channels from ``start``."""
    return _flat((start + channel, 0, 0) for channel in range(count))


def _cells(channels: int, gain: int, column_major: bool) -> tuple[int, ...]:
    places = [(dy, dx) for dy in range(gain) for dx in range(gain)]
    if column_major:
        places = [(dy, dx) for dx in range(gain) for dy in range(gain)]
    return _flat((c, dy, dx) for dy, dx in places for c in range(channels))


def _flat(rows: Iterable[tuple[int, int, int]]) -> tuple[int, ...]:
    return tuple(number for row in rows for number in row)

"""Which channel and pixel belong together in steps that move numbers: (channel, dy, dx) for each coarse channel."""

from __future__ import annotations

import dataclasses

from yolo.program import ir
from yolo.program.training.units import Work

Link = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Move:
    """coarse[i, y, x] is fine[channel_i, y * stride + dy_i, x * stride + dx_i].

    ``to_fine``: the fine one is the output.
    """

    links: tuple[Link, ...]
    stride: int
    to_fine: bool


def move_of(node: ir.Node, work: Work) -> Move:
    """The move that a node is."""
    channels = work.channels[node.inputs[0]]
    if isinstance(node, ir.Pad):
        left, _, top, _ = node.sides
        return Move(tuple((c, -top, -left) for c in range(channels)), 1, False)
    if isinstance(node, ir.Split):
        return Move(tuple((node.start + c, 0, 0) for c in range(node.count)), 1, False)
    if isinstance(node, ir.SpaceToDepth):
        return Move(_cells(channels, node.gain, node.column_major), node.gain, False)
    if isinstance(node, ir.DepthToSpace):
        return Move(_cells(work.channels[node.output], node.gain, False), node.gain, True)
    raise TypeError(f"{node.where}: {node.kind} is no move")


def _cells(channels: int, gain: int, column_major: bool) -> tuple[Link, ...]:
    places = [(dy, dx) for dy in range(gain) for dx in range(gain)]
    if column_major:
        places = [(dy, dx) for dx in range(gain) for dy in range(gain)]
    return tuple((c, dy, dx) for dy, dx in places for c in range(channels))

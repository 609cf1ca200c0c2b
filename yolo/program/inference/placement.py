"""Where values lie: concatenations and splits without copies."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from yolo.program.inference.algorithm import DIRECT, int8_algorithm
from yolo.program.int8.rules import is_int8
from yolo.program.ir import INPUT, Concat, Conv, Graph, Size, Split
from yolo.program.plan_builder import Buffer, BufferView
from yolo.program.target import Target


@dataclasses.dataclass
class _Slab:
    """Values that lie side by side in one piece of memory; starts in channels, possibly below zero while growing."""

    starts: dict[int, int]
    extents: list[tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class Placement:
    """views: where each value but the images lies, in maps of one image.

    copies: of concatenations and splits, (output, input's position) where that must be copied, since it lies elsewhere.
    """

    views: Mapping[int, BufferView]
    copies: frozenset[tuple[int, int]]


def place(graph: Graph, sizes: Mapping[int, Size], target: Target) -> Placement:
    """Lay out all values in whole blocks of channels.

    A split lies inside its source and a concatenation around its inputs wherever their first channels are multiples
    of a block and nothing else lies there already; the rest is copied, and so are bytes: of those all channels of a
    pixel lie together.
    """
    slabs: dict[int, _Slab] = {}
    copies: set[tuple[int, int]] = set()
    block = target.block
    for node in graph.nodes:
        floats = node.output not in graph.scales
        if floats and isinstance(node, Concat):
            slabs[node.output] = slab = _Slab({node.output: 0}, [])
            copies |= {(node.output, position) for position in _join(graph, node, slab, slabs, block)}
        elif floats and isinstance(node, Split) and _is_part(node, block):
            parent = slabs[node.inputs[0]]
            parent.starts[node.output] = parent.starts[node.inputs[0]] + node.start
            slabs[node.output] = parent
        else:
            slabs[node.output] = _Slab({node.output: 0}, [(0, target.whole(graph.channels[node.output]))])
            if isinstance(node, (Concat, Split)):
                copies |= {(node.output, position) for position in range(len(node.inputs))}
    return Placement(_views(slabs, graph, sizes, target), frozenset(copies))


def _is_of_bytes(node: Conv, graph: Graph, target: Target) -> bool:
    channels = graph.channels[node.inputs[0]], graph.channels[node.output]
    return is_int8(node, graph) and int8_algorithm(node, channels, target) == DIRECT


def _is_part(node: Split, block: int) -> bool:
    return node.inputs[0] != INPUT and node.start % block == 0 and node.count % block == 0


def _join(graph: Graph, node: Concat, slab: _Slab, slabs: dict[int, _Slab], block: int) -> list[int]:
    """Move the slabs of a concatenation's inputs into its own; give the positions of those that cannot be."""
    left, ranges, offset = [], [], 0
    for value in node.inputs:
        ranges.append((value, offset, offset + graph.channels[value]))
        offset = ranges[-1][2]
    for position, (value, start, stop) in enumerate(ranges):
        whole = (stop - start) % block == 0 or position == len(ranges) - 1
        fits = value != INPUT and start % block == 0 and whole
        if not (fits and _leaves_room(slabs, value, start, ranges) and _move(slabs, value, slab, start)):
            left.append(position)
            slab.extents.append((start, stop))
    return left


def _leaves_room(slabs: Mapping[int, _Slab], value: int, at: int, ranges: Sequence[tuple[int, int, int]]) -> bool:
    """Whether all that lies in the slab of ``value`` keeps clear of where the other inputs of a concatenation go.

    What is copied there would overwrite it. ``ranges``: the inputs with their first channel and the one behind the
    last.
    """
    source = slabs[value]
    shift, end = at - source.starts[value], ranges[-1][2]
    within = [(low + shift, high + shift) for low, high in source.extents if low + shift < end and high + shift > 0]
    for other, start, stop in ranges:
        in_place = slabs.get(other) is source and source.starts[other] + shift == start
        if not in_place and any(low < stop and start < high for low, high in within):
            return False
    return True


def _move(slabs: dict[int, _Slab], value: int, into: _Slab, at: int) -> bool:
    """Put the slab of ``value`` into another so that ``value`` starts at channel ``at``; False where it cannot be."""
    source = slabs[value]
    if source is into:
        return source.starts[value] == at
    shift = at - source.starts[value]
    moved = [(start + shift, stop + shift) for start, stop in source.extents]
    if any(start < b and a < stop for start, stop in moved for a, b in into.extents):
        return False
    into.extents += moved
    into.starts |= {member: start + shift for member, start in source.starts.items()}
    for member in source.starts:
        slabs[member] = into
    return True


def _views(
    slabs: Mapping[int, _Slab], graph: Graph, sizes: Mapping[int, Size], target: Target
) -> dict[int, BufferView]:
    """A buffer for each slab. Bytes, and floats that oneDNN makes of them, have the channels of a pixel together."""
    together = {node.output for node in graph.nodes if isinstance(node, Conv) and _is_of_bytes(node, graph, target)}
    buffers: dict[int, Buffer] = {}
    views: dict[int, BufferView] = {}
    for value, slab in slabs.items():
        low = min(slab.starts.values())
        if id(slab) not in buffers:
            width = max(start + graph.channels[member] for member, start in slab.starts.items()) - low
            element = target.head_element if value in graph.outputs else target.element
            if value in graph.scales or value in together:
                buffers[id(slab)] = Buffer(width, sizes[value], 1 if value in graph.scales else element, "nhwc")
            else:
                buffers[id(slab)] = Buffer(target.whole(width), sizes[value], element, target.layout)
        views[value] = BufferView(buffers[id(slab)], slab.starts[value] - low, graph.channels[value])
    return views

"""Where values lie: concatenations and splits without copies."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from yolo.program.ir import INPUT, Concat, Graph, Split


@dataclasses.dataclass
class _Slab:
    """Values that lie side by side in one piece of memory; starts in channels, possibly below zero while growing."""

    starts: dict[int, int]
    extents: list[tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class Placement:
    """slab: value -> number of its slab; start: value -> its first channel there; widths: channels of each slab.

    copies: (concat node, input's position) pairs that must be copied, since they lie elsewhere.
    """

    slab: Mapping[int, int]
    start: Mapping[int, int]
    widths: tuple[int, ...]
    copies: frozenset[tuple[int, int]]
    split_copies: frozenset[int]


def place(graph: Graph, block: int) -> Placement:
    """Lay out all values in whole blocks of channels.

    A split lies inside its source and a concatenation around its inputs wherever their first channels are multiples
    of ``block`` and nothing else lies there already; the rest is copied, and so are bytes: of those all channels of a
    pixel lie together.
    """
    slabs: dict[int, _Slab] = {}
    copies: set[tuple[int, int]] = set()
    split_copies: set[int] = set()
    for node in graph.nodes:
        width = _whole(graph.channels[node.output], block)
        if node.output in graph.scales:
            slabs[node.output] = _Slab({node.output: 0}, [(0, width)])
            if isinstance(node, Concat):
                copies |= {(node.output, position) for position in range(len(node.inputs))}
            elif isinstance(node, Split):
                split_copies.add(node.output)
        elif isinstance(node, Split) and INPUT not in node.inputs and not (node.start % block or node.count % block):
            parent = slabs[node.inputs[0]]
            parent.starts[node.output] = parent.starts[node.inputs[0]] + node.start
            slabs[node.output] = parent
        elif isinstance(node, Concat):
            slabs[node.output] = slab = _Slab({node.output: 0}, [])
            copies |= {(node.output, position) for position in _join(graph, node, slab, slabs, block)}
        else:
            if isinstance(node, Split):
                split_copies.add(node.output)
            slabs[node.output] = _Slab({node.output: 0}, [(0, width)])
    return _numbered(slabs, graph, block, copies, split_copies)


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


def _numbered(
    slabs: Mapping[int, _Slab], graph: Graph, block: int, copies: set[tuple[int, int]], split_copies: set[int]
) -> Placement:
    numbers: dict[int, int] = {}
    widths: list[int] = []
    slab_of, start_of = {}, {}
    for value, slab in slabs.items():
        if id(slab) not in numbers:
            numbers[id(slab)] = len(widths)
            ends = [start + graph.channels[member] for member, start in slab.starts.items()]
            low = min(slab.starts.values())
            slab.starts = {member: start - low for member, start in slab.starts.items()}
            widths.append(_whole(max(ends) - low, block))
        slab_of[value], start_of[value] = numbers[id(slab)], slab.starts[value]
    return Placement(slab_of, start_of, tuple(widths), frozenset(copies), frozenset(split_copies))


def _whole(channels: int, block: int) -> int:
    return -(-channels // block) * block

"""Steps on buffers, from which follow how long each buffer must stay and where it lies: a plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from yolo.program.ir import Shape, Size
from yolo.program.plan import Attribute, Plan, Step, TensorView
from yolo.program.target import Target


@dataclasses.dataclass(eq=False)
class Buffer:
    """Memory for a whole batch; ``channels`` is padded to whole blocks in the target's layout."""

    channels: int
    size: Size
    element: int
    layout: str

    def bytes(self, batch: int) -> int:
        """Of so many images."""
        return batch * self.channels * self.size[0] * self.size[1] * self.element


@dataclasses.dataclass(frozen=True)
class BufferView:
    """Channels of a buffer from ``first``."""

    buffer: Buffer
    first: int
    channels: int

    def part(self, start: int, channels: int) -> BufferView:
        """Some of its channels; ``start`` in whole blocks."""
        return BufferView(self.buffer, self.first + start, channels)

    def at(self, offset: int) -> TensorView:
        """The same, with the buffer at an offset in the arena."""
        buffer = self.buffer
        return TensorView(
            offset,
            self.channels,
            *buffer.size,
            element=buffer.element,
            layout=buffer.layout,
            first=self.first,
            buffer_channels=buffer.channels,
        )


Views = BufferView | Sequence[BufferView] | None


@dataclasses.dataclass(frozen=True)
class _Draft:
    kind: str
    where: str
    views: Mapping[str, tuple[BufferView, ...]]
    attributes: Mapping[str, Attribute]


class PlanBuilder:
    """Collects the steps of a plan whose maps hold ``batch`` images; ``alignment``: of buffers, bytes."""

    def __init__(self, target: Target, batch: int, alignment: int = 4096) -> None:
        self.target, self.batch, self.alignment = target, batch, alignment
        self._forward: list[_Draft] = []
        self._backward: list[_Draft] = []

    def buffer(self, channels: int, size: Size, element: int = 0, layout: str = "") -> BufferView:
        """A new buffer, all of it; ``element``: bytes of a number; that and ``layout`` by default the target's."""
        layout = layout or self.target.layout
        padded = self.target.whole(channels) if layout == self.target.layout else channels
        return BufferView(Buffer(padded, size, element or self.target.element, layout), 0, channels)

    def forward(self, kind: str, where: str, views: Mapping[str, Views], **attributes: Attribute) -> int:
        """Add a step (views of None and empty ones are left out); give its number, for backward steps' ``of``."""
        self._forward.append(_draft(kind, where, views, attributes))
        return len(self._forward) - 1

    def backward(self, kind: str, where: str, views: Mapping[str, Views], **attributes: Attribute) -> None:
        """Add a step that comes after all forward steps."""
        self._backward.append(_draft(kind, where, views, attributes))

    def build(self, images: Shape, heads: Sequence[Shape], **others: Any) -> Plan:
        """The plan, with all buffers packed into one arena; ``others``: more of its fields."""
        spans = self._lifetimes()
        lifetimes = [(first, last) for first, last in spans.values()]
        offsets, arena = pack(lifetimes, [buffer.bytes(self.batch) for buffer in spans], self.alignment)
        places = dict(zip(spans, offsets))
        forward, backward = (tuple(_step(draft, places) for draft in part) for part in (self._forward, self._backward))
        return Plan(self.target, images, tuple(heads), arena, forward, backward, **others)

    def _lifetimes(self) -> dict[Buffer, tuple[int, int]]:
        """The first and the last step that uses each buffer."""
        spans: dict[Buffer, tuple[int, int]] = {}
        for number, draft in enumerate((*self._forward, *self._backward)):
            for buffer in _buffers(draft):
                spans[buffer] = (spans.get(buffer, (number,))[0], number)
        return spans


def pack(lifetimes: Sequence[tuple[int, int]], sizes: Sequence[int], alignment: int = 64) -> tuple[list[int], int]:
    """Offsets of pieces of memory so that those whose lifetimes (first and last step) overlap do not; and the total.

    Largest first, each at the lowest free place: within a few percent of the best for networks of this kind.
    """
    offsets = [0] * len(sizes)
    done: list[int] = []
    total = 0
    for piece in sorted(range(len(sizes)), key=lambda number: -sizes[number]):
        begin, end = lifetimes[piece]
        taken = sorted(
            (offsets[other], offsets[other] + sizes[other])
            for other in done
            if lifetimes[other][0] <= end and begin <= lifetimes[other][1]
        )
        position = 0
        for low, high in taken:
            if low - position >= sizes[piece]:
                break
            position = max(position, -(-high // alignment) * alignment)
        offsets[piece] = position
        total = max(total, position + sizes[piece])
        done.append(piece)
    return offsets, total


def _draft(kind: str, where: str, views: Mapping[str, Views], attributes: Mapping[str, Attribute]) -> _Draft:
    given = {role: (found,) if isinstance(found, BufferView) else tuple(found or ()) for role, found in views.items()}
    return _Draft(kind, where, {role: found for role, found in given.items() if found}, attributes)


def _buffers(draft: _Draft) -> Iterator[Buffer]:
    for views in draft.views.values():
        for view in views:
            yield view.buffer


def _step(draft: _Draft, places: Mapping[Buffer, int]) -> Step:
    views = {role: tuple(view.at(places[view.buffer]) for view in found) for role, found in draft.views.items()}
    return Step(draft.kind, draft.where, views, draft.attributes)

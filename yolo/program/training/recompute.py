"""Feature maps that are given up after the forward pass and made again for the backward pass.

A convolution's output stays, since the gradient of the batch norm behind it needs it. What comes out of batch norm,
activation and residual sum, or out of a pool or an upsampling, costs one pass over memory to make again, without any
product: with ``recompute`` it is kept no longer than the forward pass needs it. That is about half of all maps.
"""

from __future__ import annotations

from collections.abc import Iterator

from yolo.program import ir
from yolo.program.training.forward import Plan, resampling, window
from yolo.program.training.maps import Buffer, Slice
from yolo.program.training.units import Convolutions, Stage, Unit

Maker = tuple[Unit, Slice]


class Sources:
    """Where the backward pass finds what the forward pass made."""

    def __init__(self, plan: Plan, recompute: bool) -> None:
        self.plan, self.recompute = plan, recompute
        self._makers: dict[int, list[Maker]] = {}
        self._again: dict[int, Buffer] = {}
        for unit, place in self._written():
            self._makers.setdefault(id(place.buffer), []).append((unit, place))
        self._kept = set(self._read_in_place())

    def of(self, unit: Convolutions) -> Slice:
        """What a convolution reads; made again, by steps that are recorded now, where it is gone."""
        return self._there(self.plan.source(unit))

    def _written(self) -> Iterator[Maker]:
        """Who writes which place. A concatenation that its inputs lie in writes none."""
        for unit in self.plan.work.units:
            if not (isinstance(unit, ir.Concat) and self.plan.placement.joins(unit)):
                for value in self.plan.work.made(unit):
                    for place in self.plan.placement.places[value]:
                        yield unit, place

    def _read_in_place(self) -> Iterator[int]:
        """Buffers that must stay: backward steps read them where they were."""
        for unit in self.plan.work.units:
            if isinstance(unit, (Stage, ir.Attention)):
                for value in (unit.source,) if isinstance(unit, Stage) else unit.inputs:
                    yield id(self.plan.placement.any(value).buffer)

    def _there(self, place: Slice) -> Slice:
        """The same values where they lie in the backward pass."""
        if not self._given_up(place.buffer):
            return place
        return Slice(self._made_again(place.buffer), place.first, place.channels)

    def _given_up(self, buffer: Buffer) -> bool:
        makers = self._makers.get(id(buffer), [])
        cheap = all(isinstance(unit, (Stage, ir.Pool, ir.Upsample)) for unit, _ in makers)
        return self.recompute and bool(makers) and cheap and id(buffer) not in self._kept

    def _made_again(self, buffer: Buffer) -> Buffer:
        if id(buffer) not in self._again:
            self._again[id(buffer)] = Buffer(buffer.channels, buffer.size, buffer.bytes, buffer.element, buffer.plain)
            for unit, place in self._makers[id(buffer)]:
                self._repeat(unit, self._there(place))
        return self._again[id(buffer)]

    def _repeat(self, unit: Unit, target: Slice) -> None:
        record, any_place = self.plan.recorder.record, self.plan.placement.any
        if isinstance(unit, Stage):
            residual = None if unit.residual is None else self._there(any_place(unit.residual))
            reads = (any_place(unit.source),)
            record("stage_again", self.plan.handles[unit.output], [target], residual, reads=reads)
            return
        source, index = self._there(any_place(unit.inputs[0])), self.plan.indices.get(unit.output, -1)
        record("resample_again", unit.where, resampling(unit), source, target, window(unit), index)

"""Where the values of a training program lie: in the concatenations that hold them, and whole where that is needed."""

from __future__ import annotations

from yolo.program import ir
from yolo.program.ir import INPUT
from yolo.program.training.maps import Recorder, Slice
from yolo.program.training.units import Convolutions, Stage, Unit, Work

PLAIN_CHANNELS = 4
"""A convolution reads the plain pictures where they have this few channels; blocks would be mostly zeros."""


class Placement:
    """The places of each value, all of which hold it once it is made; its maker writes the first one."""

    def __init__(self, work: Work, recorder: Recorder) -> None:
        self.work, self.recorder = work, recorder
        self.consumers = work.consumers()
        self.places: dict[int, list[Slice]] = {}
        self.pictures = self._pictures()
        for unit in reversed(work.units):
            self._place(unit)
        self.places[INPUT] = self._blocked_pictures()

    def any(self, value: int) -> Slice:
        """A place of the value, for steps that read slices."""
        return self.places[value][0]

    def whole(self, value: int) -> Slice:
        """Its place in a buffer of its own, for convolutions."""
        channels = self.work.channels[value]
        return next(place for place in self.places[value] if self.is_whole(place, channels))

    def is_whole(self, place: Slice, channels: int) -> bool:
        """Whether the slice is all of its buffer."""
        return place.first == 0 and place.buffer.channels == self.recorder.whole(channels)

    def joins(self, node: ir.Concat) -> bool:
        """Whether the inputs lie in the concatenation: all of them start at whole blocks."""
        starts = offsets(node, self.work)
        return all(start % self.recorder.block == 0 for start in starts)

    def _pictures(self) -> Slice | None:
        """The plain pictures, where a convolution takes them."""
        if self.work.channels[INPUT] <= PLAIN_CHANNELS and any(map(_takes_plain, self.consumers[INPUT])):
            return self.recorder.map(self.work.channels[INPUT], self.work.sizes[INPUT], plain=True)
        return None

    def _blocked_pictures(self) -> list[Slice]:
        """The pictures' other places: whole for convolutions and for those who have no other."""
        others = [unit for unit in self.consumers[INPUT] if self.pictures is None or not _takes_plain(unit)]
        around = self._around(INPUT)
        lonely = not around and (others or INPUT in self.work.outputs)
        if lonely or any(map(self._reads_whole, others)):
            around.insert(0, self._whole(INPUT))
        return around

    def _whole(self, value: int, element: int = 0) -> Slice:
        return self.recorder.map(self.work.channels[value], self.work.sizes[value], element)

    def _around(self, value: int) -> list[Slice]:
        """The places in concatenations that hold the value."""
        found = []
        for unit in {id(unit): unit for unit in self.consumers[value]}.values():
            if isinstance(unit, ir.Concat) and self.joins(unit):
                for input_, start in zip(unit.inputs, offsets(unit, self.work)):
                    if input_ == value:
                        found += [place.part(start, self.work.channels[value]) for place in self.places[unit.output]]
        return found

    def _reads_whole(self, unit: Unit) -> bool:
        return isinstance(unit, Convolutions)

    def _place(self, unit: Unit) -> None:
        if isinstance(unit, Convolutions) and len(unit.outputs) > 1:
            self._side_by_side(unit)
            return
        for value in self.work.made(unit):
            around = self._around(value)
            writes_whole = not isinstance(unit, (Stage, ir.Pool, ir.Upsample)) and not self._is_join(unit)
            if writes_whole or not around or any(map(self._reads_whole, self.consumers[value])):
                around.insert(0, self._whole(value, self._element(unit, value)))
            self.places[value] = around

    def _is_join(self, unit: Unit) -> bool:
        return isinstance(unit, ir.Concat) and self.joins(unit)

    def _element(self, unit: Unit, value: int) -> int:
        """A head keeps its float32 sums: 4 bytes where a convolution's output only leaves the program."""
        leaves = isinstance(unit, Convolutions) and value in self.work.outputs and not self.consumers[value]
        return 4 if leaves and not unit.nodes[0].transposed else 0

    def _side_by_side(self, unit: Convolutions) -> None:
        total = sum(self.work.channels[value] for value in unit.outputs)
        joined, start = self.recorder.map(total, self.work.sizes[unit.outputs[0]]), 0
        for value in unit.outputs:
            self.places[value] = [joined.part(start, self.work.channels[value])]
            start += self.work.channels[value]


def _takes_plain(unit: Unit) -> bool:
    return isinstance(unit, Convolutions) and unit.nodes[0].groups == 1 and not unit.nodes[0].transposed


def offsets(node: ir.Concat, work: Work) -> list[int]:
    """The first channel of each input of a concatenation."""
    starts, total = [], 0
    for value in node.inputs:
        starts.append(total)
        total += work.channels[value]
    return starts

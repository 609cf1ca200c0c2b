"""Feature maps in memory: buffers, slices of them, and steps from which follows how long each must stay."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from yolo import native
from yolo.program.inference.placement import pack
from yolo.program.ir import Size


@dataclasses.dataclass(eq=False)
class Buffer:
    """Memory of a whole batch; ``channels`` is padded to whole blocks, but for a plain one's."""

    channels: int
    size: Size
    bytes: int
    element: int
    plain: bool = False


@dataclasses.dataclass(frozen=True)
class Slice:
    """Channels of a buffer from ``first``."""

    buffer: Buffer
    first: int
    channels: int

    def part(self, start: int, channels: int) -> Slice:
        """Some of its channels; ``start`` in whole blocks."""
        return Slice(self.buffer, self.first + start, channels)


@dataclasses.dataclass(frozen=True)
class Handle:
    """What a recorded step will give when it is built."""

    step: int


@dataclasses.dataclass(frozen=True)
class _Step:
    method: str
    arguments: tuple
    named: dict[str, object]
    reads: tuple[Slice, ...]


class Recorder:
    """Steps on buffers, recorded first and built when all lifetimes are known.

    ``element``: bytes of a number, 4 or 2. ``block``: channels that lie together.
    """

    def __init__(self, batch: int, element: int, block: int) -> None:
        self.batch, self.element, self.block = batch, element, block
        self._steps: list[_Step] = []

    def whole(self, channels: int) -> int:
        """Channels rounded up to whole blocks."""
        return -(-channels // self.block) * self.block

    def map(self, channels: int, size: Size, element: int = 0, plain: bool = False) -> Slice:
        """A new buffer, all of it."""
        element = element or self.element
        padded = channels if plain else self.whole(channels)
        count = self.batch * padded * size[0] * size[1]
        return Slice(Buffer(padded, size, count * element, element, plain), 0, channels)

    def record(self, method: str, *arguments: object, reads: tuple[Slice, ...] = (), **named: object) -> Handle:
        """A step: a method of the native program and what it takes.

        The step uses the slices among that, and those of ``reads``, which the program knows from a step before.
        """
        self._steps.append(_Step(method, arguments, named, reads))
        return Handle(len(self._steps) - 1)

    def build(
        self, threads: int, memory: native.TrainingMemory, exchange: native.Exchange | None = None
    ) -> native.TrainingProgram:
        """The program, with all buffers packed into one arena in ``memory``.

        ``exchange`` joins its batch norms with other ranks'.
        """
        buffers, lifetimes = self._lifetimes()
        offsets, total = pack(lifetimes, [buffer.bytes for buffer in buffers], alignment=4096)
        program = native.TrainingProgram(total, self.batch, threads, self.element == 2, memory, exchange)
        places = dict(zip(map(id, buffers), offsets))
        results: list[object] = []
        for step in self._steps:
            arguments = [_built(argument, places, results) for argument in step.arguments]
            named = {name: _built(argument, places, results) for name, argument in step.named.items()}
            results.append(getattr(program, step.method)(*arguments, **named))
        program.finish()
        return program

    def _lifetimes(self) -> tuple[list[Buffer], list[tuple[int, int]]]:
        spans: dict[int, tuple[Buffer, int, int]] = {}
        for number, step in enumerate(self._steps):
            for buffer in _buffers([*step.arguments, *step.named.values(), *step.reads]):
                first = spans[id(buffer)][1] if id(buffer) in spans else number
                spans[id(buffer)] = (buffer, first, number)
        return [buffer for buffer, _, _ in spans.values()], [(first, last) for _, first, last in spans.values()]


def _buffers(arguments: Sequence[object]) -> Iterator[Buffer]:
    for argument in arguments:
        if isinstance(argument, Slice):
            yield argument.buffer
        elif isinstance(argument, Buffer):
            yield argument
        elif isinstance(argument, list):
            yield from _buffers(argument)


def _built(argument: object, places: dict[int, int], results: list[object]) -> object:
    if isinstance(argument, Slice):
        buffer = argument.buffer
        return native.Slice(
            places[id(buffer)],
            buffer.channels,
            argument.first,
            argument.channels,
            *buffer.size,
            element=buffer.element,
            plain=buffer.plain,
        )
    if isinstance(argument, Buffer):
        return places[id(argument)]
    if isinstance(argument, Handle):
        return results[argument.step]
    if isinstance(argument, list):
        return [_built(each, places, results) for each in argument]
    return argument

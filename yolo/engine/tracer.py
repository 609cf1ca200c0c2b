"""Spans of time: who works with them says what it does, and a trace keeps how long it took."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TypeVar

Thing = TypeVar("Thing")
Numbers = Mapping[str, float]

_NOTHING = contextlib.nullcontext()


class Tracer:
    """Keeps nothing, and costs next to nothing."""

    def span(self, name: str) -> AbstractContextManager[None]:
        """What the block does is ``name``."""
        return _NOTHING

    def watch(self, name: str, waiting: str, things: Iterable[Thing]) -> Iterable[Thing]:
        """The same things; work on each is ``name``, the time until it is there ``waiting``."""
        return things


@dataclasses.dataclass(frozen=True)
class Span:
    """begin: of ``time.perf_counter``; about: numbers to show, and for ``Sums`` those with a name of its fields."""

    name: str
    begin: float
    seconds: float
    about: Numbers


@dataclasses.dataclass
class Sums:
    """Of all spans of a name: how many, their seconds, and of these the seconds in compiled operators and compiling."""

    count: int = 0
    seconds: float = 0.0
    computing: float = 0.0
    compiling: float = 0.0

    def add(self, span: Span) -> None:
        self.count += 1
        self.seconds += span.seconds
        self.computing += span.about.get("computing", 0.0)
        self.compiling += span.about.get("compiling", 0.0)


class Trace(Tracer):
    """Keeps spans, the first ``each`` of a name between two calls of ``take_sums`` and ``most`` in all; adds up all.

    What is ``about`` a span: what ``place`` gives when it begins, and ``measure``, called with its name, at its end.
    """

    def __init__(
        self, place: Callable[[], Numbers], measure: Callable[[str], Numbers], *, each: int, most: int
    ) -> None:
        self.spans: list[Span] = []
        self.left_out = 0
        self._place, self._measure, self._each, self._most = place, measure, each, most
        self._sums: dict[str, Sums] = {}

    @contextlib.contextmanager
    def span(self, name: str) -> Iterator[None]:
        place, begin = self._place(), time.perf_counter()
        try:
            yield
        finally:
            self._keep(name, place, begin)

    def watch(self, name: str, waiting: str, things: Iterable[Thing]) -> Iterator[Thing]:
        source = iter(things)
        with contextlib.closing(source) if hasattr(source, "close") else _NOTHING:
            while True:
                place, begin = self._place(), time.perf_counter()
                try:
                    thing = next(source)
                except StopIteration:
                    return
                self._keep(waiting, place, begin)
                with self.span(name):
                    yield thing

    def take_sums(self) -> dict[str, Sums]:
        """The sums by name since this was last asked for."""
        taken, self._sums = self._sums, {}
        return taken

    def _keep(self, name: str, place: Numbers, begin: float) -> None:
        seconds = time.perf_counter() - begin
        span = Span(name, begin, seconds, {**place, **self._measure(name)})
        sums = self._sums.setdefault(name, Sums())
        sums.add(span)
        if sums.count <= self._each and len(self.spans) < self._most:
            self.spans.append(span)
        else:
            self.left_out += 1

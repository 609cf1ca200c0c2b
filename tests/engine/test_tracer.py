"""Spans by a clock that goes a second further whenever somebody looks at it."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest

from yolo.engine.tracer import Sums, Trace, Tracer


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr("yolo.engine.tracer.time", SimpleNamespace(perf_counter=lambda: float(next(ticks))))


def trace(each: int = 9, most: int = 99) -> Trace:
    return Trace(lambda: {"step": 7}, lambda name: {"computing": 0.25} if name == "work" else {}, each=each, most=most)


def test_spans_within_spans() -> None:
    found = trace()
    with found.span("outer"), found.span("work"):
        pass
    inner, outer = found.spans
    assert (inner.name, inner.begin, inner.seconds, inner.about) == ("work", 1, 1, {"step": 7, "computing": 0.25})
    assert (outer.name, outer.begin, outer.seconds, outer.about) == ("outer", 0, 3, {"step": 7})
    assert found.take_sums() == {"work": Sums(1, 1, 0.25), "outer": Sums(1, 3)} and found.take_sums() == {}


def test_the_first_of_a_name_are_kept_and_all_are_added_up() -> None:
    found = trace(each=2, most=5)
    for _ in range(2):
        for name in "aaab":
            with found.span(name):
                pass
        assert {name: sums.count for name, sums in found.take_sums().items()} == {"a": 3, "b": 1}
    assert [span.name for span in found.spans] == list("aabaa") and found.left_out == 3


def test_watched_things_are_waited_for_and_worked_on() -> None:
    found = trace()
    assert list(found.watch("work", "wait", [1, 2])) == [1, 2]
    assert [(span.name, span.seconds) for span in found.spans] == [("wait", 1), ("work", 1)] * 2


def test_who_stops_early_closes_what_is_watched() -> None:
    closed = []

    def things():
        try:
            yield from range(5)
        finally:
            closed.append(True)

    found = trace()
    watched = found.watch("work", "wait", things())
    next(watched)
    watched.close()
    assert closed and [span.name for span in found.spans] == ["wait", "work"]


def test_a_failure_ends_its_spans() -> None:
    found = trace()
    with pytest.raises(KeyError), found.span("work"):
        raise KeyError
    assert [span.name for span in found.spans] == ["work"]


def test_one_that_is_off_gives_the_things_themselves() -> None:
    things = [1, 2]
    with Tracer().span("work") as nothing:
        assert nothing is None
    assert Tracer().watch("work", "wait", things) is things

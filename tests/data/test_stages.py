import gc
import threading

import pytest

from yolo.data.stages import Pipeline, PipelineReport, Stage


class Time:
    """A clock that stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def takes(self, seconds: float):
        """A stage's work."""

        def run(item):
            self.now += seconds
            return item

        return run


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("loader")]


def doubled(ahead, **more):
    return Pipeline([Stage("add", lambda n: n + 1), Stage("double", lambda n: 2 * n, **more)], ahead)


@pytest.mark.parametrize("ahead", [0, 1, 2, 7])
def test_results_come_in_order(ahead):
    assert list(doubled(ahead).run(range(50))) == [2 * n + 2 for n in range(50)]
    assert list(doubled(ahead).run(())) == []
    assert not threads()


@pytest.mark.parametrize("ahead", [1, 3])
def test_no_more_than_that_is_made_ahead_of_what_was_taken(ahead):
    taken = []

    def items():
        for number in range(20):
            assert number - len(taken) <= ahead
            yield number

    for result in doubled(ahead).run(items()):
        taken.append(result)
    assert len(taken) == 20


@pytest.mark.parametrize("ahead", [0, 2])
def test_an_error_comes_at_its_place_and_ends_it(ahead):
    stopped = []
    pipeline, results = doubled(ahead, stop=lambda: stopped.append(1)), []
    with pytest.raises(TypeError):
        for result in pipeline.run([1, 2, "three", 4]):
            results.append(result)
    assert results == [4, 6] and stopped == [1] and not threads()


@pytest.mark.parametrize("ahead", [0, 2])
def test_stopping_early_stops_the_stages_first(ahead):
    """So that a stage that is at work, and would be for long, is not waited for."""
    stopped = threading.Event()
    begun = []

    def work(number):
        begun.append(number)
        assert number == 0 or stopped.wait(60)
        return number

    results = Pipeline([Stage("work", work, stopped.set)], ahead).run(range(100))
    assert next(results) == 0
    results.close()
    assert stopped.is_set() and not threads() and len(begun) <= 1 + ahead
    stopped.clear()
    assert next(Pipeline([Stage("work", work, stopped.set)], ahead).run(range(100))) == 0
    gc.collect()
    assert stopped.is_set() and not threads()


@pytest.mark.parametrize(
    ("seconds", "bottleneck"),
    [((1, 6, 3), "render"), ((5, 2, 3), "plan"), ((1, 2, 7), "consumer"), ((0, 5, 5), "consumer")],
)
def test_the_report_names_the_bottleneck(seconds, bottleneck):
    """In the caller's thread one works while the others wait."""
    clock = Time()
    plan, render, consume = seconds
    pipeline = Pipeline([Stage("plan", clock.takes(plan)), Stage("render", clock.takes(render))], 0, clock)
    for count, _ in enumerate(pipeline.run(range(4)), 1):
        clock.now += consume
        report = pipeline.report()
        assert report == PipelineReport(
            10 * count, (plan + render) * count, {"plan": plan * count, "render": render * count}
        )
    assert pipeline.report() == report
    assert report.bottleneck == bottleneck
    assert report.shares() == pytest.approx({"consumer": consume / 10, "plan": plan / 10, "render": render / 10})


def test_a_stage_that_works_on_two_items_at_once_is_busy_once():
    """Two items of three seconds that overlap by two."""
    clock, both, first_done = Time(), threading.Barrier(2), threading.Event()

    def work(number):
        if number == 1:
            both.wait(60)
            assert first_done.wait(60)
            clock.now += 1
            return number
        clock.now += 1
        both.wait(60)
        clock.now += 2
        return number

    pipeline = Pipeline([Stage("work", work)], 2, clock)
    results = pipeline.run(range(2))
    assert next(results) == 0
    first_done.set()
    assert list(results) == [1]
    assert pipeline.report().busy == {"work": 4.0}


def test_while_nothing_has_run_there_is_no_share():
    report = doubled(2).report()
    assert report.bottleneck == "consumer" and set(report.shares().values()) == {0.0}

import gc
import threading
from concurrent.futures import Future

import pytest

from yolo.data import stages
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
    assert report.slowest == max(("plan", plan), ("render", render), key=lambda pair: pair[1])[0]
    assert report.waiting_share == pytest.approx((plan + render) / 10)
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


class AtOnce:
    """A pool that has done its work when it is asked to."""

    def __init__(self, threads: int, **_) -> None:
        pass

    def submit(self, function, item):
        done = Future()
        done.set_result(function(item))
        return done

    def shutdown(self, **_) -> None:
        pass


def test_the_queue_is_measured_when_a_result_is_asked_for(monkeypatch):
    """All that may be ahead is there each time; at the end there is less to come."""
    monkeypatch.setattr(stages, "ThreadPoolExecutor", AtOnce)
    pipeline, waited = doubled(3), []
    for _ in pipeline.run(range(6)):
        report = pipeline.report()
        waited.append(report.queued)
    assert report.ahead == 3
    assert waited == pytest.approx([0, 3, 3, 3, 11 / 4, 12 / 5])  # the first time nothing has begun; then 3, 3, 3, 2, 1


@pytest.mark.parametrize("ahead", [0, 2])
def test_what_is_not_finished_is_not_in_the_queue(ahead):
    gates = [threading.Event() for _ in range(4)]
    pipeline = Pipeline([Stage("work", lambda number: gates[number].wait(60))], ahead)
    gates[0].set()
    results = pipeline.run(range(4))
    next(results)
    for gate in gates[1:]:
        threading.Timer(0.05, gate.set).start()
        next(results)
    report = pipeline.report()
    assert (report.queued < 1, report.ahead) == (True, ahead) and list(results) == []


def test_while_nothing_has_run_there_is_no_share():
    report = doubled(2).report()
    assert report.bottleneck == "consumer" and set(report.shares().values()) == {0.0}
    assert (report.queued, report.waiting_share) == (0.0, 0.0)

"""Images beside one another: each on a lane of its own, all found equal, in order, within bounds."""

from __future__ import annotations

import contextlib
import functools
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.inference.samples import make_image, noise
from yolo import native
from yolo.export import main as export_main
from yolo.inference.detector import Detector
from yolo.inference.lanes import Lanes

SIZES = ((48, 64), (64, 64), (64, 20), (300, 400), (31, 7))


class Noting:
    """In place of a look: says who it is, and whether two were in it at once."""

    def __init__(self, name: str, seconds: float = 0.0) -> None:
        self.name, self.seconds, self.crowded = name, seconds, False
        self._lock = threading.Lock()

    def __call__(self, number: int) -> tuple[str, int]:
        self.crowded |= not self._lock.acquire(blocking=False)
        time.sleep(self.seconds)
        with contextlib.suppress(RuntimeError):
            self._lock.release()
        if number < 0:
            raise ValueError(f"image {-number}")
        return self.name, number


def found_in(lanes: Lanes, numbers: list[int]) -> list[tuple[str, int]]:
    tasks = (functools.partial(int, number) for number in numbers)
    with lanes.through(tasks, lambda look, number: look(number)) as found:
        return list(found)


def test_each_lane_has_one_image_at_a_time_and_results_keep_their_order() -> None:
    lanes = [Noting(f"lane {number}", 0.003) for number in range(3)]
    found = found_in(Lanes(Noting("whole"), lanes), list(range(40)))
    assert [number for _, number in found] == list(range(40))
    assert not any(lane.crowded for lane in lanes)
    assert {lane.name for lane in lanes} <= {name for name, _ in found}


def test_images_that_are_fewer_than_lanes_have_all_threads() -> None:
    whole, lanes = Noting("whole"), [Noting("lane", 0.01) for _ in range(4)]
    assert {name for name, _ in found_in(Lanes(whole, lanes), [1, 2, 3])} == {"whole"}
    ended = threading.Event()

    def slowly() -> Iterator:
        for number in range(6):  # each is asked for when the one before it has been looked at
            yield functools.partial(int, number)
            assert ended.wait(10)
            ended.clear()

    with Lanes(whole, lanes).through(slowly(), lambda look, number: look(number)) as found:
        for name, _ in found:
            assert name == "whole"
            ended.set()


def test_errors_come_at_their_place_and_leave_the_lanes_free() -> None:
    lanes = Lanes(Noting("whole"), [Noting("lane", 0.001) for _ in range(2)])
    for _ in range(3):
        with pytest.raises(ValueError, match="image 3"):
            found_in(lanes, [1, 2, -3, 4, 5])
    with lanes.through((functools.partial(int, n) for n in range(1000)), lambda look, number: look(number)) as found:
        assert next(iter(found))[1] == 0  # and nobody wants the rest
    assert len(found_in(lanes, list(range(20)))) == 20
    assert lanes._under_way.count == 0 and lanes._free.qsize() == 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_calls_of_many_threads_go_beside_one_another() -> None:
    gate, entered, found = threading.Event(), threading.Semaphore(0), []

    def gated(name: str, group: object) -> str:
        entered.release()
        assert gate.wait(10)
        return name

    whole, lane = (functools.partial(gated, name) for name in ("whole", "lane"))
    lanes = Lanes(whole, [lane, lane])
    threads = [threading.Thread(target=lambda: found.append(lanes([]))) for _ in range(3)]
    for thread in threads:
        thread.start()
        assert entered.acquire(timeout=10)
    gate.set()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["lane", "lane", "whole"]
    assert lanes([]) == "whole"  # nobody else asks any more


@pytest.fixture(scope="module")
def program(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = Path(shutil.copy(weights, tmp_path_factory.mktemp("program")))
    assert export_main(["--weights", str(copy), "--imgsz", "64"]) == 0
    return copy.with_suffix(".program")


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize("kind", ["weights", "program", "augment", "ensemble", "slice"])
def test_all_ways_find_the_same_in_every_bit(weights: Path, program: Path, tmp_path: Path, kind: str) -> None:
    files = {"weights": weights, "ensemble": [weights, program]}.get(kind, program)
    more = {"augment": {"augment": True}, "slice": {"slice": 64}}.get(kind, {})
    detector = Detector(files, device="cpu", imgsz=64, conf=0.001, max_det=20, **more)
    assert detector.calls_at_once == 3
    images = [noise(SIZES[number % 5], number) for number in range(23)]
    paths = [make_image(tmp_path / f"{number:02}.png", SIZES[number % 5], number) for number in range(23)]
    expected = [detector(image).rows for image in images]
    assert sum(map(len, expected)) > 20
    ways = {
        "list": detector(images),
        "generator": list(detector(iter(images))),
        "stream of arrays": [result for _, result in detector.stream(images)],
        "folder": [result for _, result in detector.stream(tmp_path)],
        "paths": detector(paths),
    }
    for way, results in ways.items():
        assert len(results) == len(expected), way
        for result, rows in zip(results, expected):
            np.testing.assert_array_equal(result.rows, rows, err_msg=way)


@pytest.mark.usefixtures("three_threads")
def test_lanes_are_had_where_they_are_to_be_had(program: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"device": "cpu", "imgsz": 64}
    assert Detector(program, **options).calls_at_once == 3
    assert Detector(weights, **options, compile="off").calls_at_once == 1
    native.set_default_threads(1)
    assert Detector(program, **options).calls_at_once == 1
    native.set_default_threads(3)
    monkeypatch.setattr("yolo.inference.detector.free_memory", lambda: 200_000)
    assert Detector(program, **options).calls_at_once == 1


@pytest.mark.usefixtures("three_threads")
def test_an_image_s_time_is_its_share(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = Detector(program, device="cpu", imgsz=64, conf=0.001)
    (lane, *_), ready = list(detector._lanes._free.queue), detector.ready(noise())
    lane([ready])  # makes the program
    monkeypatch.setattr(lane._runner, "detect", lambda images, found=lane._runner.detect: slower(found(images)))
    speed = lane([ready])[0].speed_ms
    assert speed["inference"] == pytest.approx(6000 / 3)


def slower(found):
    object.__setattr__(found, "network_seconds", 6.0)
    return found


@pytest.mark.usefixtures("three_threads")
def test_two_streams_share_the_lanes(program: Path) -> None:
    detector = Detector(program, device="cpu", imgsz=64, conf=0.001, max_det=20)
    images = [noise(SIZES[number % 5], number) for number in range(12)]
    expected, found = [detector(image).rows for image in images], {}

    def work(number: int) -> None:
        found[number] = [result.rows for result in (detector(images) if number % 2 else detector(iter(images)))]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for rows in found.values():
        assert all(map(np.array_equal, rows, expected))
    assert len(found) == 4

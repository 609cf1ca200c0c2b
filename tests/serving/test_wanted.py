"""A request's own choice among the detections is what a detector of those options would have found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.inference.samples import noise
from yolo.inference.detector import Detector
from yolo.serving.limits import RefusedError
from yolo.serving.wanted import Wanted


@pytest.mark.parametrize("options", [{}, {"conf": 0.2}, {"conf": 0.2, "max_det": 3}, {"classes": (1,)}])
def test_it_equals_a_detector_of_those_options(program: Path, detector: Detector, options: dict) -> None:
    many = Detector(program, device="cpu", imgsz=64, conf=0.001, max_det=1000)
    given = {"conf": 0.001, "max_det": 1000, **options}
    expected = Detector(program, device="cpu", imgsz=64, **given)(noise()).rows
    found = Wanted(**options).part_of(many(noise())).rows
    np.testing.assert_array_equal(found, expected)
    assert len(found)


@pytest.mark.parametrize(
    "wanted, why",
    [
        (Wanted(conf=0.0001), "conf: is 0.0001; this server keeps nothing below 0.001"),
        (Wanted(max_det=21), "max_det: is 21; this server keeps 20 at most"),
        (Wanted(classes=(0, 2)), "classes: 2 is none of this server's"),
    ],
)
def test_what_the_detector_was_not_started_for(detector: Detector, wanted: Wanted, why: str) -> None:
    with pytest.raises(RefusedError) as caught:
        wanted.check(detector)
    assert (caught.value.status, caught.value.why) == (422, why)
    Wanted(0.001, 20, (0, 1)).check(detector)


def test_classes_of_a_detector_that_keeps_some(program: Path) -> None:
    some = Detector(program, device="cpu", imgsz=64, classes=[1])
    Wanted(classes=(1,)).check(some)
    with pytest.raises(RefusedError):
        Wanted(classes=(0,)).check(some)


def test_options_of_an_address() -> None:
    query = [("conf", "0.5"), ("classes", "0, 2"), ("classes", "5"), ("max_det", "7"), ("annotated", "true")]
    assert Wanted.of_query(query) == Wanted(0.5, 7, (0, 2, 5), True)
    assert Wanted.of_query([]) == Wanted()


@pytest.mark.parametrize(
    "name, text",
    [
        *(("conf", text) for text in ("", "1.5", "-1", "nan", "inf", "much")),
        *(("max_det", text) for text in ("", "0", "1.5", "9" * 10, "٣")),
        *(("classes", text) for text in ("", "cat", "-1", "0,,1", "9" * 10)),
        *(("annotated", text) for text in ("", "perhaps")),
    ],
)
def test_values_that_are_not_taken(name: str, text: str) -> None:
    with pytest.raises(RefusedError) as caught:
        Wanted.of_query([(name, text)])
    assert caught.value.status == 422 and caught.value.why.startswith(f"{name}: is {text!r}; give ")

"""A detector's options: what YOLOv5's users give is understood, everything else refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from yolo.errors import ConfigError
from yolo.inference.settings import (
    calibration_file,
    check_flag,
    class_names,
    class_numbers,
    given_names,
    size_pair,
    weights_files,
)

OWN = ("cat", "dog")
NOTHING = object()


@pytest.mark.parametrize(
    ("given", "numbers"),
    [
        (None, ()),
        ((), ()),
        (0, (0,)),
        (0.0, (0,)),
        (np.int64(3), (3,)),
        (np.array(3), (3,)),
        (np.array([2, 0, 2]), (0, 2)),
        ({5, 1}, (1, 5)),
        (range(2), (0, 1)),
        (iter([1.0]), (1,)),
    ],
)
def test_class_numbers(given: object, numbers: tuple[int, ...]) -> None:
    found = class_numbers(given)
    assert found == numbers and all(type(number) is int for number in found)


@pytest.mark.parametrize("given", ["0", "cat", ["cat"], b"0", True, [True], [[0]], [None], 0.5, float("nan"), NOTHING])
def test_what_is_no_class_number(given: object) -> None:
    with pytest.raises(ConfigError, match=r"^classes: .* is not a class number; give one such as 0"):
        class_numbers(given)


@pytest.mark.parametrize("given", [["a", "b"], ("a", "b"), np.array(["a", "b"]), {1: "b", 0: "a"}])
def test_class_names(given: object) -> None:
    assert class_names(given_names(given), OWN) == ("a", "b") and class_names(given_names(None), OWN) == OWN


@pytest.mark.parametrize("given", ["ab", {"a", "b"}, {1: "a", 2: "b"}, iter("ab"), 2, ["a"], NOTHING])
def test_what_names_no_classes(given: object) -> None:
    with pytest.raises(ConfigError, match=r"^names: "):
        class_names(given_names(given), OWN)


@pytest.mark.parametrize("given", [None, 5, b"x.pt", {}, {"x.pt"}, [None], ["x.pt", 5], NOTHING])
def test_what_names_no_weights(given: object) -> None:
    with pytest.raises(ConfigError, match=r"^weights: is "):
        weights_files(given)
    assert weights_files(["a", Path("b")]) == ("a", Path("b"))


@pytest.mark.parametrize("given", [True, 5, b"x.yaml", NOTHING])
def test_what_names_no_data_to_calibrate_on(given: object) -> None:
    with pytest.raises(ConfigError, match=r"^int8: is .*; name the data set"):
        calibration_file(given)
    assert calibration_file(None) is calibration_file(False) is None


@pytest.mark.parametrize("given", ["no", "", 2, 0.0, [], np.array([1, 2]), NOTHING])
def test_what_is_neither_yes_nor_no(given: object) -> None:
    with pytest.raises(ConfigError, match=r"^half: is .*; give True or False"):
        check_flag("half", given)
    assert [check_flag("half", value) for value in (True, 1, np.True_, False, None)] == [True, True, True, False, False]


@pytest.mark.parametrize("given", ["64", NOTHING, {}, {"a": 1}, {64, 32}, [64, None], [64, "a"], np.array([1, 2, 3])])
def test_what_is_no_size(given: object) -> None:
    with pytest.raises(ConfigError, match=r"^imgsz: "):
        size_pair(given)
    assert size_pair(np.array(64)) == size_pair(np.array([64, 64])) == (64, 64)

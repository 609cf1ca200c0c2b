"""Classes are matched by their names wherever two lists of them meet."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from yolo.class_names import ClassNames, Match, class_channels, class_order, match_names
from yolo.errors import ConfigError


@pytest.mark.parametrize(
    ("own", "wanted", "match"),
    [
        ("abc", "abc", Match()),
        ("abc", "cab", Match(order=(2, 0, 1))),
        ("abc", "abx", Match(renamed=(2,))),
        ("abc", "xay", Match(displaced="a", renamed=(0, 1, 2))),
        ("aab", "baa", Match(renamed=(0, 2), displaced="b")),
        ("aa", "ab", Match(renamed=(1,))),
    ],
)
def test_matching(own: str, wanted: str, match: Match) -> None:
    assert match_names(tuple(own), tuple(wanted)) == match


def test_what_is_said(caplog: pytest.LogCaptureFixture) -> None:
    def said(own: str, wanted: str, *, new: bool = False) -> tuple[tuple[int, ...] | None, str]:
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="yolo"):
            order = class_order(tuple(own), ClassNames(tuple(wanted), "data.yaml", new=new), "w.pt")
        assert len(caplog.messages) <= 1
        return order, "".join(caplog.messages)

    assert said("ab", "ab") == (None, "") and said("ab", "abc") == (None, "")
    assert said("ab", "ba") == ((1, 0), "w.pt: has the classes of data.yaml in another order; they are matched by name")
    assert said("ab", "xb") == (
        None,
        "w.pt: a class name differs (0 is 'a' here, 'x' in data.yaml); matched by number",
    )
    assert "w.pt: 2 of 2 class names differ (0 is 'a' here" in said("ab", "xy")[1]
    with pytest.raises(ConfigError, match=r"w\.pt: 'a' is class 0 here and class 1 in data\.yaml, and other names"):
        said("ab", "xa")
    assert said("ab", "xy", new=True) == (None, "")
    assert "'a' is class 0 here and class 1" in said("ab", "xa", new=True)[1]


def test_channels_of_a_head_in_another_order() -> None:
    head = np.arange(2 * 8)  # two anchors; x, y, w, h, objectness, three classes
    found = head[class_channels(16, (2, 0, 1))]
    assert found.tolist() == [0, 1, 2, 3, 4, 7, 5, 6, 8, 9, 10, 11, 12, 15, 13, 14]


def test_a_checkpoint_in_another_order(tmp_path: Path) -> None:
    from tests.inference.samples import make_weights
    from tests.swapped import swapped
    from yolo.models.weights.classes import in_order_of
    from yolo.models.weights.load import load_weights

    weights = make_weights(tmp_path / "a.safetensors", names=("cat", "dog", "cow"))
    expected = load_weights(swapped(weights, tmp_path / "b.safetensors"))
    found = in_order_of(load_weights(weights), ClassNames(expected.names, "x"), "y")
    assert found.names == ("cow", "dog", "cat")
    for name, values in expected.model.items():
        np.testing.assert_array_equal(found.model[name], values)


def test_training_starts_from_the_outputs_of_each_class(tmp_path: Path) -> None:
    from tests.inference.samples import NAMES, make_weights
    from tests.swapped import swapped
    from yolo.config.commands import TrainConfig
    from yolo.engine.inputs import make_network
    from yolo.models.weights.transfer import state_to_numpy

    weights = make_weights(tmp_path / "a.safetensors")
    other = swapped(weights, tmp_path / "b.safetensors")
    right, same, foreign = (
        state_to_numpy(make_network(TrainConfig(weights=str(file)), names))
        for file, names in ((weights, NAMES), (other, NAMES), (other, ("x", "y")))
    )
    assert all(np.array_equal(same[name], values) for name, values in right.items())
    assert not all(np.array_equal(foreign[name], values) for name, values in right.items())

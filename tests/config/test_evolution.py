"""The ranges of the search: one for each hyperparameter, and the published recipes lie in them."""

from __future__ import annotations

import dataclasses

import pytest

from yolo.config.evolution import RANGES
from yolo.config.hyp import Hyperparameters, load_hyperparameters, recipe
from yolo.engine.evolution.mutation import within_ranges


def test_every_hyperparameter_has_a_range() -> None:
    assert list(RANGES) == [field.name for field in dataclasses.fields(Hyperparameters)]
    assert all(range_.low < range_.high and range_.gain in (0, 0.3, 1, 2) for range_ in RANGES.values())
    assert [name for name, range_ in RANGES.items() if range_.gain == 0] == [
        "iou_t",
        "fl_gamma",
        "perspective",
        "fliplr",
    ]


@pytest.mark.parametrize("preset", ["scratch-low", "scratch-med", "scratch-high", "VOC", "Objects365"])
def test_published_recipes_lie_in_their_ranges(preset: str) -> None:
    values = recipe(load_hyperparameters(f"hyp.{preset}"))
    assert within_ranges(values) == values

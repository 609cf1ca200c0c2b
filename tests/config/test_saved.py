"""Options that a run kept are the options that it had; anything else is one line."""

from __future__ import annotations

import dataclasses
import json

import pytest
import yaml

from yolo.config.commands import TrainConfig
from yolo.config.options import parse, to_yaml
from yolo.config.saved import saved_options
from yolo.errors import ConfigError

LINES = [
    [],
    ["--freeze", "0", "1", "2", "--cos-lr", "--label-smoothing", "1", "--optimizer", "Adam"],
    ["--resume", "--time", "2.5", "--weights", ""],
]


@pytest.mark.parametrize("line", LINES)
def test_options_survive_yaml_and_json(line: list[str]) -> None:
    config = parse(TrainConfig, line, "x")
    assert saved_options(TrainConfig, yaml.safe_load(to_yaml(config)), "f") == config
    assert saved_options(TrainConfig, json.loads(json.dumps(dataclasses.asdict(config))), "f") == config


def test_every_bare_value_is_one() -> None:
    for field in dataclasses.fields(TrainConfig):
        if (bare := field.metadata["bare"]) is not None:
            assert getattr(saved_options(TrainConfig, {field.name: bare}, "f"), field.name) == bare


def test_other_releases_may_have_more_or_fewer() -> None:
    assert saved_options(TrainConfig, {"epochs": 3, "gone": 7}, "f") == TrainConfig(epochs=3)


def test_recompute_was_a_flag_once() -> None:
    for flag, word in ((True, "on"), (False, "off")):
        assert saved_options(TrainConfig, {"recompute": flag}, "f").recompute == word


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "f: holds no options"),
        ([1], "f: holds no options"),
        ({"epochs": "3"}, "f: option epochs is '3'"),
        ({"epochs": True}, "f: option epochs is True"),
        ({"rect": 1}, "f: option rect is 1"),
        ({"optimizer": "Lion"}, "f: option optimizer is 'Lion'"),
        ({"freeze": 3}, "f: option freeze is 3"),
        ({"freeze": ["a"]}, r"f: option freeze is \['a'\]"),
        ({"epochs": 0}, "--epochs: is 0"),
        ({"label_smoothing": float("nan")}, "--label-smoothing: is nan"),
    ],
)
def test_anything_else_is_one_line(values: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        saved_options(TrainConfig, values, "f")

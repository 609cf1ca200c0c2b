"""YAML from strangers: small as text, huge or endless once read, and what messages show of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.train.samples import run
from yolo import check
from yolo.class_names import match_names
from yolo.config.hyp import load_hyperparameters
from yolo.data.dataset import _names
from yolo.data.load import load_dataset
from yolo.engine.resume import own_options
from yolo.errors import YoloError
from yolo.inference.settings import given_names
from yolo.io.yaml_text import MOST_LEVELS, MOST_REPEATED, read_yaml
from yolo.models.config import load_model_config

DOUBLED = range(1, 40)
BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{k}: &a{k} [*a{k - 1}, *a{k - 1}]\n" for k in DOUBLED) + "names: *a39\n"
"""700 bytes that name 10^12 values."""
MERGED = "a0: &a0 {x: 1}\n" + "".join(f"a{k}: &a{k} {{<<: [*a{k - 1}, *a{k - 1}]}}\n" for k in DOUBLED)
STAIRS = "a0: &a0 [x]\n" + "".join(f"a{k}: &a{k} [*a{k - 1}]\n" for k in range(1, 300))
ENDLESS = {
    "bomb": (BOMB, f"its aliases repeat more than {MOST_REPEATED} characters"),
    "merged": (MERGED, f"its aliases repeat more than {MOST_REPEATED} characters"),
    "long text": (f"a: &a {'x' * 600_000}\nb: [*a, *a]", "its aliases repeat more than"),
    "circle": ("names: &a [*a]", "an alias stands within what it names"),
    "nested": (f"names: {'[' * 200}{']' * 200}", f"more than {MOST_LEVELS} lists or mappings within each other"),
    "stairs": (STAIRS, "aliases put more than"),
    "digits": ("nc: " + "1:" * 5000 + "1", "a whole number of 10001 digits, 4300 are the most"),
}
READERS: dict[str, Callable[[Path], object]] = {
    "data": load_dataset,
    "hyp": load_hyperparameters,
    "model": load_model_config,
    "options": lambda file: own_options(file.parent),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ENDLESS)
def test_every_reader_refuses_it_in_one_line(tmp_path: Path, reader: str, kind: str) -> None:
    text, reason = ENDLESS[kind]
    file = tmp_path / "opt.yaml"
    file.write_text(text)
    with pytest.raises(YoloError) as caught:
        READERS[reader](file)
    line = str(caught.value)
    assert reason in line and str(file) in line and len(line) < 500 and "\n" not in line


def test_the_command_refuses_it_too(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text(BOMB)
    line = run(check.main, ["--data", str(tmp_path / "data.yaml")], tmp_path).refusal("yolo.check")
    assert "data.yaml:1: not valid YAML (its aliases repeat more than" in line


def test_aliases_as_people_use_them() -> None:
    text = "one: &row [-1, 3, C3, [64]]\ntwo: *row\nbase: &base {a: 1, b: 2}\nmore: {<<: *base, b: 3}\n"
    row = [-1, 3, "C3", [64]]
    read = {"one": row, "two": row, "base": {"a": 1, "b": 2}, "more": {"a": 1, "b": 3}}
    assert read_yaml(text) == yaml.safe_load(text) == read
    assert read_yaml("") is None and read_yaml("- 1\n- !!set {a}") == [1, {"a"}]


@pytest.mark.parametrize(
    "text", ["!" + "a" * 10**5 + " b", "*" + "a" * 10**5, "'" + "a" * 10**5, "!!int " + "a" * 10**5]
)
def test_an_error_quotes_little_of_the_file(text: str) -> None:
    with pytest.raises(yaml.YAMLError) as caught:
        read_yaml(text)
    assert len(str(caught.value)) < 700


def test_200_000_class_names_are_read_and_compared_at_once() -> None:
    """Each compared with each, they took minutes."""
    names = tuple(f"class {number}" for number in range(200_000))
    assert _names({"names": list(names)}, Path("data.yaml")) == names
    assert _names({"names": dict(enumerate(names))}, Path("data.yaml")) == names
    assert match_names(names, names[::-1]).order == tuple(range(200_000))[::-1]
    assert match_names(names, (*names[1:], "other")).displaced == "class 1"
    with pytest.raises(YoloError, match="class name 'class 7' occurs twice"):
        _names({"names": [*names, "class 9", "class 7"]}, Path("data.yaml"))


def test_names_of_a_detector_are_text() -> None:
    nested: list = ["x"]
    for _ in range(40):
        nested = [nested, nested]
    with pytest.raises(YoloError, match=r"names: \[\[.*… is not a class name; give each name as text"):
        given_names([nested, "b"])
    with pytest.raises(YoloError, match=r"names: is 5; give a list"):
        given_names(5)
    assert given_names(["a", 1]) == ("a", "1")

"""Model YAML: the users' own files are read, bad ones are refused in one line."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.small import small_mapping
from yolo.errors import ModelError
from yolo.models.activation import Activation, parse_activation
from yolo.models.config import PRESETS, load_model_config, parse_model_config
from yolo.models.parser import parse_network


def refusal(mapping: object) -> str:
    with pytest.raises(ModelError) as caught:
        parse_network(parse_model_config(mapping, name="user.yaml"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_presets_are_found_by_every_usual_name() -> None:
    for name in ("yolov3-tiny", "yolov3-tiny.yaml", "hub/yolov3-tiny", "hub/yolov3-tiny.yaml"):
        assert load_model_config(name).nc == 80
    assert load_model_config(PRESETS / "yolov5s.yaml").width == 0.5
    with pytest.raises(ModelError, match=r"no model YAML 'yolov9z'.*yolov5s"):
        load_model_config("yolov9z")


def test_users_file_with_tags_of_old_and_new_yolov5(tmp_path: Path) -> None:
    text = yaml.safe_dump(small_mapping(ch=4, activation="nn.LeakyReLU(0.1)", names=["a", "b"]))
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    config = load_model_config(path)
    assert (config.channels, config.activation, config.source) == (4, Activation("LeakyReLU", 0.1), text)
    spec = parse_network(config)
    assert spec.channels == 4 and spec.strides == (4, 8)
    assert spec.layers[6].in_channels == (16, 8) and spec.layers[6].out_channels == 24
    assert spec.kept == {2, 4}
    assert spec.predictions(32, 64) == 2 * (8 * 16 + 4 * 8)


def test_rules_of_the_format() -> None:
    base = small_mapping(width_multiple=0.33, depth_multiple=0.33)
    base["backbone"][2] = [-1, 9, "C3", [64]]
    spec = parse_network(parse_model_config(base, name="x"), nc=5)
    assert spec.layers[2].out_channels == 24 and spec.layers[2].args["n"] == 3
    assert spec.layers[-1].out_channels == 2 * (5 + 5)
    turned = small_mapping(anchors=[[15, 11, 30, 40], [5, 6, 8, 14]])
    assert parse_network(parse_model_config(turned, name="x")).anchors[0] == (5, 6, 8, 14)
    counted = parse_network(parse_model_config(small_mapping(anchors=3), name="x"))
    assert counted.anchors == ((0, 1, 2, 3, 4, 5),) * 2


@pytest.mark.parametrize(
    ("section", "row", "new", "says"),
    [
        ("backbone", 1, [-1, 1, "Convv", [8]], "backbone row 2: unknown module 'Convv'"),
        ("backbone", 1, [-1, 1, "os.system", ["true"]], "unknown module 'os.system'"),
        ("backbone", 1, [-3, 1, "Conv", [8]], "backbone row 2: Conv: from -3 is not an earlier layer"),
        ("backbone", 1, [7, 1, "Conv", [8]], "from 7 is not an earlier layer"),
        ("backbone", 1, [-1, 1, "Conv", []], "no output channels"),
        ("backbone", 1, [-1, 1, "Conv", [8, 3, 2, 1, 1, 1, True, 9, 9]], "8 arguments; it takes 0 to 6"),
        ("backbone", 1, [-1, 1, "Conv", [8, "3"]], "argument k: '3' is not a whole number"),
        ("backbone", 1, [-1, 1, "Conv", [10**9]], "is not a whole number in 1..32768"),
        ("backbone", 1, [-1, 1, "Conv", [8, 3, 2, None, 3]], "do not divide into 3 groups"),
        ("backbone", 1, [-1, 1, "Conv", [8, 200, 1, 0]], "leaves nothing"),
        ("backbone", 1, [-1, 3, "Conv", [16]], "3 in a row, but 8 channels in and 16 out"),
        ("backbone", 1, [-1, 10**30, "Conv", [16]], "number: '1000000"),
        ("backbone", 1, [-1, 1, "Conv"], "not [from, number, module, args]"),
        ("backbone", 1, "Conv", "not [from, number, module, args]"),
        ("backbone", 1, [[-1, 0], 1, "Conv", [8]], "takes one input"),
        ("backbone", 1, [-1, 1, "Detect", ["nc", "anchors"]], "only the last row may be Detect"),
        ("head", 0, [-1, 1, "nn.Upsample", ["None", 2, "__import__('os')"]], "argument mode"),
        ("head", 1, [[-1, 0], 1, "Concat", [1]], "head row 2: Concat: joins layers of different size"),
        ("head", 3, [[7], 1, "Detect", ["nc", "anchors"]], "2 levels of anchors for 1 inputs"),
        ("head", 3, [-1, 1, "Conv", [8]], "the last row of the head is not Detect"),
    ],
)
def test_bad_row_is_named(section: str, row: int, new: object, says: str) -> None:
    mapping = small_mapping()
    mapping[section][row] = new
    assert says in refusal(mapping)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("nc", 0, "nc"),
        ("nc", "80; import os", "nc"),
        ("width_multiple", float("nan"), "width_multiple"),
        ("depth_multiple", 1e9, "depth_multiple"),
        ("anchors", "anchors", "neither a number nor a list"),
        ("anchors", [[1, 2, 3], [1, 2, 3]], "level 1 is not a list of w, h pairs"),
        ("anchors", [[1, 2], [1, 2, 3, 4]], "levels differ"),
        ("anchors", None, "anchors"),
        ("backbone", None, "backbone is not a list"),
        ("activation", "os.system('true')", "unknown activation"),
        ("activation", "nn.LeakyReLU(exit())", "unknown activation"),
        ("activation", "nn.LeakyReLU(x)", "is not a number"),
    ],
)
def test_bad_value_is_named(key: str, value: object, says: str) -> None:
    assert says in refusal(small_mapping(**{key: value}))


@pytest.mark.parametrize("text", ["", "[1, 2]", "a: [", "just words", "nc: !!python/object:os.system x", "\0"])
def test_text_that_is_no_model(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ModelError, match=r"bad\.yaml"):
        load_model_config(path)


def test_huge_and_endless_values_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    for text in ("nc: 0x" + "f" * 9000, "nc: &a [*a]", "nc: " + "[" * 3000, "nc: 2001-99-99", "x" * (2 << 20)):
        path.write_text(text)
        with pytest.raises(ModelError):
            load_model_config(path)
    path.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ModelError):
        load_model_config(path)


def test_activation_grammar() -> None:
    assert parse_activation("nn.SiLU()") == Activation()
    assert parse_activation("LeakyReLU(negative_slope=1e-1, inplace=True)") == Activation("LeakyReLU", 0.1)
    assert str(parse_activation("torch.nn.ELU")) == "nn.ELU(1.0)"
    for text in ("nn.SiLU(1)", "nn.LeakyReLU(1, 2)", "nn.SiLU().eval()", "", "nn.Module()"):
        with pytest.raises(ValueError):
            parse_activation(text)


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["Conv", "Detect", "C3", "nc", "anchors", "Contract", "Expand", "Focus", "nn.ZeroPad2d"]),
    st.lists(st.integers(-3, 70), max_size=5),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_broken_mappings_give_model_errors_only(data: st.DataObject) -> None:
    mapping = copy.deepcopy(small_mapping())
    for _ in range(data.draw(st.integers(1, 3))):
        parent: object = mapping
        keys: list = sorted(mapping)
        while True:
            key = data.draw(st.sampled_from(keys))
            child = parent[key]
            if not isinstance(child, list) or not child or data.draw(st.integers(0, 2)) == 0:
                break
            parent, keys = child, list(range(len(child)))
        parent[key] = data.draw(_VALUES)
    try:
        parse_network(parse_model_config(mapping, name="broken.yaml"))
    except ModelError as error:
        assert str(error).startswith("broken.yaml") and "\n" not in str(error)


@settings(max_examples=150, deadline=None)
@given(text=st.one_of(st.text(max_size=80), st.binary(max_size=80)))
def test_any_text_gives_model_errors_only(tmp_path_factory: pytest.TempPathFactory, text: str | bytes) -> None:
    path = tmp_path_factory.mktemp("yaml") / "any.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ModelError):
        load_model_config(path)

"""Recipes: YOLOv5's values, and no file that a recipe could not be read from without one clear line."""

from __future__ import annotations

import dataclasses
import logging

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from yolo.config.hyp import PRESETS, Hyperparameters, load_hyperparameters, save_hyperparameters
from yolo.errors import ConfigError

NAMES = [field.name for field in dataclasses.fields(Hyperparameters)]
# YOLOv5 v7.0's published recipes, in the order low, med, high, VOC, Objects365.
ORDER = ("hyp.scratch-low", "hyp.scratch-med", "hyp.scratch-high", "hyp.VOC", "hyp.Objects365")
PUBLISHED = {
    "lr0": (0.01, 0.01, 0.01, 0.00334, 0.00258),
    "lrf": (0.01, 0.1, 0.1, 0.15135, 0.17),
    "momentum": (0.937, 0.937, 0.937, 0.74832, 0.779),
    "weight_decay": (0.0005, 0.0005, 0.0005, 0.00025, 0.00058),
    "warmup_epochs": (3.0, 3.0, 3.0, 3.3835, 1.33),
    "warmup_momentum": (0.8, 0.8, 0.8, 0.59462, 0.86),
    "warmup_bias_lr": (0.1, 0.1, 0.1, 0.18657, 0.0711),
    "box": (0.05, 0.05, 0.05, 0.02, 0.0539),
    "cls": (0.5, 0.3, 0.3, 0.21638, 0.299),
    "cls_pw": (1.0, 1.0, 1.0, 0.5, 0.825),
    "obj": (1.0, 0.7, 0.7, 0.51728, 0.632),
    "obj_pw": (1.0, 1.0, 1.0, 0.67198, 1.0),
    "iou_t": (0.2, 0.2, 0.2, 0.2, 0.2),
    "anchor_t": (4.0, 4.0, 4.0, 3.3744, 3.44),
    "anchors": (0, 0, 0, 3.412, 3.2),  # 0: not in the file
    "fl_gamma": (0, 0, 0, 0, 0),
    "hsv_h": (0.015, 0.015, 0.015, 0.01041, 0.0188),
    "hsv_s": (0.7, 0.7, 0.7, 0.54703, 0.704),
    "hsv_v": (0.4, 0.4, 0.4, 0.27739, 0.36),
    "degrees": (0, 0, 0, 0, 0),
    "translate": (0.1, 0.1, 0.1, 0.04591, 0.0902),
    "scale": (0.5, 0.9, 0.9, 0.75544, 0.491),
    "shear": (0, 0, 0, 0, 0),
    "perspective": (0, 0, 0, 0, 0),
    "flipud": (0, 0, 0, 0, 0),
    "fliplr": (0.5, 0.5, 0.5, 0.5, 0.5),
    "mosaic": (1.0, 1.0, 1.0, 0.85834, 1.0),
    "mixup": (0, 0.1, 0.1, 0.04266, 0),
    "copy_paste": (0, 0, 0.1, 0, 0),
}
NOT_AUGMENTED = ("hsv_h", "hsv_s", "hsv_v", "translate", "scale", "fliplr", "mosaic")


@pytest.fixture(autouse=True)
def heard(monkeypatch):
    """Warnings reach caplog, whatever commands ran before."""
    monkeypatch.setattr(logging.getLogger("yolo"), "propagate", True)


def load_text(folder, text):
    path = folder / "h.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_hyperparameters(path)


@pytest.mark.parametrize("preset", ORDER)
def test_published_recipes(preset):
    values = {name: column[ORDER.index(preset)] for name, column in PUBLISHED.items()}
    assert dataclasses.asdict(load_hyperparameters(preset)) == values


def test_without_augmentation():
    values = {name: 0 if name in NOT_AUGMENTED else column[0] for name, column in PUBLISHED.items()}
    assert dataclasses.asdict(load_hyperparameters("hyp.no-augmentation")) == values


def test_the_defaults_are_the_low_recipe():
    assert Hyperparameters() == load_hyperparameters("hyp.scratch-low.yaml")


def test_every_preset_loads_as_it_is_written():
    presets = sorted(PRESETS.glob("*.yaml"))
    assert len(presets) >= 6
    for preset in presets:
        values = {name: float(value) for name, value in yaml.safe_load(preset.read_text()).items()}
        loaded = dataclasses.asdict(load_hyperparameters(preset.stem))
        assert loaded == dataclasses.asdict(Hyperparameters()) | values, preset.name


def test_a_preset_by_any_of_its_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["hyp.VOC", "hyp.VOC.yaml", "data/hyps/hyp.VOC.yaml", PRESETS / "hyp.VOC.yaml"]
    assert {load_hyperparameters(name).lr0 for name in names} == {0.00334}


def test_a_file_comes_before_a_preset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hyp.VOC.yaml").write_text("lr0: 0.5")
    assert load_hyperparameters("hyp.VOC.yaml") == Hyperparameters(lr0=0.5)


@pytest.mark.parametrize("name", ["absent.yaml", "absent", "", ".", "..", "a/b/", "no\0name", "x" * 300])
def test_no_such_file(name):
    with pytest.raises(ConfigError):
        load_hyperparameters(name)


def test_the_presets_are_named_when_none_is_meant():
    with pytest.raises(ConfigError, match=r"^absent: no such .*hyp\.VOC, .*hyp\.scratch-low"):
        load_hyperparameters("absent")


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("lr0: 1", {"lr0": 1.0}),
        ("lr0: 1e-3", {"lr0": 0.001}),
        ("lr0: '0.5'", {"lr0": 0.5}),
        ("degrees: 0", {}),
        ("# note\nbox: 0.1\r\ncls: 0\n", {"box": 0.1, "cls": 0.0}),
        ("anchors: 3.412\nlr0: 0.1", {"anchors": 3.412, "lr0": 0.1}),
        ("\ufefflr0: 0.1", {"lr0": 0.1}),
    ],
)
def test_values(tmp_path, text, changed):
    hyp = load_text(tmp_path, text)
    assert hyp == Hyperparameters(**changed)
    assert all(type(value) is float for value in dataclasses.asdict(hyp).values())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lr0: fast", "lr0 is 'fast', not a number"),
        ("lr0:", "lr0 is None, not a number"),
        ("lr0: true", "lr0 is True, not a number"),
        ("lr0: [1]", "not a number"),
        ("lr0: {a: 1}", "not a number"),
        ("lr0: 2001-01-01", "not a number"),
        ("lr0: .nan", "lr0 is nan, out of range"),
        ("lr0: .inf", "lr0 is inf, out of range"),
        ("box: -0.1", "box is -0.1, out of range"),
        ("lr0: 0", "lr0 is 0.0, out of range"),
        ("anchor_t: 0", "anchor_t is 0.0, out of range"),
        ("anchors: 101", "anchors is 101.0, out of range"),
        ("anchors: [1]", "anchors is [1], not a number"),
        ("boxx: 0.1", "unknown hyperparameter 'boxx'; did you mean box?"),
        ("qqqq: 0.1", "no hyperparameter is called qqqq"),
        ("1: 0.1", "no hyperparameter is called 1"),
        ("names: [a]\nnc: 1\ntrain: x", "no hyperparameter is called names, nc, train; is it another file?"),
        ("lr_0: 0.1\nbox: 1", "unknown hyperparameter 'lr_0'; did you mean lr0?"),
        ("LRF: 0.1\nbox: 1", "unknown hyperparameter 'LRF'; did you mean lrf?"),
        ("mosaic: 1\nmosiac: 0.5", "unknown hyperparameter 'mosiac'; did you mean mosaic?"),
        ("giou: fast", "box is 'fast', not a number"),
        ("? [a]\n: 1", ""),
        ("", "holds no"),
        ("[]", "holds no"),
        ("lr0", "holds no"),
        ("lr0: [", "is not readable YAML"),
        ("lr0: 1\n\tbox: 2", "is not readable YAML"),
        ("&a [*a]", "an alias stands within what it names"),
        ("&a {lr0: *a}", "an alias stands within what it names"),
        ("!!python/object/apply:os.getcwd []", "is not readable YAML"),
        (b"\xff\xfe\xff", "is not readable YAML"),
        (b"lr0: \xe9", "is not readable YAML"),
        (b"lr0: \x00", "is not readable YAML"),
    ],
)
def test_bad_files(tmp_path, text, said):
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, text)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'h.yaml'}: ")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    [
        "lr0: 2001-99-99",
        "lr0: 1" + "0" * 400,
        "lr0: !!int abc",
        "lr0: !!float x",
        "lr0: !!bool x",
        "lr0: !!timestamp x",
        "[" * 3000,
        "lr0: " + "9" * 5000,
    ],
    ids=["date", "huge", "int", "float", "bool", "timestamp", "deep", "digits"],
)
def test_yaml_that_its_reader_stumbles_over(tmp_path, text):
    with pytest.raises(ConfigError):
        load_text(tmp_path, text)


RELEASE_2 = {"optimizer": "SGD", "lr0": 0.02, "momentum": 0.9, "giou": 0.04, "cls_pw": 1.0, "anchors": 3, "dfl": [1]}
"""As the recipes of YOLOv5's first releases, with more that no release knows."""


def test_a_recipe_of_another_version(tmp_path, caplog):
    loaded = load_text(tmp_path, "# head\n" + yaml.safe_dump(RELEASE_2, sort_keys=False))
    assert loaded == Hyperparameters(lr0=0.02, momentum=0.9, box=0.04, cls_pw=1.0, anchors=3.0)
    path = tmp_path / "h.yaml"
    assert caplog.messages == [
        f"{path}: giou is read as box, its name today",
        f"{path}: unknown hyperparameters are left out: optimizer, dfl",
    ]


def test_a_name_like_one_that_is_there_is_no_typing_error(tmp_path, caplog):
    loaded = load_text(tmp_path, "copy_paste: 0.1\ncopy_paste_mode: flip\ngiou: 1\nbox: 0.3\n1: 2")
    assert loaded == Hyperparameters(copy_paste=0.1, box=0.3)
    assert [message.rpartition(": ")[2] for message in caplog.messages] == ["copy_paste_mode, giou, 1"]


def test_many_unknown_names_are_counted(tmp_path, caplog):
    load_text(tmp_path, "lr0: 0.1\n" + "".join(f"zz{number}: 1\n" for number in range(30)))
    assert caplog.messages[0].endswith("zz18, zz19 and 10 more")


def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(ConfigError):
        load_hyperparameters(tmp_path)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.dates(), st.binary(max_size=4),
    st.integers(10**300, 10**320), st.sampled_from(["1e-3", "nan", "inf", "1_0", "0x10", "٣", ""]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2)
)
KEYS = st.sampled_from(NAMES) | st.text(max_size=5) | st.integers() | st.none()
TEXTS = st.one_of(
    st.dictionaries(KEYS, VALUES, max_size=4).map(lambda values: yaml.safe_dump(values).encode()),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.text("lr0: \n[]{}&*!|>-?'\"#%@`", max_size=30).map(str.encode),
    st.binary(max_size=60),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hyp")


@given(text=TEXTS)
def test_any_file_is_a_recipe_or_a_config_error(folder, text):
    try:
        hyp = load_text(folder, text)
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1
        return
    values = dataclasses.asdict(hyp).values()
    assert all(type(value) is float and 0 <= value < float("inf") for value in values)
    assert hyp.lr0 > 0 and hyp.anchor_t > 0


def test_saved_and_loaded(tmp_path):
    hyp = Hyperparameters(**{name: 0.1 + number / 7 for number, name in enumerate(NAMES)})
    save_hyperparameters(hyp, tmp_path / "hyp.yaml")
    assert load_hyperparameters(tmp_path / "hyp.yaml") == hyp


def test_anchors_are_written_only_where_they_are_set(tmp_path):
    for anchors, written in ((0.0, False), (3.2, True)):
        save_hyperparameters(Hyperparameters(anchors=anchors), tmp_path / "hyp.yaml")
        assert ("anchors" in (tmp_path / "hyp.yaml").read_text()) is written


@given(st.floats(5e-324, 1e300))
def test_saving_loses_no_digit(folder, value):
    save_hyperparameters(Hyperparameters(lr0=value), folder / "digits.yaml")
    assert load_hyperparameters(folder / "digits.yaml").lr0 == value


@pytest.mark.parametrize(
    ("levels", "classes", "imgsz", "box", "obj", "cls"),
    [
        (3, 80, 640, 0.05, 1.0, 0.5),
        (3, 1, 640, 0.05, 1.0, 0.00625),
        (3, 3, 320, 0.05, 0.25, 0.01875),
        (4, 20, 1280, 0.0375, 3.0, 0.09375),
        (2, 160, 64, 0.075, 0.015, 1.5),
    ],
)
def test_scaled_gains(levels, classes, imgsz, box, obj, cls):
    hyp = Hyperparameters()
    scaled = hyp.scaled(levels=levels, classes=classes, imgsz=imgsz)
    assert (scaled.box, scaled.obj, scaled.cls) == pytest.approx((box, obj, cls), rel=1e-12)
    assert dataclasses.replace(scaled, box=hyp.box, obj=hyp.obj, cls=hyp.cls) == hyp

"""The commands understand what YOLOv5's users type, and do by default what YOLOv5 does."""

from __future__ import annotations

import dataclasses

import pytest
import yaml

from yolo.config.commands import CheckConfig, DetectConfig, TrackConfig, TrainConfig, ValConfig
from yolo.config.options import parse, to_yaml
from yolo.errors import ConfigError

COMMANDS = [TrainConfig, ValConfig, DetectConfig, TrackConfig]

# YOLOv5 v7.0's defaults.
TRAIN = {
    "epochs": 100, "batch_size": 16, "imgsz": 640, "workers": 8, "optimizer": "SGD", "seed": 0, "patience": 100,
    "label_smoothing": 0.0, "save_period": -1, "name": "exp", "project": "runs/train", "rect": False, "cos_lr": False,
}  # fmt: skip
VAL = {
    "batch_size": 32, "imgsz": 640, "conf_thres": 0.001, "iou_thres": 0.6, "max_det": 300, "task": "val", "workers": 8,
    "name": "exp", "project": "runs/val",
}  # fmt: skip
DETECT = {
    "imgsz": (640,), "conf_thres": 0.25, "iou_thres": 0.45, "max_det": 1000, "classes": (), "line_thickness": 3,
    "vid_stride": 1, "agnostic_nms": False, "name": "exp", "project": "runs/detect",
}  # fmt: skip


TRACK = {**DETECT, "project": "runs/track", "low_thresh": 0.1, "match_thresh": 0.8, "track_buffer": 30}


@pytest.mark.parametrize(
    ("command", "values"), [(TrainConfig, TRAIN), (ValConfig, VAL), (DetectConfig, DETECT), (TrackConfig, TRACK)]
)
def test_defaults(command, values):
    config = parse(command, [], "x")
    assert {name: getattr(config, name) for name in values} == values
    assert all(getattr(config, f.name) is False for f in dataclasses.fields(command) if isinstance(f.default, bool))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["--img", "--imgsz", "--img-size", "--imgs"])
def test_image_size(command, flag):
    assert parse(command, [flag, "320"], "x").imgsz in (320, (320,))


@pytest.mark.parametrize("command", [TrainConfig, ValConfig])
@pytest.mark.parametrize("flag", ["--batch", "--batch-size", "--batch_size", "--bat"])
def test_batch(command, flag):
    assert parse(command, [flag, "4"], "x").batch_size == 4


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["--weight", "--weights", "--wei"])
def test_weights(command, flag):
    assert parse(command, [flag, "a.pt"], "x").weights in ("a.pt", ("a.pt",))
    assert parse(command, [flag, ""], "x").weights in ("", ("",))


@pytest.mark.parametrize("command", [ValConfig, DetectConfig, TrackConfig])
def test_several_weights(command):
    assert parse(command, ["--weights", "a.pt", "b.pt"], "x").weights == ("a.pt", "b.pt")
    assert parse(command, [], "x").weights == ("yolov5s.pt",)


@pytest.mark.parametrize("command", [ValConfig, DetectConfig, TrackConfig])
@pytest.mark.parametrize(("flag", "name"), [("--conf", "conf_thres"), ("--iou", "iou_thres"), ("--max", "max_det")])
def test_thresholds_by_their_short_names(command, flag, name):
    assert getattr(parse(command, [flag, "1"], "x"), name) == 1


@pytest.mark.parametrize(
    ("command", "line", "values"),
    [
        (TrainConfig, "--img 320 --batch 8 --epochs 3 --data shapes.yaml --weights yolov5n.pt --cos-lr --exist-ok",
         {"imgsz": 320, "batch_size": 8, "epochs": 3, "data": "shapes.yaml", "cos_lr": True, "exist_ok": True}),
        (TrainConfig, "--single-cls --optimizer AdamW --label-smoothing 0.1 --save-period 5 --hyp h.yaml --device cpu",
         {"single_cls": True, "optimizer": "AdamW", "label_smoothing": 0.1, "save_period": 5, "device": "cpu"}),
        (ValConfig, "--weights a.pt --conf-thres 0.1 --iou-thres 0.7 --task test --save-json --save-txt --save-conf",
         {"conf_thres": 0.1, "iou_thres": 0.7, "task": "test", "save_json": True, "save_txt": True}),
        (DetectConfig, "--source a/*.jpg --imgsz 480 640 --classes 0 2 --agnostic-nms --hide-labels --vid-stride 2",
         {"source": "a/*.jpg", "imgsz": (480, 640), "classes": (0, 2), "agnostic_nms": True, "vid_stride": 2}),
    ],
)  # fmt: skip
def test_lines_from_yolov5s_readme(command, line, values):
    config = parse(command, line.split(), "x")
    assert {name: getattr(config, name) for name in values} == values


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (TrainConfig, "--epochs 0"), (TrainConfig, "--batch 0"), (TrainConfig, "--imgsz 0"), (TrainConfig, "--seed -1"),
        (TrainConfig, "--label-smoothing 1.1"), (TrainConfig, "--patience -1"), (TrainConfig, "--optimizer sgd"),
        (TrainConfig, "--workers -1"), (TrainConfig, "--nbs 0"), (TrainConfig, "--conf-thres 0.1"),
        (ValConfig, "--conf-thres 1.1"), (ValConfig, "--iou-thres -0.1"), (ValConfig, "--max-det 0"),
        (ValConfig, "--task speed2"), (ValConfig, "--batch-size -1"), (DetectConfig, "--imgsz 640 0"),
        (DetectConfig, "--classes -1"), (DetectConfig, "--vid-stride 0"), (DetectConfig, "--line-thickness 0"),
        (DetectConfig, "--conf-thres nan"), (TrackConfig, "--track-buffer -1"), (TrackConfig, "--match-thresh 1.1"),
        (CheckConfig, "--workers 1001"), (TrainConfig, f"--epochs {2**63}"),
    ],
)  # fmt: skip
def test_out_of_range(command, line):
    flag = line.split()[0]
    with pytest.raises(ConfigError, match=flag if "batch" not in flag else "--batch"):
        parse(command, line.split(), "x")


@pytest.mark.parametrize(
    ("command", "given", "meant"),
    [
        (TrainConfig, "--batchsize", "--batch-size"), (TrainConfig, "--epoch-s", "--epochs"),
        (ValConfig, "--iou-treshold", "--iou-thres"), (DetectConfig, "--sources", "--source"),
        (DetectConfig, "--agnostic", None), (DetectConfig, "--line-thicknes", None),
    ],
)  # fmt: skip
def test_slips_are_understood_or_named(command, given, meant):
    if meant is None:  # an abbreviation
        parse(command, [given, *(["1"] if "line" in given else [])], "x")
        return
    with pytest.raises(ConfigError, match=f"unknown option {given}; did you mean {meant}\\?"):
        parse(command, [given, "1"], "x")


@pytest.mark.parametrize("given", ["--adam", "--notest", "--logdir", "--linear-lr", "--output-dir"])
def test_no_other_option_is_proposed_for_one_that_is_like_none(given):
    """Those of YOLOv5's other releases among them."""
    with pytest.raises(ConfigError) as caught:
        parse(TrainConfig, [given], "yolo.train")
    assert str(caught.value) == f"unknown option {given}; see yolo.train --help"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_help_and_its_default_is_in_range(command, capsys):
    with pytest.raises(SystemExit) as caught:
        parse(command, ["--help"], "x")
    assert caught.value.code == 0
    said = capsys.readouterr().out
    for field in dataclasses.fields(command):
        assert f"--{field.name.replace('_', '-')}" in said
        assert field.metadata["text"] and not field.metadata["text"].endswith(".")


@pytest.mark.parametrize("command", COMMANDS)
def test_opt_yaml_round_trip(command):
    config = parse(command, ["--weights", "ä: b.pt", "--name", "yes", "--exist-ok"], "x")
    values = yaml.safe_load(to_yaml(config))
    assert values["weights"] in ("ä: b.pt", ["ä: b.pt"]) and values["name"] == "yes" and values["exist_ok"] is True
    assert command(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}) == config


@pytest.mark.parametrize("command", COMMANDS)
def test_a_config_does_not_change(command):
    with pytest.raises(dataclasses.FrozenInstanceError):
        command().name = "other"

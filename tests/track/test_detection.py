"""The options that tracking has from detection work there, too."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.bfloat16 import HAS_BF16
from tests.inference.samples import files
from tests.track.films import drawn, meeting, write_folder
from yolo.config.commands import DetectConfig, TrackConfig
from yolo.data.images import read_image
from yolo.models.weights.safetensors_io import read_safetensors, save_checkpoint


def detections(run, *argv: str) -> list[list[dict]]:
    code, out, err = run("--source", "in", "--nosave", "--json", "--exist-ok", *argv)
    assert code == 0, err
    return [image["detections"] for image in json.loads(out)["images"]]


def test_every_option_of_detection_is_there() -> None:
    names = [field.name for field in dataclasses.fields(DetectConfig)]
    assert [field.name for field in dataclasses.fields(TrackConfig)][: len(names)] == names


@pytest.mark.covers("track", "iou_thres", "max_det", "classes", "agnostic_nms")
def test_settings_of_nms(run) -> None:
    write_folder(Path("in"), meeting(2))
    loose = ("--conf-thres", "0.00001", "--new-thresh", "0")

    def count(*argv: str) -> int:
        return len(detections(run, *loose, *argv)[0])

    assert count("--max-det", "1") == 1
    assert {one["class"] for one in detections(run, *loose, "--classes", "1")[0]} == {1}
    assert count("--iou-thres", "0", "--agnostic-nms") < count("--iou-thres", "0") < count("--iou-thres", "1")


@pytest.mark.covers("track", "line_thickness", "hide_labels", "hide_conf")
def test_looks(run) -> None:
    write_folder(Path("in"), [drawn(20, 60)])

    def seen(name: str, *argv: str) -> np.ndarray:
        assert run("--source", "in", "--name", name, *argv)[0] == 0
        return read_image(f"runs/track/{name}/1.png")

    looks = [("--line-thickness", "2"), ("--line-thickness", "1"), ("--hide-labels",), ("--hide-conf",)]
    images = [seen(f"look{number}", *argv) for number, argv in enumerate(looks)]
    for index, one in enumerate(images):
        assert all((one != other).any() for other in images[:index])


@pytest.mark.covers("track", "data", "int8")
def test_a_data_set_gives_names_and_calibrates(run) -> None:
    write_folder(Path("in"), meeting(3))
    content = {"path": str(Path.cwd()), "train": "in", "val": "in", "names": ["a", "b"]}
    Path("own.yaml").write_text(yaml.safe_dump(content))
    plain = detections(run, "--data", "own.yaml")
    assert {one["name"] for frame in plain for one in frame} == {"a", "b"}
    code, out, err = run("--source", "in", "--nosave", "--json", "--data", "own.yaml", "--int8")
    low = [image["detections"] for image in json.loads(out)["images"]]
    assert code == 0 and "calibration images" in err and low != plain and len(low[0]) == 2
    assert "--int8: needs a data set to be calibrated on" in run("--source", "in", "--int8")[2]


@pytest.mark.covers("track", "augment", "compile", "exact")
def test_other_ways_to_run_the_network(run) -> None:
    write_folder(Path("in"), meeting(2))
    usual = detections(run)[0]
    for flags in (("--compile", "off"), ("--exact",)):
        other = detections(run, *flags)[0]
        assert [one["id"] for one in other] == [one["id"] for one in usual]
        np.testing.assert_allclose([one["conf"] for one in other], [one["conf"] for one in usual], atol=1e-3)
    assert detections(run, "--augment")[0] != usual


@pytest.mark.covers("track", "slice", "overlap")
def test_objects_of_large_images_are_followed_in_slices(run) -> None:
    """Sheets of four frames: what the network sees of them at once is half as large."""
    write_folder(Path("in"), [np.tile(image, (2, 2, 1)) for image in meeting(3)])
    whole, sliced, other = (
        detections(run, *flags)[0] for flags in ((), ("--slice", "96"), ("--slice", "96", "--overlap", "0.5"))
    )
    assert len({one["id"] for one in sliced}) == len(sliced) >= 8 and sliced not in (whole, other)


@pytest.mark.covers("track", "half")
def test_half(run) -> None:
    write_folder(Path("in"), meeting(2))
    code, out, err = run("--source", "in", "--nosave", "--json", "--half")
    if not HAS_BF16:
        assert code == 2 and json.loads(out)["exit_code"] == 2 and err.count("\n") == 1 and "bf" in err
        return
    assert code == 0 and [len(image["detections"]) for image in json.loads(out)["images"]] == [2, 2]


@pytest.mark.covers("track", "exist_ok")
def test_the_run_folder(run) -> None:
    write_folder(Path("in"), meeting(2))
    for _ in range(2):
        assert run("--source", "in", "--project", "out", "--name", "mine", "--exist-ok")[0] == 0
    assert files("out") == ["mine/1.png", "mine/2.png", "mine/mot/in.txt"]
    code, _, err = run("--source", "in", "--project", ".", "--name", "in", "--exist-ok")
    assert code == 2 and "written over the source" in err and files("in") == ["1.png", "2.png"]


@pytest.mark.covers("track", "visualize", "update", "view_img")
def test_feature_maps_stripped_weights_and_windows(run, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(Path("in"), meeting(1))
    checkpoint = read_safetensors(weights)
    state = {"momentum": np.ones(20_000, np.float32)}
    save_checkpoint("last.safetensors", dataclasses.replace(checkpoint, training=state))
    shown = []
    monkeypatch.setattr("yolo.inference.outputs.viewer.has_windows", lambda: True)
    for name in ("namedWindow", "resizeWindow", "waitKey", "destroyAllWindows"):
        monkeypatch.setattr(f"cv2.{name}", lambda *_, name=name: shown.append(name))
    monkeypatch.setattr("cv2.imshow", lambda name, image: shown.append(image))
    argv = ("--source", "in", "--weights", "last.safetensors", "--visualize", "--update", "--view-img")
    code, _, err = run(*argv)
    assert code == 0 and err.startswith("last.safetensors: ") and read_safetensors("last.safetensors").training is None
    assert any(name.endswith("_features.png") for name in files("runs/track/exp"))
    np.testing.assert_array_equal(shown[2][..., ::-1], read_image("runs/track/exp/1.png"))

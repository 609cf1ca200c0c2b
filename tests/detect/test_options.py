"""The detection command: every option's effect, and its JSON."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import yolo
from tests.bfloat16 import HAS_BF16
from tests.inference.samples import NAMES, files, make_image, make_video, make_weights, noise
from tests.inference.sources.matroska import write_matroska
from yolo.data.images import read_image
from yolo.inference.sources.default import DEMO
from yolo.inference.sources.video import VideoReader
from yolo.models.weights.safetensors_io import read_safetensors, save_checkpoint


@pytest.mark.covers("detect", "project", "name", "weights", "source", "imgsz", "device")
def test_an_image(run) -> None:
    code, out, err = run("--source", "in/a.png")
    assert (code, out) == (0, "")
    lines = err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("image 1/1 in/a.png: 48x64 ") and lines[0].endswith("ms")
    assert (
        lines[1].startswith("speed per image: ")
        and lines[1].endswith(", over 1 image at 48x64")
        and lines[2] == "results: runs/detect/exp"
    )
    assert files() == ["detect/exp/a.png"]
    assert (read_image("runs/detect/exp/a.png") != noise()).any()
    assert run("--source", "in/a.png")[0] == 0
    assert files() == ["detect/exp/a.png", "detect/exp2/a.png"]


def test_without_a_source_it_looks_at_images_of_its_own(run) -> None:
    code, out, err = run()
    assert (code, out) == (0, "")
    assert err.startswith(f"no --source is given: looking at the 2 demo images in {DEMO}\n")
    assert files() == ["detect/exp/room.png", "detect/exp/street.png"]
    make_image(Path("data/images/own.png"))
    _, _, err = run("--nosave")
    lines = err.splitlines()
    assert lines[0] == "no --source is given: looking at 1 file of data/images"
    assert lines[1].startswith("image 1/1 data/images/own.png: ")


@pytest.mark.covers("detect", "json")
def test_json_has_every_detection(run) -> None:
    make_video(Path("in/b.mp4"), frames=2)
    code, out, _ = run("--source", "in", "--json")
    assert code == 0 and len(out.splitlines()) == 1
    given = json.loads(out)
    assert (given["schema_version"], given["command"], given["save_dir"]) == (1, "detect", "runs/detect/exp")
    assert set(given) == {"schema_version", "command", "save_dir", "images", "left_out", "speed_ms"}
    assert set(given["speed_ms"]) == {"preprocess", "inference", "nms"}
    assert [(image["path"], image.get("frame")) for image in given["images"]] == [
        ("in/a.png", None),
        ("in/b.mp4", 1),
        ("in/b.mp4", 2),
    ]
    found = given["images"][0]["detections"]
    assert len(found) == 5
    for one in found:
        assert set(one) == {"class", "name", "conf", "xyxy"}
        assert one["name"] == NAMES[one["class"]] and 0.001 < one["conf"] <= 1
        x1, y1, x2, y2 = one["xyxy"]
        assert 0 <= x1 <= x2 <= 64 and 0 <= y1 <= y2 <= 48


@pytest.mark.covers("detect", "save_txt", "save_conf", "save_crop", "nosave")
def test_labels_and_crops(run) -> None:
    code, _, err = run("--source", "in", "--save-txt", "--save-conf", "--save-crop", "--nosave")
    assert code == 0 and "labels: runs/detect/exp/labels (1)" in err
    written = files("runs/detect/exp")
    assert written[-1] == "labels/a.txt" and len(written) == 6
    assert {name.split("/")[1] for name in written[:-1]} <= {"cat", "traffic light_red"}
    rows = np.loadtxt("runs/detect/exp/labels/a.txt", ndmin=2)
    assert rows.shape == (5, 6) and (rows[:, 1:] <= 1).all() and (np.diff(rows[:, 5]) >= 0).all()
    run("--source", "in", "--save-txt", "--nosave", "--name", "plain")
    assert np.loadtxt("runs/detect/plain/labels/a.txt", ndmin=2).shape == (5, 5)


def test_what_writes_nothing_makes_no_folder(run) -> None:
    code, out, _ = run("--source", "in", "--nosave", "--save-conf", "--json")
    assert code == 0 and json.loads(out)["save_dir"] is None and not Path("runs").exists()


@pytest.mark.covers("detect", "vid_stride")
def test_a_video_and_its_stride(run) -> None:
    make_video(Path("in/clip.avi"), frames=5, fps=10)
    code, out, err = run("--source", "in/clip.avi", "--vid-stride", "2", "--save-txt", "--json")
    assert code == 0 and "video 1/1 (3/5) in/clip.avi: 48x64 " in err
    assert [image["frame"] for image in json.loads(out)["images"]] == [1, 3, 5]
    assert files("runs/detect/exp") == ["clip.mp4", *(f"labels/clip_{number}.txt" for number in (1, 3, 5))]
    written = VideoReader("runs/detect/exp/clip.mp4")
    assert [frame.shape for _, frame in written] == [(48, 64, 3)] * 3
    assert written.fps == 5


def test_frames_that_cannot_be_decoded_are_passed_over_and_said(run) -> None:
    write_matroska(Path("in/clip.mkv"), range(0, 400, 40), 400, damaged=[4, 10])
    Path("in/bad.png").write_bytes(b"nonsense")
    code, out, err = run("--source", "in", "--save-txt", "--json")
    found = json.loads(out)
    assert code == 0
    assert [image.get("frame") for image in found["images"]] == [None, 1, 2, 3, 5, 6, 7, 8, 9]
    assert found["left_out"] == [
        {"path": "in/bad.png", "reason": "the image cannot be decoded"},
        {"path": "in/clip.mkv", "reason": "2 of 10 frames cannot be decoded", "frames": 2},
    ]
    assert "left out: in/clip.mkv: 2 of 10 frames cannot be decoded\n" in err
    assert "\nleft out, wholly or in part: 2 frames, 1 file; named above\n" in err
    assert len(list(VideoReader("runs/detect/exp/clip.mp4"))) == 8
    assert json.loads(run("--source", "in/a.png", "--json")[1])["left_out"] == []


def test_a_glob_with_names_that_clash(run) -> None:
    for number, name in enumerate(("x/a.png", "y/a.png", "y/猫 é.png")):
        make_image(Path("in") / name, seed=number + 1)
    assert run("--source", "in/**/*.png")[0] == 0
    assert files("runs/detect/exp") == ["a.png", "a_2.png", "a_3.png", "猫 é.png"]


@pytest.mark.covers("detect", "conf_thres", "iou_thres", "max_det", "classes", "agnostic_nms")
def test_settings_of_nms(run) -> None:
    def detections(*argv: str) -> list[dict]:
        code, out, _ = run("--source", "in/a.png", "--nosave", "--json", *argv)
        assert code == 0
        return json.loads(out)["images"][0]["detections"]

    assert len(detections("--max-det", "2")) == 2
    assert detections("--conf-thres", "1") == []
    assert {one["class"] for one in detections("--classes", "0")} == {0}
    everything = len(detections("--max-det", "1000", "--iou-thres", "1"))
    apart = len(detections("--max-det", "1000", "--iou-thres", "0"))
    assert len(detections("--max-det", "1000", "--iou-thres", "0", "--agnostic-nms")) < apart < everything


@pytest.mark.covers("detect", "line_thickness", "hide_labels", "hide_conf")
def test_looks(run) -> None:
    make_image(Path("in/a.png"), (480, 640))

    def drawn(name: str, *argv: str) -> np.ndarray:
        assert run("--source", "in/a.png", "--name", name, *argv)[0] == 0
        return read_image(f"runs/detect/{name}/a.png")

    images = [
        drawn("usual"),
        drawn("thin", "--line-thickness", "1"),
        drawn("no-labels", "--hide-labels"),
        drawn("no-conf", "--hide-conf"),
    ]
    for index, one in enumerate(images):
        assert all((one != other).any() for other in images[:index])


@pytest.mark.covers("detect", "data")
def test_names_from_a_data_set_file(run) -> None:
    content = {"path": str(Path.cwd()), "train": "in", "val": "in", "names": ["dog", "bird"]}
    Path("own.yaml").write_text(yaml.safe_dump(content))
    found = json.loads(run("--source", "in", "--data", "own.yaml", "--json")[1])["images"][0]["detections"]
    assert {one["name"] for one in found} <= {"dog", "bird"}
    Path("own.yaml").write_text(yaml.safe_dump({**content, "names": ["dog"]}))
    code, _, err = run("--source", "in", "--data", "own.yaml")
    assert code == 2 and "1 class names, but the weights have 2 classes" in err


@pytest.mark.covers("detect", "exist_ok")
def test_the_run_folder(run) -> None:
    for _ in range(2):
        assert run("--source", "in", "--project", "out", "--name", "mine", "--exist-ok")[0] == 0
    assert files("out") == ["mine/a.png"]
    before = Path("in/a.png").read_bytes()
    code, _, err = run("--source", "in", "--project", ".", "--name", "in", "--exist-ok")
    assert code == 2 and "written over the source" in err and Path("in/a.png").read_bytes() == before


def test_height_and_width_of_the_input(run) -> None:
    assert "in/a.png: 40x48 " in run("--source", "in", "--imgsz", "64", "48")[2]
    code, _, err = run("--source", "in", "--imgsz", "60")
    assert code == 0 and err.splitlines()[0] == "--imgsz 60 is not a multiple of the stride 8: using 64"
    code, _, err = run("--source", "in", "--imgsz", "33", "70")
    assert code == 0 and err.splitlines()[0] == "--imgsz 33 70 is not a multiple of the stride 8: using 40 72"
    code, _, err = run("--source", "in", "--imgsz", "8")
    assert code == 0 and err.startswith("image 1/1 in/a.png: 8x8 ")


def test_a_size_that_memory_has_no_room_for(run, monkeypatch) -> None:
    monkeypatch.setattr("yolo.program.footprint.free_memory", lambda **_: 10**9)
    code, out, err = run("--source", "in", "--imgsz", "100000")
    assert (code, out, files()) == (2, "", [])
    said = "yolo.detect: --imgsz 100000: an image of 100000 x 75000 pixels takes at least "
    assert err.splitlines()[-1].startswith(said) and err.endswith(" of memory, and 1.00 GB are free; lower --imgsz\n")


def test_more_detections_than_come_out_of_the_suppression(run) -> None:
    code, _, err = run("--source", "in", "--max-det", "100000")
    said = "--max-det 100000: using 30000, so many candidates enter the suppression, as in YOLOv5"
    assert code == 0 and err.splitlines().count(said) == 1
    assert "--max-det" not in run("--source", "in", "--max-det", "30000")[2]


def test_images_of_all_kinds_together(run) -> None:
    Image.fromarray(noise()[..., 0]).save("in/grey.png")
    Image.fromarray(np.dstack([noise(), noise()[..., 0]])).save("in/alpha.png")
    make_image(Path("in/line.png"), (1, 64))
    turned = Image.Exif()
    turned[274] = 6
    Image.fromarray(noise()).save("in/turned.jpg", exif=turned)
    Path("in/broken.jpg").write_bytes(b"nonsense")
    code, out, err = run("--source", "in", "--json", "--save-crop")
    assert code == 0
    assert [Path(image["path"]).name for image in json.loads(out)["images"]] == [
        "a.png",
        "alpha.png",
        "grey.png",
        "line.png",
        "turned.jpg",
    ]
    assert "left out: in/broken.jpg: the image cannot be decoded" in err
    assert "image 6/6 in/turned.jpg: 64x48 " in err and "in/line.png: 8x64 " in err
    assert read_image("runs/detect/exp/turned.jpg").shape == (64, 48, 3)
    assert read_image("runs/detect/exp/line.png").shape == (1, 64, 3)


@pytest.mark.covers("detect", "augment")
def test_augmentation(run) -> None:
    plain, thrice = (
        json.loads(run("--source", "in", "--nosave", "--json", "--max-det", "99", *flags)[1])["images"][0]["detections"]
        for flags in ((), ("--augment",))
    )
    assert len(thrice) > 5 and thrice != plain
    assert all(0 <= x <= 64 for one in thrice for x in one["xyxy"][::2])


@pytest.mark.covers("detect", "weights")
def test_an_ensemble(run, weights: Path, tmp_path: Path) -> None:
    def detections(*files: Path, argv: tuple[str, ...] = ()) -> list[dict]:
        base = ("--source", "in", "--nosave", "--json", "--max-det", "99")
        return json.loads(run(*base, *argv, "--weights", *map(str, files))[1])["images"][0]["detections"]

    other = make_weights(tmp_path / "other.safetensors", seed=1)
    assert detections(weights, weights) == detections(weights)  # a box and its like: one is suppressed
    apart = ("--iou-thres", "1", "--max-det", "9999")
    both, one, two = (
        detections(weights, other, argv=apart),
        detections(weights, argv=apart),
        detections(other, argv=apart),
    )
    assert len(one) > 99 and len(two) > 99
    assert sorted(both, key=str) == sorted(one + two, key=str)
    foreign = make_weights(tmp_path / "three.safetensors", names=("a", "b", "c"))
    code, out, err = run("--source", "in", "--weights", str(weights), str(foreign))
    assert (code, out) == (2, "") and f"{foreign}: has 3 classes, {weights} has 2" in err


@pytest.mark.covers("detect", "save_csv")
def test_a_table(run) -> None:
    make_video(Path("in/b.mp4"), frames=2)
    assert run("--source", "in", "--save-csv", "--nosave")[0] == 0
    assert files() == ["detect/exp/predictions.csv"]
    lines = Path("runs/detect/exp/predictions.csv").read_text().splitlines()
    assert lines[0] == "Image Name,Prediction,Confidence" and len([line for line in lines if "a.png," in line]) == 5
    assert lines[-1].startswith("b.mp4,") and {line.split(",")[1] for line in lines[1:]} <= set(NAMES)


@pytest.mark.covers("detect", "visualize")
def test_feature_maps(run) -> None:
    assert run("--source", "in", "--visualize", "--nosave")[0] == 0
    names = files("runs/detect/exp")
    assert len(names) == 2 * 8 and names[0] == "a/stage0_Conv_features.npy"
    assert read_image("runs/detect/exp/a/stage2_C3_features.png").ndim == 3
    assert np.load("runs/detect/exp/a/stage0_Conv_features.npy").shape == (8, 24, 32)


@pytest.mark.covers("detect", "view_img")
def test_windows(run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = run("--source", "in", "--view-img")
    assert code == 0 and "--view-img: this OpenCV has no windows, nothing is shown" in err
    shown = []
    monkeypatch.setattr("yolo.inference.outputs.viewer.has_windows", lambda: True)
    for name in ("namedWindow", "resizeWindow", "waitKey", "destroyAllWindows"):
        monkeypatch.setattr(f"cv2.{name}", lambda *_, name=name: shown.append(name))
    monkeypatch.setattr("cv2.imshow", lambda *given: shown.append(given))
    code, _, err = run("--source", "in", "--view-img", "--name", "shown")
    assert code == 0 and "--view-img" not in err
    (name, image) = shown[2]
    assert (shown[0], shown[3:]) == ("namedWindow", ["waitKey", "destroyAllWindows"]) and name == "in/a.png"
    np.testing.assert_array_equal(image[..., ::-1], read_image("runs/detect/shown/a.png"))


@pytest.mark.covers("detect", "update")
def test_weights_without_their_training(run, weights: Path) -> None:
    checkpoint = read_safetensors(weights)
    state = {"momentum": np.ones(20_000, np.float32)}
    save_checkpoint("last.safetensors", dataclasses.replace(checkpoint, training=state))
    before = Path("last.safetensors").stat().st_size
    argv = ["--source", "in", "--nosave", "--json", "--weights", "last.safetensors", "--update"]
    code, out, err = run(*argv)
    assert code == 0 and err.startswith("last.safetensors: ") and f"was {before / 1e6:.1f} MB" in err
    assert Path("last.safetensors").stat().st_size < before - 70_000
    stripped = read_safetensors("last.safetensors")
    assert stripped.training is None and stripped.names == checkpoint.names
    assert all(np.array_equal(values, checkpoint.model[name]) for name, values in stripped.model.items())
    code, again, err = run(*argv)
    assert code == 0 and err.startswith("last.safetensors has no training state")
    assert json.loads(again)["images"] == json.loads(out)["images"]


@pytest.mark.covers("detect", "compile")
def test_without_compiling(run) -> None:
    plain, compiled = (
        json.loads(run("--source", "in", "--nosave", "--json", "--compile", mode)[1])["images"][0]["detections"]
        for mode in ("off", "program")
    )
    assert len(plain) == len(compiled) == 5
    for ours, theirs in zip(compiled, plain):
        assert ours["class"] == theirs["class"] and ours["conf"] == pytest.approx(theirs["conf"], abs=1e-4)
    code, _, err = run("--source", "in", "--compile", "off", "--half")
    assert code == 2 and "bf16 needs a compiled program" in err


@pytest.mark.covers("detect", "half")
def test_half(run) -> None:
    code, out, err = run("--source", "in", "--nosave", "--json", "--half")
    if not HAS_BF16:
        assert code == 2 and json.loads(out)["exit_code"] == 2 and err.count("\n") == 1 and "bf" in err
        return
    found = json.loads(out)["images"][0]["detections"]
    exact = json.loads(run("--source", "in", "--nosave", "--json")[1])["images"][0]["detections"]
    assert len(found) == 5 and found != exact
    assert found[0]["conf"] == pytest.approx(exact[0]["conf"], abs=0.05)


def test_as_its_own_process(run, weights: Path) -> None:
    argv = ["--weights", str(weights), "--imgsz", "64", "--source", "in", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "yolo.detect", *argv],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(yolo.__file__).parents[1])},
    )
    assert done.returncode == 0 and json.loads(done.stdout)["save_dir"] == "runs/detect/exp"
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["image", "speed", "results:"]

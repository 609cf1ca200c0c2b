"""Results on disk: label files, crops, names that would clash, nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.inference.samples import noise
from yolo.data.images import read_image
from yolo.errors import ConfigError, DataError
from yolo.inference.outputs.names import UniqueNames, class_folders
from yolo.inference.outputs.writer import Outputs, ResultWriter, refuse_own_results
from yolo.inference.results import Result
from yolo.inference.sources.base import Frame
from yolo.inference.sources.video import VideoReader

ROWS = np.array([[8, 12, 40, 36, 0.9, 0], [0, 0, 64, 48, 0.5, 1], [10, 10, 20, 20, 0.25, 0]], np.float32)
NAMES = ("cat", "traffic light/red")


def result(rows: np.ndarray = ROWS, **fields: object) -> Result:
    return Result(noise(), rows, NAMES, **fields)


def write(folder: Path, paths: list[str], outputs: Outputs, rows: np.ndarray = ROWS, workers: int = 0) -> list[str]:
    """Write a Result for each path (``clip.mp4:3`` is a frame); give the files there are."""
    folder.mkdir(parents=True, exist_ok=True)
    with ResultWriter(folder, outputs, workers) as writer:
        for path in paths:
            name, _, number = path.partition(":")
            number = int(number) if number else None
            frame = Frame(noise(), Path(name), 1, number, fps=5.0)
            writer.write(result(rows, path=frame.path, frame=number), frame)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_result_in_parts_and_words() -> None:
    found = result(path=Path("a.jpg"))
    assert len(found) == 3 and found.boxes.xyxy.shape == (3, 4) and found.boxes.xyxy.dtype == np.float32
    assert found.boxes.cls.tolist() == [0, 1, 0] and found.boxes.cls.dtype == np.int64
    assert found.boxes.conf.tolist() == [ROWS[0, 4], 0.5, 0.25]
    assert found.summary() == "2 cats, 1 traffic light/red"
    empty = result(np.zeros((0, 6), np.float32))
    assert (len(empty), empty.summary(), empty.label_lines(), empty.to_dict()["detections"]) == (
        0,
        "(no detections)",
        "",
        [],
    )


def test_a_result_as_json() -> None:
    given = json.loads(json.dumps(result(ROWS[:1], path=Path("a.mp4"), frame=7).to_dict()))
    assert given == {
        "path": "a.mp4",
        "frame": 7,
        "detections": [{"class": 0, "name": "cat", "conf": 0.9, "xyxy": [8.0, 12.0, 40.0, 36.0]}],
    }
    assert "frame" not in result().to_dict() and result().to_dict()["path"] is None


def test_label_lines_are_normalised_and_best_last() -> None:
    assert result().label_lines().splitlines() == [
        "0 0.234375 0.3125 0.15625 0.208333",
        "1 0.5 0.5 1 1",
        "0 0.375 0.5 0.5 0.5",
    ]
    assert result().label_lines(confidence=True).splitlines()[2] == "0 0.375 0.5 0.5 0.5 0.9"


def test_drawing_leaves_the_image_alone(tmp_path: Path) -> None:
    found = result()
    drawn = found.plot(line_width=1)
    assert drawn.shape == found.image.shape and (drawn != found.image).any()
    np.testing.assert_array_equal(found.image, noise())
    np.testing.assert_array_equal(read_image(found.save(tmp_path / "a.png")), found.plot())
    with pytest.raises(DataError, match="no image can be written"):
        found.save(tmp_path / "a.xyz")


def test_every_kind_of_file(tmp_path: Path) -> None:
    outputs = Outputs(text=True, confidence=True, crops=True)
    assert write(tmp_path, ["in/bus.png", "in/clip.avi:1", "in/clip.avi:2"], outputs) == [
        "bus.png",
        "clip.mp4",
        *(f"crops/cat/{name}.jpg" for name in ("bus", "bus2", "clip", "clip2", "clip3", "clip4")),
        *(f"crops/traffic light_red/{name}.jpg" for name in ("bus", "clip", "clip2")),
        "labels/bus.txt",
        "labels/clip_1.txt",
        "labels/clip_2.txt",
    ]
    assert (tmp_path / "labels/bus.txt").read_text() == result().label_lines(confidence=True)


def test_each_output_on_its_own(tmp_path: Path) -> None:
    assert write(tmp_path / "a", ["a.jpg"], Outputs()) == ["a.jpg"]
    assert write(tmp_path / "b", ["a.jpg", "b.mp4:1"], Outputs(images=False, text=True)) == [
        "labels/a.txt",
        "labels/b_1.txt",
    ]
    assert not Outputs(images=False, confidence=True).any


def test_no_result_replaces_another(tmp_path: Path) -> None:
    paths = ["a/x.jpg", "b/x.jpg", "a/x.png", "clip.avi:3", "clip.mp4:3", "clip_3.jpg"]
    assert write(tmp_path, paths, Outputs(text=True)) == [
        "clip.mp4",
        "clip_2.mp4",
        "clip_3.jpg",
        "labels/clip_2_3.txt",
        "labels/clip_3.txt",
        "labels/clip_3_2.txt",
        "labels/x.png.txt",
        "labels/x.txt",
        "labels/x_2.txt",
        "x.jpg",
        "x.png",
        "x_2.jpg",
    ]


def test_formats_that_cannot_be_written_become_jpeg(tmp_path: Path) -> None:
    assert write(tmp_path, ["raw.dng", "two.MPO", "a.WEBP", "猫.jpg", "long" * 60 + ".png"], Outputs(text=True)) == [
        "a.WEBP",
        "labels/a.txt",
        f"labels/{'long' * 50}.txt",
        "labels/raw.txt",
        "labels/two.txt",
        "labels/猫.txt",
        f"{'long' * 50}.png",
        "raw.jpg",
        "two.jpg",
        "猫.jpg",
    ]


def test_a_label_file_of_an_earlier_run_does_not_outlive_its_objects(tmp_path: Path) -> None:
    outputs = Outputs(images=False, text=True)
    assert write(tmp_path, ["a.jpg", "b.jpg"], outputs) == ["labels/a.txt", "labels/b.txt"]
    assert write(tmp_path, ["a.jpg"], outputs, ROWS[:0]) == ["labels/b.txt"]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_failure_leaves_no_half_video(tmp_path: Path, workers: int) -> None:
    with pytest.raises(ZeroDivisionError), ResultWriter(tmp_path, Outputs(), workers) as writer:
        writer.write(result(frame=1), Frame(noise(), Path("a.mp4"), 1, 1, fps=5.0))
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("workers", [0, 2])
def test_ctrl_c_keeps_what_a_video_has(tmp_path: Path, workers: int) -> None:
    with pytest.raises(KeyboardInterrupt), ResultWriter(tmp_path, Outputs(table=True), workers) as writer:
        for number in (1, 2, 3):
            writer.write(result(frame=number), Frame(noise(), Path("a.avi"), 1, number, fps=5.0))
        raise KeyboardInterrupt
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "predictions.csv"]
    assert [number for number, _ in VideoReader(tmp_path / "a.mp4")] == [1, 2, 3]


def test_threads_write_the_same_files(tmp_path: Path) -> None:
    paths = ["a.png", "b.jpg", "c.avi:1", "c.avi:2", "c.avi:3", "d.mp4:1", "a.bmp"]
    outputs = Outputs(text=True, crops=True, table=True)
    assert write(tmp_path / "at once", paths, outputs) == write(tmp_path / "behind", paths, outputs, workers=3)
    for path in (tmp_path / "at once").rglob("*.*"):
        assert (tmp_path / "behind" / path.relative_to(tmp_path / "at once")).read_bytes() == path.read_bytes(), path


def test_an_error_of_a_thread_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("full")

    monkeypatch.setattr("yolo.inference.outputs.writer.write_image", full)
    with pytest.raises(OSError, match="full"), ResultWriter(tmp_path, Outputs(), 2) as writer:
        writer.write(result(), Frame(noise(), Path("a.png"), 1))
    assert not list(tmp_path.iterdir())


def test_the_frames_of_streams_are_mixed(tmp_path: Path) -> None:
    with ResultWriter(tmp_path, Outputs(text=True), 1) as writer:
        for number in range(1, 7):
            name = Path(f"cam.{number % 2}")
            writer.write(result(frame=number), Frame(noise(), name, 1, number, fps=5.0, live=True))
    assert sorted(path.name for path in tmp_path.glob("*.mp4")) == ["cam.0.mp4", "cam.1.mp4"]
    for name in ("cam.0", "cam.1"):
        assert len(list(VideoReader(tmp_path / f"{name}.mp4"))) == 3
    assert (tmp_path / "labels/cam.1_5.txt").is_file()


def test_the_table(tmp_path: Path) -> None:
    outputs = Outputs(images=False, table=True)
    assert write(tmp_path, ["in/bus.png", "in/empty, too.png"], outputs) == ["predictions.csv"]
    assert (tmp_path / "predictions.csv").read_text().splitlines()[:4] == [
        "Image Name,Prediction,Confidence",
        "bus.png,cat,0.25",
        "bus.png,traffic light/red,0.50",
        "bus.png,cat,0.90",
    ]
    assert '"empty, too.png",cat,0.90' in (tmp_path / "predictions.csv").read_text()


def test_class_folders_are_safe_and_different() -> None:
    assert class_folders(["a/b", "a:b", "..", "", "猫", "a\nb", "x" * 300, "con. "]) == (
        *("a_b", "a_b_2", "2", "3", "猫", "a_b_3", "x" * 200, "con"),
    )


def test_unique_names_never_repeat() -> None:
    names = UniqueNames("")
    given = [names.take(stem, ".jpg") for stem in ("bus", "bus2", "bus", "bus", "bus2", "bus", "猫" * 100)]
    assert given == ["bus.jpg", "bus2.jpg", "bus3.jpg", "bus4.jpg", "bus22.jpg", "bus5.jpg", "猫" * 66 + ".jpg"]


def test_results_are_never_written_over_their_source(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    for folder in (tmp_path, tmp_path / "link", tmp_path.parent):
        with pytest.raises(ConfigError, match="over the source"):
            refuse_own_results((tmp_path / "a.jpg",), folder)
    refuse_own_results((tmp_path / "a.jpg",), tmp_path / "runs")


def test_a_video_too_small_to_be_written_goes_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with ResultWriter(tmp_path, Outputs(text=True, table=True)) as writer:
        for name, image in (("dot.gif", np.zeros((1, 1, 3), np.uint8)), ("a.mp4", noise())):
            found = Result(image, ROWS, NAMES, Path(name), 1)
            writer.write(found, Frame(image, Path(name), 1, 1, fps=5.0))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "labels", "predictions.csv"]
    assert "dot.gif: no video of 1 x 1 pixels can be written" in caplog.text
    assert sum("dot.gif" in line for line in (tmp_path / "predictions.csv").read_text().splitlines()) == len(ROWS)


def test_the_table_has_what_was_found_until_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), ResultWriter(tmp_path, Outputs(images=False, table=True)) as writer:
        writer.write(result(path=Path("a.jpg")), Frame(noise(), Path("a.jpg"), 1))
        raise ZeroDivisionError
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 1 + len(ROWS)
    with pytest.raises(ZeroDivisionError), ResultWriter(tmp_path / "none", Outputs(images=False, table=True)):
        raise ZeroDivisionError
    assert not (tmp_path / "none").exists()

"""The tracking command: ids that stay, what it leaves on disk, and what ByteTrack's options do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import yolo
from tests.inference.samples import files
from tests.track.films import drawn, meeting, write_folder, write_video
from yolo.config.commands import TrackConfig
from yolo.data.images import read_image
from yolo.inference.sources.video import VideoReader
from yolo.tracking.bytetrack import TrackSettings


def found(out: str) -> list[list[tuple[str, int]]]:
    """Names and ids in each frame."""
    return [sorted((one["name"], one["id"]) for one in image["detections"]) for image in json.loads(out)["images"]]


def mot(path: str) -> np.ndarray:
    return np.loadtxt(path, delimiter=",", ndmin=2)


@pytest.mark.covers("track", "project", "name", "weights", "source", "imgsz", "device")
def test_a_video(run) -> None:
    write_video(Path("in/clip.avi"), meeting(missing=(6, 7, 8)), fps=10)
    code, out, err = run("--source", "in/clip.avi")
    assert (code, out) == (0, "")
    lines = err.splitlines()
    assert len(lines) == 12 + 3 and lines[0].startswith("video 1/1 (1/12) in/clip.avi: 64x96 1 red, 1 blue, ")
    assert lines[-3].startswith("speed per image: ")
    assert lines[-2:] == ["results: runs/track/exp", "2 tracks in 12 frames: runs/track/exp/mot/clip.txt"]
    assert files() == ["track/exp/clip.mp4", "track/exp/mot/clip.txt"]
    written = VideoReader("runs/track/exp/clip.mp4")
    assert len(list(written)) == 12 and written.fps == 10
    rows = mot("runs/track/exp/mot/clip.txt")
    assert rows.shape == (12 + 9, 10) and set(rows[:, 1]) == {1, 2} and (rows[:, 7:] == -1).all()
    above = rows[rows[:, 3] < 25]
    assert len(set(above[:, 1])) == 1 and above[:, 0].tolist() == [1, 2, 3, 4, 5, 9, 10, 11, 12]
    assert np.abs(above[:, 2] - (2 + 5 * (above[:, 0] - 1) + 1)).max() < 5  # pixels count from 1
    assert run("--source", "in/clip.avi")[0] == 0 and Path("runs/track/exp2/mot/clip.txt").is_file()


@pytest.mark.covers("track", "json", "nosave")
def test_json_has_every_id(run) -> None:
    write_video(Path("in/clip.avi"), meeting(8))
    write_video(Path("in/two.avi"), [drawn(red=20)] * 3)
    code, out, _ = run("--source", "in", "--json", "--nosave")
    given = json.loads(out)
    assert code == 0 and (given["command"], given["save_dir"]) == ("track", "runs/track/exp")
    assert set(given) == {"schema_version", "command", "save_dir", "images", "left_out", "speed_ms", "sequences"}
    assert set(given["images"][0]["detections"][0]) == {"id", "class", "name", "conf", "xyxy"}
    assert [frame[0][0] for frame in found(out)] == ["blue"] * 8 + ["red"] * 3
    assert len({pair for frame in found(out)[:8] for pair in frame}) == 2
    assert found(out)[8:] == [[("red", 1)]] * 3  # each video counts from 1
    assert given["sequences"] == [
        {"path": "in/clip.avi", "mot": "runs/track/exp/mot/clip.txt", "frames": 8, "tracks": 2},
        {"path": "in/two.avi", "mot": "runs/track/exp/mot/two.txt", "frames": 3, "tracks": 1},
    ]
    assert files() == ["track/exp/mot/clip.txt", "track/exp/mot/two.txt"]


def test_a_folder_of_frames_is_a_film(run) -> None:
    write_folder(Path("MOT-01/img1"), meeting(11))
    code, out, err = run("--source", "MOT-01/img1", "--json")
    assert code == 0 and "2 tracks in 11 frames: runs/track/exp/mot/MOT-01.txt" in err
    assert [Path(image["path"]).stem for image in json.loads(out)["images"]] == [str(n) for n in range(1, 12)]
    assert len({pair for frame in found(out) for pair in frame}) == 2
    assert files("runs/track/exp") == sorted([*(f"{n}.png" for n in range(1, 12)), "mot/MOT-01.txt"])
    assert (read_image("runs/track/exp/3.png") != meeting(3)[2]).any()


def test_a_film_without_anything_is_an_empty_file(run) -> None:
    write_folder(Path("in"), [drawn()] * 3)
    code, out, err = run("--source", "in", "--json")
    assert code == 0 and found(out) == [[], [], []] and "0 tracks in 3 frames: " in err
    assert Path("runs/track/exp/mot/in.txt").read_bytes() == b""


@pytest.mark.covers("track", "vid_stride")
def test_frames_that_are_left_out_keep_their_numbers(run) -> None:
    write_video(Path("in/clip.avi"), meeting(11, speed=2))
    code, out, _ = run("--source", "in/clip.avi", "--vid-stride", "2", "--json", "--nosave")
    assert code == 0 and sorted(set(mot("runs/track/exp/mot/clip.txt")[:, 0])) == [1, 3, 5, 7, 9, 11]
    assert len({pair for frame in found(out) for pair in frame}) == 2


@pytest.mark.covers("track", "save_txt", "save_conf", "save_csv", "save_crop")
def test_labels_crops_and_the_table_have_ids(run) -> None:
    write_video(Path("in/clip.avi"), meeting(2))
    code, _, err = run("--source", "in", "--nosave", "--save-txt", "--save-conf", "--save-csv", "--save-crop")
    assert code == 0 and "labels: runs/track/exp/labels (2)" in err
    assert files("runs/track/exp") == [
        *("crops/blue/clip.jpg", "crops/blue/clip2.jpg", "crops/red/clip.jpg", "crops/red/clip2.jpg"),
        *("labels/clip_1.txt", "labels/clip_2.txt", "mot/clip.txt", "predictions.csv"),
    ]
    labels = [np.loadtxt(f"runs/track/exp/labels/clip_{number}.txt") for number in (1, 2)]
    assert [rows.shape for rows in labels] == [(2, 7), (2, 7)]
    assert {tuple(rows[place, [0, 6]]) for rows in labels for place in (0, 1)} in (
        {(0, 1), (1, 2)},
        {(0, 2), (1, 1)},
    )
    lines = Path("runs/track/exp/predictions.csv").read_text().splitlines()
    assert lines[0] == "Image Name,Prediction,Confidence,Track" and len(lines) == 5
    run("--source", "in", "--nosave", "--save-txt", "--name", "plain")
    assert np.loadtxt("runs/track/plain/labels/clip_1.txt").shape == (2, 6)


def scores(run, strength: float) -> float:
    """How sure the network is of a red rectangle of that strength."""
    write_folder(Path("one"), [drawn(20, strength=strength)])
    out = run("--source", "one", "--nosave", "--json", "--conf-thres", "0.001", "--new-thresh", "0", "--exist-ok")[1]
    return max(one["conf"] for one in json.loads(out)["images"][0]["detections"] if one["name"] == "red")


@pytest.mark.covers("track", "conf_thres", "low_thresh", "new_thresh")
def test_thresholds(run) -> None:
    strong, weak = scores(run, 1), scores(run, 0.8)
    assert weak < strong / 2
    middle, low = str((strong + weak) / 2), str(weak / 2)
    write_folder(Path("in"), [drawn(20, strength=s) for s in (0.8, 1, 1, 0.8, 0.8, 1)])

    def ids(*argv: str) -> list[list[int]]:
        code, out, _ = run("--source", "in", "--nosave", "--json", "--exist-ok", *argv)
        assert code == 0
        return [[number for _, number in frame] for frame in found(out)]

    assert ids("--conf-thres", middle, "--low-thresh", low) == [[], [], [1], [1], [1], [1]]
    assert ids("--track-thresh", middle, "--low-thresh", middle) == [[], [], [1], [], [], [1]]
    assert ids("--conf-thres", low, "--new-thresh", "0") == [[1]] * 6
    assert ids("--conf-thres", low, "--new-thresh", middle) == [[], [], [1], [1], [1], [1]]
    assert ids("--conf-thres", "1") == [[]] * 6


@pytest.mark.covers("track", "match_thresh", "track_buffer")
def test_how_far_and_how_long_a_track_is_looked_for(run) -> None:
    write_folder(Path("jump"), [drawn(20), drawn(20), drawn(31), drawn(31)])
    write_folder(Path("gap"), [drawn(20)] * 2 + [drawn()] * 3 + [drawn(20)] * 2)

    def ids(source: str, *argv: str) -> list[list[int]]:
        out = run("--source", source, "--nosave", "--json", "--exist-ok", *argv)[1]
        return [[number for _, number in frame] for frame in found(out)]

    assert ids("jump", "--match-thresh", "0.95") == [[1], [1], [1], [1]]
    assert ids("jump", "--match-thresh", "0.6") == [[1], [1], [], [2]]
    assert ids("gap", "--track-buffer", "3") == [[1], [1], [], [], [], [1], [1]]
    assert ids("gap", "--track-buffer", "2") == [[1], [1], [], [], [], [], [2]]


def test_the_options_are_the_trackers_own() -> None:
    config, settings = TrackConfig(), TrackSettings()
    names = ("low_thresh", "new_thresh", "match_thresh", "track_buffer")
    assert [getattr(config, name) for name in names] == [getattr(settings, name) for name in names]
    assert config.conf_thres == settings.track_thresh


def test_as_its_own_process(run, weights: Path) -> None:
    write_video(Path("in/clip.avi"), meeting(3))
    argv = ["--weights", str(weights), "--imgsz", "96", "--source", "in", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "yolo.track", *argv],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(yolo.__file__).parents[1])},
    )
    assert done.returncode == 0 and json.loads(done.stdout)["sequences"][0]["tracks"] == 2
    assert [line.split()[0] for line in done.stderr.splitlines()] == [*["video"] * 3, "speed", "results:", "2"]

"""How a tracking run ends: Ctrl-C, a stream's end, a full disk, and what is refused before it begins."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.inference.samples import files
from tests.inference.sources.mjpeg import Camera
from tests.interrupted import interrupt_after
from tests.track.films import meeting, write_folder, write_video
from yolo.inference.sources.streams import Patience
from yolo.inference.sources.video import VideoReader


def test_ctrl_c_in_a_video_keeps_its_tracks(run, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_after(monkeypatch, 4)
    write_video(Path("in/clip.avi"), meeting())
    code, out, err = run("--source", "in/clip.avi", "--json")
    assert (code, json.loads(out)["error"]["kind"]) == (130, "Interrupted")
    assert err.splitlines()[-1] == "yolo.track: interrupted"
    assert files() == ["track/exp/clip.mp4", "track/exp/mot/clip.txt"]
    assert len(list(VideoReader("runs/track/exp/clip.mp4"))) == 4
    rows = np.loadtxt("runs/track/exp/mot/clip.txt", delimiter=",")
    assert sorted(set(rows[:, 0])) == [1, 2, 3, 4]


def test_streams_have_a_file_each(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolo.inference.sources.streams.PATIENCE", Patience(0.02, 0.05, 0.2))
    with Camera(frames=4) as first, Camera(frames=8) as second:
        Path("all.streams").write_text(f"{first.url}\n{second.url}\n")
        code, out, _ = run("--source", "all.streams", "--json")
    found = json.loads(out)["sequences"]
    assert code == 0 and len(found) == 2 and {Path(one["mot"]).suffix for one in found} == {".txt"}
    assert len(files("runs/track/exp")) == 4 and len(files("runs/track/exp/mot")) == 2
    assert sum(one["frames"] for one in found) == len(json.loads(out)["images"])


def test_ctrl_c_is_how_a_stream_ends(run, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_after(monkeypatch, 3)
    with Camera(frames=100_000) as camera:
        code, out, err = run("--source", camera.url, "--json")
    assert code == 0 and " tracks in 3 frames: runs/track/exp/mot/" in err and "Traceback" not in err
    assert json.loads(out)["sequences"][0]["frames"] == 3


def test_files_that_cannot_be_read_are_said_and_counted(run) -> None:
    write_folder(Path("in"), meeting(5))
    Path("in/3.png").write_bytes(b"nonsense")
    code, out, _ = run("--source", "in", "--json", "--nosave")
    assert code == 0 and json.loads(out)["left_out"] == [{"path": "in/3.png", "reason": "the image cannot be decoded"}]
    rows = np.loadtxt("runs/track/exp/mot/in.txt", delimiter=",")
    assert sorted(set(rows[:, 0])) == [1, 2, 4, 5] and set(rows[:, 1]) == {1, 2}


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--source", "absent"], "absent: does not exist"),
        (["--source", "in", "--match-thresh", "1.5"], "--match-thresh: is 1.5; give between 0 and 1"),
        (["--source", "in", "--low-thresh", "-1"], "--low-thresh: is -1.0; give between 0 and 1"),
        (["--source", "in", "--new-thresh", "nan"], "--new-thresh: is nan; give between 0 and 1"),
        (["--source", "in", "--track-buffer", "-1"], "--track-buffer: is -1; give at least 0"),
        (
            ["--source", "in", "--track-threshold", "1"],
            "unknown option --track-threshold; did you mean --track-thresh?",
        ),
        (["--source", "in", "--weights", "absent.pt"], "no weights 'absent.pt'"),
        (["--source", "in", "--classes", "7"], "classes: the weights have no class 7"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(run, argv: list[str], message: str) -> None:
    write_folder(Path("in"), meeting(1))
    code, out, err = run(*argv)
    assert (code, out) == (2, "") and err.startswith(f"yolo.track: {message}") and err.count("\n") == 1
    assert not Path("runs").exists()


def test_a_full_disk_is_one_line(run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    write_folder(Path("in"), meeting(2))
    monkeypatch.setattr(os, "fsync", full)
    code, out, err = run("--source", "in", "--nosave")
    assert (code, out) == (2, "") and "No space left on device" in err.splitlines()[-1] and "Traceback" not in err
    assert files() == [] and not Path("runs/track/exp").exists()

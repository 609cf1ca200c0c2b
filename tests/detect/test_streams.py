"""The detection command on lists and streams, and Ctrl-C while it works."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from tests.inference.samples import files, make_image, make_video
from tests.inference.sources.mjpeg import Camera
from tests.interrupted import interrupt_after
from yolo.inference.sources.streams import Patience
from yolo.inference.sources.video import VideoReader


def test_a_list_as_the_source(run) -> None:
    make_image(Path("other/b.png"), seed=1)
    Path("list.txt").write_text("other\nin/*.png\n")
    code, out, err = run("--source", "list.txt", "--json")
    assert code == 0 and "image 2/2 in/a.png: " in err
    assert [image["path"] for image in json.loads(out)["images"]] == ["other/b.png", "in/a.png"]


def test_a_stream_that_breaks_off_and_ends(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolo.inference.sources.streams.PATIENCE", Patience(0.02, 0.05, 0.2))
    with Camera(frames=6, connections=2) as camera:
        code, out, err = run("--source", camera.url, "--json", "--save-txt")
    assert code == 0 and "stream 1/1 (12) http_127.0.0.1_" in err and "secret" not in out + err
    images = json.loads(out)["images"]
    name = images[0]["path"]
    assert images[-1]["frame"] == 12 and {image["path"] for image in images} == {name}
    written = [number for number, _ in VideoReader(f"runs/detect/exp/{name}.mp4")]
    assert len(written) == len(images) and Path(f"runs/detect/exp/labels/{name}_12.txt").is_file()


def test_several_streams(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolo.inference.sources.streams.PATIENCE", Patience(0.02, 0.05, 0.2))
    with Camera(frames=4) as first, Camera(frames=8) as second:
        Path("all.streams").write_text(f"{first.url}\n\n{second.url}\n")
        code, _, err = run("--source", "all.streams")
    assert code == 0 and "stream 1/2 (4) " in err and "stream 2/2 (8) " in err
    assert len(files("runs/detect/exp")) == 2


def test_ctrl_c_is_how_a_stream_ends(run, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_after(monkeypatch, 3)
    with Camera(frames=100_000) as camera:
        code, out, err = run("--source", camera.url, "--json")
    assert code == 0 and "results: runs/detect/exp" in err and "Traceback" not in err
    images = json.loads(out)["images"]
    assert 2 <= len(images) <= 3
    assert len(list(VideoReader(f"runs/detect/exp/{images[0]['path']}.mp4"))) == 3
    assert not [
        thread.name for thread in threading.enumerate() if thread.name.startswith(("stream", "ahead", "behind"))
    ]


def test_ctrl_c_in_a_video_keeps_its_frames(run, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_after(monkeypatch, 3)
    make_video(Path("in/clip.avi"), frames=50)
    code, out, err = run("--source", "in/clip.avi", "--json")
    assert (code, json.loads(out)["error"]["kind"]) == (130, "Interrupted")
    assert err.splitlines()[-1] == "yolo.detect: interrupted"
    assert files() == ["detect/exp/clip.mp4"]
    assert len(list(VideoReader("runs/detect/exp/clip.mp4"))) == 3
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith(("ahead", "behind"))]

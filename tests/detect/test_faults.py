"""The detection command has one line for whatever is wrong."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.inference.samples import files


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--source", "absent"], "absent: does not exist"),
        (["--source", "empty"], "empty: no image and no video in the folder"),
        (["--source", "notes.txt"], "notes.txt: the list is empty"),
        (["--source", "own.text"], "own.text: neither an image nor a video"),
        (["--source", "screen 1 2"], "--source: cannot be understood: 'screen 1 2'"),
        (["--source", "63"], "--source: there is no camera 63"),
        (["--source", "http://127.0.0.1:9/live"], "http://127.0.0.1:9/live: cannot be connected to"),
        (["--source", "in", "--update", "--weights", "absent.safetensors"], "no weights 'absent.safetensors'"),
        (["--source", "bad.jpg"], "bad.jpg: the image cannot be decoded"),
        (["--source", "bad.mp4"], "bad.mp4: the video cannot be opened"),
        (["--source", "in", "--weights", "absent.pt"], "no weights 'absent.pt'"),
        (["--source", "in", "--weights", "notes.txt"], "notes.txt: empty file"),
        (["--source", "in", "--classes", "0", "7"], "classes: the weights have no class 7"),
        (["--source", "in", "--imgsz", "1", "2", "3"], "--imgsz: 3 numbers"),
        (["--source", "in", "--conf-thres", "2"], "--conf-thres: is 2.0"),
        (["--source", "in", "--line-thickness", "100000"], "--line-thickness: is 100000; give between 1 and 200"),
        (["--source", "in", "--vid-stride", "0"], "--vid-stride: is 0"),
        (["--source", "in", "--data", "absent.yaml"], "absent.yaml: no such data set file"),
        (["--source", "in", "--device", "97"], "--device 97"),
        (["--source", "in", "--project", "notes.txt"], "notes.txt: is a file, not a folder"),
        (["--source", "in", "--save-text"], "unknown option --save-text; did you mean --save-txt?"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(run, argv: list[str], message: str) -> None:
    Path("empty").mkdir()
    Path("notes.txt").touch()
    Path("own.text").touch()
    for name in ("bad.jpg", "bad.mp4"):
        Path(name).write_bytes(b"\0" * 1000)
    code, out, err = run(*argv)
    assert (code, out) == (2, "")
    assert err.startswith(f"yolo.detect: {message}") and err.count("\n") == 1
    assert not Path("runs").exists()


@pytest.mark.parametrize("options", [[], ["--save-txt", "--nosave"], ["--save-crop", "--nosave"]])
def test_a_full_disk_is_one_line(run, options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    code, out, err = run("--source", "in", *options)
    assert (code, out) == (2, "")
    lines = err.splitlines()  # the image was looked at, its result could not be written
    assert len(lines) == 2 and lines[0].startswith("image 1/1 ") and "No space left on device" in lines[1]
    assert files() == []

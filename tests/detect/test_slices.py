"""The command on images that are larger than a slice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.inference.samples import make_image, make_video


@pytest.mark.covers("detect", "slice", "overlap")
def test_large_images_are_looked_at_in_slices_too(run) -> None:
    make_image(Path("in/large.png"), size=(120, 160), seed=2)

    def found(*argv: str) -> tuple[list[list[dict]], str]:
        code, out, err = run("--source", "in", "--nosave", "--json", "--max-det", "1000", *argv)
        assert code == 0
        return [image["detections"] for image in json.loads(out)["images"]], err

    (small, whole), err = found()
    assert err.splitlines()[-1].endswith(", over 2 images at 48x64")
    (same, sliced), err = found("--slice", "64", "--overlap", "0.5")
    assert err.splitlines()[-1].endswith(", over 2 images at 48x64, and in slices of 64 pixels")
    assert same == small
    assert sliced != whole and len(sliced) > len(whole)
    assert found("--slice", "64", "--overlap", "0")[0][1] != sliced


def test_files_are_those_of_whole_images(run) -> None:
    make_image(Path("in/large.png"), size=(120, 160), seed=2)
    make_video(Path("in/clip.avi"), frames=2, size=(80, 96))
    code, _, err = run("--source", "in", "--slice", "48", "--save-txt", "--save-conf")
    assert code == 0 and "video 3/3 (2/2) in/clip.avi: " in err
    rows = np.loadtxt("runs/detect/exp/labels/large.txt", ndmin=2)
    assert rows.shape == (5, 6) and (rows[:, 1:5] >= 0).all() and (rows[:, 1:5] <= 1).all()


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (("--slice", "-1"), "--slice: is -1; give at least 0"),
        (("--slice", "many"), "argument --slice: invalid int value: 'many'"),
        (("--slice", "3"), "slice: is 3; give at least the network's stride, 8"),
        (("--overlap", "-0.1"), "--overlap: is -0.1; give between 0 and 0.9"),
        (("--overlap", "0.99"), "--overlap: is 0.99; give between 0 and 0.9"),
        (("--overlap", "1"), "--overlap: is 1.0; give between 0 and 0.9"),
        (("--overlap", "nan"), "--overlap: is nan; give between 0 and 0.9"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(run, argv: tuple[str, ...], line: str) -> None:
    code, out, err = run("--source", "in/a.png", *argv)
    assert (code, out) == (2, "") and err.splitlines()[-1].startswith(f"yolo.detect: {line}")
    assert "Traceback" not in err and not Path("runs").exists()


@pytest.mark.parametrize("size", [(1, 90), (12, 10)])
@pytest.mark.parametrize("argv", [("--slice", "100000"), ("--slice", "8", "--overlap", "0.9")])
def test_extremes_work(run, size: tuple[int, int], argv: tuple[str, ...]) -> None:
    make_image(Path("thin.png"), size=size)
    assert run("--source", "thin.png", "--nosave", *argv)[0] == 0

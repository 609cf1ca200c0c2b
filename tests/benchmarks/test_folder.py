"""Images a second of folders, with fake contenders."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from benchmarks import folder
from benchmarks.driver import Contender, Measurement
from benchmarks.table import as_text
from tests.data.renderers.photos import photo, save_jpeg
from yolo.data.images import check_image


def measurement(name: str, ms: list[float], *, ours: bool = True) -> Measurement:
    return Measurement(Contender(name, "fp32", ours, "", ""), ms, {"images": [4.0] * len(ms)})


def test_photographs_are_the_small_ones_enlarged_and_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "WORK", tmp_path / "work")
    monkeypatch.setattr(folder, "LARGE", 200)
    paths = [save_jpeg(tmp_path / f"{k}.jpg", photo((30, 40), k)) for k in range(3)]
    made = folder.make_folders(paths, 2)
    names = {kind: sorted(path.name for path in place.iterdir()) for kind, place in made.items()}
    assert names == {"small": ["0.jpg", "1.jpg", "2.jpg"], "photographs": ["0.jpg", "1.jpg"]}
    large = made["photographs"] / "0.jpg"
    assert check_image(large) == (150, 200)
    before = large.stat().st_mtime_ns
    assert sorted(path.name for path in folder.make_folders(paths[:1], 1)["photographs"].iterdir()) == ["0.jpg"]
    assert large.stat().st_mtime_ns == before
    assert (folder.photograph(photo((30, 40)), 200, 0) != folder.photograph(photo((30, 40)), 200, 1)).any()
    assert folder.photograph(np.zeros((30, 40, 3), np.uint8), 200, 0).shape == (150, 200, 3)


def test_each_way_is_measured_in_both_checkouts(tmp_path: Path) -> None:
    options = argparse.Namespace(threads=2, size=640, beside="/other", only="")
    found = folder.contenders(tmp_path / "a.pt", tmp_path, options)
    assert [(one.options["way"], one.options["checkout"], one.ours) for one in found] == [
        *((way, checkout, not checkout) for way in ("stream", "list", "call") for checkout in ("", "/other")),
        ("ready", "", True),  # an earlier version may have no way to that
    ]
    options.beside, options.only = "", "stream"
    assert [one.name for one in folder.contenders(tmp_path / "a.pt", tmp_path, options)] == ["stream(folder)"]


def test_images_a_second_and_what_the_other_makes() -> None:
    found = [
        measurement("a", [100.0, 200.0, 300.0]),
        measurement("a, the other", [300.0], ours=False),
        measurement("b", []),
        measurement(folder.READY, [40.0]),
        measurement("b, the other", [10.0], ours=False),
    ]
    rows = folder.as_rows("yolov5n", "small", found)
    assert (rows[0]["image_ms"], rows[0]["images_a_second"], rows[0]["to_other_ratio"]) == (50.0, "20.0", 1.5)
    assert rows[0]["to_ready_ratio"] == 0.2
    assert all("to_other_ratio" not in row for row in rows[1:]) and "images_a_second" not in rows[2]
    assert "20.0" in as_text("Title", rows, folder.COLUMNS).splitlines()[2]

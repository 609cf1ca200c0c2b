"""The loader benchmark: its workers on a small set, its rows, and what it says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import loader
from benchmarks.coco_like import make_coco_like
from benchmarks.driver import Contender, Measurement
from benchmarks.loader_table import device_columns, device_rows, loader_rows, needs
from benchmarks.loading import read_set, write_set
from benchmarks.places import PEERS_PYTHON


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_coco_like(tmp_path_factory.mktemp("loader") / "set", 8)


@pytest.fixture
def bench(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Runs the benchmark on eight images of 64 pixels with one worker; gives its code, stdout and stderr."""
    monkeypatch.setattr(loader, "WORK", tmp_path)
    monkeypatch.setattr(loader, "confine", lambda threads: None)
    monkeypatch.setattr(loader, "PEERS_PYTHON", tmp_path / "no" / "python")
    usual = ("loader", "--data", str(data), "--size", "64", "--batch", "4", "--workers", "1")

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [*usual, *words])
        code = loader.main()
        return code, *capfd.readouterr()

    return run


def test_each_loader_is_measured_and_what_is_absent_is_said(bench) -> None:
    code, out, _ = bench("--json", "--rounds", "2", "--sources", "files", "--loaders", "torch", "opencv", "decode")
    found = json.loads(out)
    assert code == 0 and (found["size"], found["batch"]) == (64, 4)
    torch, opencv, decode = found["rows"]
    assert torch["note"] == "its environment is absent; type: make bench-peers" and torch["mosaics_s"] is None
    assert (opencv["name"], opencv["source"], opencv["workers"], opencv["runs"]) == ("opencv", "files", 1, 2)
    assert opencv["mosaics_s"] > 0 and 0.05 < opencv["cpu_ms"] < 1000 and 20 < opencv["peak_rss_mb"] < 1000
    assert opencv["slowest"] in ("plan", "render") and opencv["others"] == 0 and opencv["labels"] > 1
    assert opencv["torch_cpu_ratio"] is None and opencv["opencv_cpu_ratio"] == 1
    assert decode["cpu_ms"] > 0 and "opencv_cpu_ratio" not in decode


def test_the_table_names_the_images(bench, data: Path) -> None:
    code, out, _ = bench("--rounds", "1", "--sources", "ram", "--loaders", "opencv", "dali-gpu")
    lines = out.splitlines()
    assert code == 0 and lines[0].startswith(f"Mosaics of 64x64, batches of 4, {data}; a worker has one core; ")
    assert lines[2].split()[:3] == ["OpenCV", "ram", "1"] and len(lines) == 4  # devices' speeds are at 640


@pytest.mark.skipif(not PEERS_PYTHON.exists(), reason="the other frameworks are not installed: make bench-peers")
@pytest.mark.parametrize("source", ["files", "ram"])
def test_the_loader_under_pytorch(bench, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.setattr(loader, "PEERS_PYTHON", PEERS_PYTHON)
    code, out, err = bench("--json", "--rounds", "1", "--sources", source, "--loaders", "torch", "opencv")
    torch, opencv = json.loads(out)["rows"]
    assert code == 0 and torch["note"] is None, err
    assert torch["labels"] == pytest.approx(opencv["labels"], rel=0.5) and torch["mosaics_s"] > 0
    assert 0.05 < torch["cpu_ms"] < 1000 and torch["torch_cpu_ratio"] == 1 and 0 < opencv["torch_cpu_ratio"] < 10


def test_a_long_run_tells_memory_ten_times(bench) -> None:
    code, out, _ = bench("--long", "20", "--sources", "files", "--loaders", "opencv", "--json")
    (row,) = json.loads(out)["rows"]
    assert code == 0 and (row["name"], row["mosaics"]) == ("opencv", 20)
    assert len(row["rss_mb"]) == 10 and row["rss_mb"][0] > 20
    code, _, err = bench("--long", "20")
    assert code == 2 and err.splitlines()[-1] == "--long watches one loader: name it with --loaders"
    code, _, err = bench("--long", "20", "--loaders", "torch")
    assert code == 2 and err.splitlines()[-1] == "torch: its environment is absent; type: make bench-peers"


def test_images_that_are_not_there(bench) -> None:
    code, _, err = bench("--data", "nowhere.yaml")
    assert code == 2 and "nowhere.yaml: no such data set file" in err


@pytest.mark.parametrize("option", ["--workers", "--size", "--batch", "--rounds", "--long"])
def test_numbers_below_one_are_refused(bench, option: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bench("--loaders", "native", option, "0")
    assert ended.value.code == 2 and f"argument {option}: must be at least 1" in capfd.readouterr().err


def test_without_coco_there_are_drawn_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "COCO128", tmp_path / "coco128.yaml")
    monkeypatch.setattr(loader, "WORK", tmp_path)
    monkeypatch.setattr(loader, "DRAWN_IMAGES", 2)
    path, words = loader._data(None)
    assert path.is_file() and words == "2 drawn JPEGs of COCO's sizes"
    (tmp_path / "coco128.yaml").touch()
    assert loader._data(None) == (tmp_path / "coco128.yaml", "COCO128")


def measured(name: str, workers: int, cached: bool, ms: float, cpu_ms: float, **figures: float) -> Measurement:
    contender = Contender(name, "uint8", True, "", "", {"workers": workers, "cached": cached})
    found = {"cpu_ms": cpu_ms, "mosaics": 100.0, "labels": 30.0, **figures}
    return Measurement(contender, [ms] * 3, {key: [value] * 3 for key, value in found.items()}, None, 250.4)


def test_ratios_are_to_the_same_work() -> None:
    stages = {"queued": 0.5, "others": 4.0, "plan_share": 0.1, "render_share": 0.9}
    rows = loader_rows(
        [
            measured("native", 1, False, 500.0, 6.0, **stages),
            measured("native", 1, True, 200.0, 2.0, **stages),
            measured("decode", 1, False, 400.0, 7.0),
            measured("opencv", 1, False, 1000.0, 10.0, **stages),
            measured("torch", 1, True, 800.0, 8.0),
            measured("torch", 1, False, 2000.0, 15.0),
        ]
    )
    assert [(row["name"], row["source"]) for row in rows] == [
        *(("torch", "files"), ("opencv", "files"), ("native", "files")),
        *(("torch", "ram"), ("native", "ram"), ("decode", "files")),
    ]
    native, cached = rows[2], rows[4]
    assert (native["mosaics_s"], native["cpu_ms"], native["peak_rss_mb"]) == (200.0, 6.0, 250)
    assert (native["torch_cpu_ratio"], native["opencv_cpu_ratio"], native["torch_speed_ratio"]) == (0.4, 0.6, 4.0)
    assert (cached["torch_cpu_ratio"], cached["opencv_cpu_ratio"]) == (0.25, None)
    assert (native["slowest"], native["others"], native["queued"]) == ("render", 4, 0.5)
    devices = device_rows(rows)
    ratios = [f"{name}_1_ratio" for name in ("torch", "opencv", "native")]
    assert list(device_columns(rows)) == ["device", "model", "needs_s", *ratios]
    for row in devices:
        assert row["native_1_ratio"] == pytest.approx(200 / row["needs_s"], rel=0.05)
    assert {row["model"] for row in devices} == {f"yolov5{size}" for size in "nsmlx"}


def test_what_devices_need() -> None:
    found = {(device, model): rate for device, model, rate in needs()}
    assert found["V100", "yolov5n"] == pytest.approx(118_287 * 300 / 86_400)
    assert found["V100", "yolov5x"] == pytest.approx(found["V100", "yolov5n"] / 8)
    assert found["A100", "yolov5l"] == pytest.approx(95.5, abs=0.1)
    assert found["2 cores with AVX2 alone, fp32", "yolov5n"] == pytest.approx(16 / 0.704 / 4)


def test_the_set_is_read_as_it_was_written(tmp_path: Path) -> None:
    labels = [np.full((n, 5), n, np.float32) for n in (2, 0, 1)]
    write_set(tmp_path / "deep/set.npz", [Path(f"{n}.jpg") for n in range(3)], labels)
    paths, read = read_set(str(tmp_path / "deep/set.npz"))
    assert paths == ["0.jpg", "1.jpg", "2.jpg"]
    assert all(np.array_equal(a, b) for a, b in zip(read, labels)) and [len(rows) for rows in read] == [2, 0, 1]

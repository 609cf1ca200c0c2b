"""The scaling benchmark with runs that are made up: what it reads, reckons, prints, and does when a run fails."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import ddp_scaling, scaling_runs
from benchmarks.coco_like import BOXES, make_coco_like
from benchmarks.places import ROOT
from benchmarks.scaling_runs import Figures, RunError, median, point, read_figures
from benchmarks.scaling_table import measured_row, published_rows
from tests.benchmarks.fake_training import profile
from yolo.data.index import index_split
from yolo.data.load import load_dataset

ALONE = Figures(1, 6.0, 60.0, 5.0, 700.0, 1.0, 0.01, 0.95, 0.03, 0.02, 0.0, 1.0)
PAIR = Figures(2, 8.0, 33.0, 3.0, 720.0, 1.1, 0.01, 0.97, 0.11, 0.06, 0.04, 1.0)


def write(folder: Path, *profiles: object) -> Path:
    for rank, content in enumerate(profiles):
        (folder / f"rank{rank}.json").write_text(json.dumps(content))
    return folder


def test_what_profiles_say(tmp_path: Path) -> None:
    """Of two ranks, the second slower by 12 ms: the first waits for it in half of all rank-steps."""
    found = read_figures(write(tmp_path, profile(0), profile(1, own=92.0)), 2, 990.0)
    assert (found.startup, found.train, found.val, found.memory_mb, found.updates) == (11, 7, 3, 500, 1)
    expected = {"step": 0.14, "data": 0.01, "compute": 0.101, "outside": 0.024, "update": 0.02, "straggling": 0.006}
    assert {name: getattr(found, name) for name in expected} == pytest.approx(expected)
    assert found.other == pytest.approx(0.005)


def test_steps_without_an_update(tmp_path: Path) -> None:
    content = profile()
    content["traceEvents"] = [
        event
        for event in content["traceEvents"]
        if event["name"] not in ("update", "agreement") or event["args"]["step"] % 2 == 1
    ]
    found = read_figures(write(tmp_path, content), 1, 0.0)
    assert found.updates == pytest.approx(2 / 3) and found.update == pytest.approx(0.02 * 2 / 3)


@pytest.mark.parametrize(
    "files", [[], [profile(steps=1)], [{"traceEvents": []}], [profile(), profile(1, steps=3)], ["nothing"]]
)
def test_profiles_that_say_nothing(tmp_path: Path, files: list) -> None:
    with pytest.raises(RunError, match="its profile cannot be read: "):
        read_figures(write(tmp_path, *files), max(len(files), 1), 0.0)


def test_a_run_is_a_process_with_the_words_of_the_train_command(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(scaling_runs, "WORKER", ["-m", "tests.benchmarks.fake_training"])
    found = scaling_runs.run(["--weights", "", "--epochs", "1"], 1, [[0, 1]], tmp_path / "run", 60.0)
    assert found.ranks == 1 and found.step == pytest.approx(0.14)
    words = json.loads((tmp_path / "run/profile/words.json").read_text())
    assert words[:5] == ["0,1", "--weights", "", "--epochs", "1"] and words[-2:] == ["--profile", "4000"]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("refused", "yolo.train: --data: there is none"),
        ("slow", "not done in 1 s"),
        ("silent", "its profile cannot be read: "),
    ],
)
def test_a_run_that_fails_says_why(tmp_path: Path, monkeypatch, fault: str, why: str) -> None:
    monkeypatch.setattr(scaling_runs, "WORKER", ["-m", "tests.benchmarks.fake_training"])
    with pytest.raises(RunError, match=why):
        scaling_runs.run(["--weights", fault], 1, [], tmp_path / "run", 1.0 if fault == "slow" else 60.0)


def test_the_worker_is_pinned_before_anything_is_loaded() -> None:
    core = min(os.sched_getaffinity(0))
    code = (
        "import os, sys, types; fake = types.ModuleType('yolo.train');"
        "fake.main = lambda words: print(sorted(os.sched_getaffinity(0)), words) or 0;"
        "sys.modules['yolo.train'] = fake;"
        "from benchmarks.workers.pinned_training import main;"
        f"sys.exit(main('{core}/99', '--epochs', '1'))"
    )
    environment = {**os.environ, "LOCAL_RANK": "0"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"[{core}] ['--epochs', '1']"


def test_rows_and_the_points_of_the_model() -> None:
    row = measured_row("yolov5n", 16, PAIR, ALONE)
    assert row["images_s"] == pytest.approx(32 / 1.1, abs=0.01) and row["efficiency"] == pytest.approx(
        1 / 1.1, abs=1e-4
    )
    shares = [row[f"{name}_share"] for name in ("data", "compute", "exchange", "other")]
    assert sum(shares) == pytest.approx(1, abs=1e-3)
    assert shares[2] == pytest.approx(0.08 / 1.1, abs=1e-4)
    assert measured_row("yolov5n", 16, ALONE, ALONE)["efficiency"] == 1
    assert measured_row("yolov5n", 16, PAIR, None)["efficiency"] is None
    found = point(PAIR, ALONE)
    assert (found.exchange, found.straggling, found.data) == pytest.approx((0.04, 0.04, 0.01))
    assert found.other == pytest.approx(0.04)
    assert point(ALONE, ALONE).exchange == 0 and point(ALONE, ALONE).other == pytest.approx(0.04)


def test_plain_modules_compute_what_is_no_exchange() -> None:
    """They do not say how long their operators take."""
    alone, pair = (dataclasses.replace(one, compute=0.0, outside=one.compute + one.outside) for one in (ALONE, PAIR))
    row = measured_row("yolov5l", 16, pair, alone)
    assert row["compute_share"] == pytest.approx(0.98 / 1.1, abs=1e-4)
    assert row["exchange_share"] == pytest.approx(0.1 / 1.1, abs=1e-4)
    assert point(alone, alone).compute == pytest.approx(0.98) and point(pair, alone).compute == pytest.approx(0.98)


def test_memory_is_the_gpus_where_there_is_one(tmp_path: Path) -> None:
    content = profile()
    content["otherData"]["gpu_memory_mb"] = 9000.0
    assert read_figures(write(tmp_path, content), 1, 0.0).memory_mb == 9000


def test_every_run_has_as_many_gpus_as_ranks(bench) -> None:
    assert bench({1: ALONE, 2: PAIR}, "--ranks", "1", "2", "--device", "3,1,2", "--model", "yolov5n") == 0
    words = [call[1] for call in bench.calls]
    assert [one[one.index("--device") + 1] for one in words] == ["3", "3,1"]
    assert [call[2] for call in bench.calls] == [[], []]  # not pinned


def test_medians_are_of_each_figure() -> None:
    runs = [Figures(2, *(float(value) for _ in range(11))) for value in (3, 1, 9)]
    assert median(runs) == runs[0]


def test_the_published_table_is_what_the_guide_says() -> None:
    rows = published_rows()
    assert [row["images_s"] for row in rows] == [95.5, 168.3, 331.3, 625.9]
    assert [round(100 * row["efficiency"], 1) for row in rows] == [100, 88.1, 86.8, 81.9]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch):
    """Runs the command with figures, or an error, for each number of ranks; notes who was run, with what."""
    calls: list[tuple[int, list[str], list]] = []

    def make(figures: dict[int, Figures | str], *words: str) -> int:
        def run(program, ranks, cores, folder, limit):
            calls.append((ranks, list(program), list(cores)))
            if isinstance(figures[ranks], str):
                raise RunError(figures[ranks])
            return figures[ranks]

        monkeypatch.setattr(ddp_scaling, "run", run)
        monkeypatch.setattr(ddp_scaling, "WORK", tmp_path)
        return ddp_scaling.main(["--pictures", "2", *words])

    make.calls = calls
    return make


def test_the_tables(bench, capsys, tmp_path: Path) -> None:
    plot = tmp_path / "scaling.png"
    assert bench({1: ALONE, 2: PAIR}, "--ranks", "2", "1", "--repeats", "2", "--plot", str(plot)) == 0
    assert [call[0] for call in bench.calls] == [1, 2, 1, 2]
    words = bench.calls[1][1]
    assert words[words.index("--batch") + 1] == words[words.index("--nbs") + 1] == "32"
    out = capsys.readouterr().out
    assert "| 2 | 32 | 0.7 GB | 0:33.0 | 0:03.0 | 29.1 | 90.9% | 0.9% | 88.2% | 7.3% | 3.6% | 8.0 s |" in out
    assert "| 8 | 128 | 26.0 GB | 3:09.0 | 0:57.0 | 625.9 | 81.9% |" in out
    assert "Time lost per step at 2 ranks, of 1100.0 ms (1000.0 ms alone): 100.0 ms." in out
    assert "- update graph, all-reduce and waiting in it: 40.0 ms (3.6%)" in out
    assert "- waiting for the slowest rank: 40.0 ms" in out
    assert "from one number of ranks alone" in out and "Assumed:" in out and "| 1024 |" in out
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_json(bench, capsys) -> None:
    assert bench({1: ALONE, 2: PAIR}, "--ranks", "1", "2", "--json", "--bandwidth", "2", "--latency", "10") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema_version"] == 1 and [row["ranks"] for row in found["rows"]] == [1, 2]
    assert len(found["published"]) == 4 and found["model"]["reduced"] > 7e6
    assert {one["link"] for one in found["predictions"]} == {"2 GB/s, 10 µs"} and len(found["predictions"]) == 8


def test_a_run_that_fails_has_a_row_and_the_others_go_on(bench, capsys) -> None:
    assert bench({1: ALONE, 2: "port taken"}, "--ranks", "1", "2", "--repeats", "2") == 1
    assert [call[0] for call in bench.calls] == [1, 2, 1]
    assert "| 2 | 32 | – |" in (out := capsys.readouterr().out) and "| port taken |" in out
    assert "nothing is known of this machine's exchange" in out


def test_without_one_rank_there_is_neither_efficiency_nor_model(bench, capsys) -> None:
    assert bench({2: PAIR}, "--ranks", "2") == 0
    out = capsys.readouterr().out
    assert "efficiency" not in out.split("### Published")[0] and "Model" not in out


def test_cores_are_a_ranks_own_and_as_many_in_all_runs(monkeypatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    assert ddp_scaling._cores(1, 4) == [[0, 1]]
    assert ddp_scaling._cores(4, 4) == [[0, 1], [2, 3], [4, 5], [6, 7]]
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3, 5})
    assert ddp_scaling._cores(3, 3) == [[3], [5], [3]]
    assert ddp_scaling._note(3, [[3], [5], [3]], True) == "ranks share cores"
    assert ddp_scaling._note(2, [[3], [5]], True) == ""


def test_data_that_is_not_there_is_one_line(bench, capsys) -> None:
    assert bench({}, "--data", "no/where.yaml") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_data_set_of_cocos_shape(tmp_path: Path) -> None:
    path = make_coco_like(tmp_path / "data", 40, seed=1)
    before = path.stat().st_mtime_ns
    assert make_coco_like(tmp_path / "data", 40, seed=1) == path and path.stat().st_mtime_ns == before
    dataset = load_dataset(path)
    train, val = (index_split(dataset, split) for split in ("train", "val"))
    assert (len(train), len(val), len(dataset.names)) == (40, 8, 80)
    assert len({tuple(shape) for shape in train.shapes}) >= 4
    rows = np.concatenate(train.labels)
    assert len(rows) / 40 == pytest.approx(BOXES, rel=0.35) and len(np.unique(rows[:, 0])) > 60
    other = make_coco_like(tmp_path / "again", 40, seed=1).parent
    for name in ("images/train/000007.jpg", "labels/train/000007.txt"):
        assert (other / name).read_bytes() == (path.parent / name).read_bytes()

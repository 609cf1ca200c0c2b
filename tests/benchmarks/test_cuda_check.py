"""The report of `make cuda-check`: what fails, what is missing, what takes too long."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import cuda_check, cuda_needs
from benchmarks.cuda_check import LIMIT_S, Outcome, Part, parts, report, run_all

ROW = {"case": "NMS, 1000 boxes", "peer_ratio": 0.41, "target_ratio": 0.5, "met": True, "equal": True, "note": None}


def python(code: str, name: str = "part", **options) -> Part:
    return Part(name, options.pop("budget_s", 30), [sys.executable, "-c", code], **options)


def states(given: Sequence[Part], out: Path, missing: dict[str, str] | None = None) -> list[Outcome]:
    return run_all(given, missing or {}, out, time.monotonic())


def test_parts_that_pass_fail_and_lack_what_they_need(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    given = [
        python("print('3 passed in 1 s')", "tests"),
        python("import sys; sys.exit('it is broken')", "memcheck"),
        python("", "racecheck", needs=("gpu", "sanitizer")),
    ]
    found = states(given, tmp_path, {"sanitizer": "of the toolkit"})
    assert [outcome.state for outcome in found] == ["passed", "failed", "skipped"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("passed   tests ") and lines[0].endswith("s of  30  3 passed in 1 s")
    assert lines[1].endswith(f"it is broken (status 1; {tmp_path / 'memcheck.log'})")
    assert lines[2].endswith("without sanitizer")
    assert report(found) == 1
    assert capsys.readouterr().out.startswith("1 passed, 1 failed, 1 skipped, ")


def test_a_part_that_takes_too_long_is_ended_with_what_it_started(tmp_path: Path) -> None:
    code = "import subprocess, sys, time; subprocess.Popen(['sleep', '60']); print('began', flush=True); time.sleep(60)"
    begin = time.monotonic()
    (found, _) = states([python(code, "slow", budget_s=2, least_s=1), python("", "last")], tmp_path)
    assert time.monotonic() - begin < 20 and found.state == "failed" and found.told.startswith("not done in 2 s")
    assert (tmp_path / "slow.log").read_text() == "began\n"


def test_no_time_left_is_no_failure(tmp_path: Path) -> None:
    begin = time.monotonic() - LIMIT_S + 3
    assert [one.told for one in run_all([python("")], {}, tmp_path, begin)] == ["no time is left for it"]
    assert report(run_all([python("")], {}, tmp_path, begin)) == 2


def test_targets_are_told(tmp_path: Path) -> None:
    missed = {**ROW, "case": "loss", "peer_ratio": 0.35, "target_ratio": 0.3, "met": False}
    wrong = {"model": "yolov5s", "equal": False, "note": None}
    absent = {"model": "yolov5s", "equal": None, "note": "no PyTorch"}
    answer = json.dumps({"rows": [ROW, missed, wrong, absent]})
    (found,) = states([python(f"print({answer!r})", "operators", json=True)], tmp_path)
    told = "4 rows, 1 wrong, 1 not measured; NMS, 1000 boxes 0.41 of 0.5; loss 0.35 of 0.3 NOT MET"
    assert (found.state, found.told) == ("passed", told)
    assert json.loads((tmp_path / "operators.json").read_text())["rows"][0] == ROW
    (found,) = states([python("print('no table')", "step", json=True)], tmp_path)
    assert found.told == "no table came out"


def test_the_budgets_are_eight_minutes_and_commands_exist() -> None:
    all_parts = parts(Path("python"), without_oneflow=False)
    assert LIMIT_S - 40 <= sum(part.budget_s for part in all_parts) <= LIMIT_S == 480
    names = {need for part in all_parts for need in part.needs}
    assert names <= {"packages", "module", "gpu", "cudnn", "pytest", "sanitizer", "weights", "torch"}
    for part in all_parts:
        module = next((word for word in part.command if word.startswith("benchmarks.")), None)
        assert module is None or (cuda_check.ROOT / f"{module.replace('.', '/')}.py").is_file()


def test_tests_that_need_oneflow_are_known() -> None:
    every = cuda_check.test_files(without_oneflow=False)
    assert {"tests/ops/cuda/test_nms.py", "tests/program/cuda/test_steps.py"} <= set(every)
    assert not cuda_check._imports_without_oneflow("tests/program/cuda/test_steps.py")
    assert cuda_check._imports_without_oneflow("tests/ops/cuda/test_detect.py")


def test_what_is_missing_has_a_way_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cuda_needs, "_runs", lambda python, code: False)
    monkeypatch.setattr(cuda_needs.shutil, "which", lambda name, path=None: None)
    monkeypatch.setattr(cuda_needs, "PARITY", tmp_path)
    found = cuda_needs.absent(tmp_path / "python")
    names = ["driver", "module", "gpu", "cudnn", "torch", "torchvision", "sanitizer", "weights", "photographs"]
    assert [*found] == names
    assert "make bench-peers-cuda" in found["torch"] and "make cuda" in found["module"]

"""csrc/cuda/gpu without a GPU: what it says of that, and the files in which it keeps algorithms."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cuda import programs

WAY_OUT = "; --device cpu runs on the processor"
KEY = "NVIDIA Some, cuDNN 92801; pass 0, source 64x80x80/128"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    return programs.program("gpu_half", ("current", "device", "probe", "plan_store"), tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def driver(tmp_path_factory) -> dict[str, str]:
    return programs.driver(tmp_path_factory.mktemp("driver"))


def run(built: Path, *arguments: object, environment: dict[str, str] | None = None, fails: int = 0) -> str:
    command = [built, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (fails, "")
    return done.stdout


@pytest.mark.skipif(Path("/proc/driver/nvidia").exists(), reason="there is a driver")
def test_no_driver(built):
    lines = run(built, "unavailable").splitlines()
    assert lines[0] == "there is no NVIDIA driver" + WAY_OUT
    assert lines[1] == "done"  # no memory is asked for
    assert len(lines) == 7
    assert all(line.startswith("CUDA: ") and "insufficient" in line for line in lines[2:])


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"DRIVER_VERSION": "12040"}, "the NVIDIA driver knows CUDA up to 12.4, and this build needs 13.0 or newer"),
        ({"DRIVER_STATUS": "100"}, "the NVIDIA driver finds no GPU"),
        (
            {"DRIVER_STATUS": "100", "CUDA_VISIBLE_DEVICES": "7"},
            "the NVIDIA driver finds no GPU that CUDA_VISIBLE_DEVICES=7 lets it see",
        ),
        ({"DRIVER_STATUS": "803"}, "CUDA does not start: system has unsupported display driver"),
    ],
)
def test_what_the_runtime_says_of_a_driver(built, driver, said, line):
    clean = {name: value for name, value in driver.items() if name != "CUDA_VISIBLE_DEVICES"}
    first = run(built, "unavailable", environment={**clean, **said}).splitlines()[0]
    assert first.startswith(line)
    assert first.endswith(WAY_OUT)


@pytest.mark.parametrize(
    ("major", "minor", "line"),
    [
        (6, 1, "Card X has compute capability 6.1, and kernels are made for 7.5 and newer" + WAY_OUT),
        (7, 0, "Card X has compute capability 7.0, and kernels are made for 7.5 and newer" + WAY_OUT),
        (7, 5, ""),
        (8, 0, ""),
        (12, 0, ""),
    ],
)
def test_cards_by_their_age(built, major, minor, line):
    assert run(built, "objection", 0, 13050, 13000, 1, major, minor, "Card X", "", 0) == line + "\n"


def test_no_card_at_all(built):
    line = run(built, "objection", 0, 13050, 13000, 0, 0, 0, "", "", 0)
    assert line == "the NVIDIA driver finds no GPU" + WAY_OUT + "\n"


@pytest.mark.parametrize(("there", "seen"), [(1, "1 is there"), (2, "2 are there")])
def test_a_card_that_is_one_too_many(built, there, seen):
    line = run(built, "objection", 0, 13050, 13000, there, 0, 0, "", "", there)
    assert line == f"there is no GPU {there}: {seen}, numbered from 0\n"
    line = run(built, "objection", 0, 13050, 13000, 1, 0, 0, "", "3", 1)
    assert line == "there is no GPU 1: 1 is there, numbered from 0 with CUDA_VISIBLE_DEVICES=3\n"


@pytest.fixture
def plan(tmp_path) -> Path:
    (tmp_path / "plan").write_text('{"a plan": 1}\nin two lines\n')
    return tmp_path / "plan"


def test_what_is_kept_is_found_again(built, plan, tmp_path):
    run(built, "kept", tmp_path / "plans", KEY, fails=3)
    run(built, "keep", tmp_path / "plans" / "new", KEY, plan)
    assert run(built, "kept", tmp_path / "plans" / "new", KEY) == "a form|a name|" + plan.read_text()
    run(built, "kept", tmp_path / "plans" / "new", KEY + "0", fails=3)
    assert [file.suffix for file in (tmp_path / "plans" / "new").iterdir()] == [".plan"]


def test_a_damaged_file_is_none_and_is_replaced(built, plan, tmp_path):
    run(built, "keep", tmp_path / "plans", KEY, plan)
    (file,) = (tmp_path / "plans").iterdir()
    whole = file.read_bytes()
    damaged = [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in range(0, len(whole), 7)]
    for content in (*damaged, whole[:-1], whole[:20], b"", b"\0" * 100, whole + b"x"):
        file.write_bytes(content)
        run(built, "kept", tmp_path / "plans", KEY, fails=3)
    run(built, "keep", tmp_path / "plans", KEY, plan)
    assert file.read_bytes() == whole


def test_a_file_of_another_key_is_none(built, plan, tmp_path):
    run(built, "keep", tmp_path / "plans", KEY, plan)
    (file,) = (tmp_path / "plans").iterdir()
    run(built, "keep", tmp_path / "others", "another key", plan)
    (other,) = (tmp_path / "others").iterdir()
    file.write_bytes(other.read_bytes())
    run(built, "kept", tmp_path / "plans", KEY, fails=3)


def test_no_folder_keeps_nothing(built, plan, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in ("", tmp_path / "file"):
        run(built, "keep", folder, KEY, plan)
        run(built, "kept", folder, KEY, fails=3)
    assert sorted(os.listdir(tmp_path)) == ["file", "plan"]


def test_processes_that_keep_the_same_plan_at_once(built, plan, tmp_path):
    plan.write_text("0123456789abcdef" * 50000)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: run(built, "keep", tmp_path / "plans", KEY, plan), range(16)))
    assert run(built, "kept", tmp_path / "plans", KEY).endswith(plan.read_text())
    assert len(list((tmp_path / "plans").iterdir())) == 1

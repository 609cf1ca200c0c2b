"""The floors of steps, from rates that are given."""

from __future__ import annotations

import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from benchmarks.layers import COLUMNS, Machine, _precision, _rows
from benchmarks.places import ROOT
from benchmarks.table import as_text


def step(kind: str, implementation: str, flops: float = 0.0, bytes: int = 0, executed: float = 0.0):
    return SimpleNamespace(
        kind=kind, implementation=implementation, where="a", flops=flops, bytes=bytes, executed=executed
    )


@pytest.fixture
def machine() -> Machine:
    """1,000 operations a second in fp32, ten times as many in bf16, 100 bytes a second."""
    made = Machine.__new__(Machine)
    made.rates, made._copies = {"fp32": 1000.0, "bf16": 10000.0, "int8": 20000.0}, {64: 100.0}
    return made


def test_the_longer_of_products_and_bytes_is_the_floor_of_each_step(machine: Machine) -> None:
    steps = [
        step("conv", "jit", flops=500, bytes=10),
        step("conv", "jit", flops=500, bytes=90),
        step("conv", "winograd:x", flops=4000, executed=1000, bytes=10),
        step("norm", "x", bytes=50),
    ]
    executor = SimpleNamespace(steps=steps, memory_bytes=64)
    rows = list(_rows("n", "fp32", executor, [1.0, 1.0, 3.0, 0.75], machine, each=False))
    assert [row["step"] for row in rows] == ["conv winograd:x", "conv jit", "norm x", "all"]
    assert [row["floor_ms"] for row in rows] == [1000, 500 + 900, 500, 2900]
    assert [row["operations_ms"] for row in rows] == [1000, 1000, 0, 2000]
    assert [row["floor_ratio"] for row in rows] == [3.0, 1.43, 1.5, 1.98]
    assert [row["count"] for row in rows] == [1, 2, 1, 4]
    each = list(_rows("n", "fp32", executor, [1.0, 1.0, 3.0, 0.75], machine, each=True))
    assert [row["step"] for row in each][:2] == ["0 a conv jit", "1 a conv jit"] and len(each) == 5
    assert len(as_text("Title", rows, COLUMNS).splitlines()) == 2 + len(rows)


def test_layers_of_an_int8_network_in_floats_are_measured_by_floats() -> None:
    assert _precision("jit_1x1:avx512_core", "int8") == "fp32"
    assert {_precision(name, "int8") for name in ("amx:int8", "fours:avx2", "winograd:avx2", "jit_int8:x")} == {"int8"}
    assert _precision("amx:bf16", "bf16") == "bf16"


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
def test_the_machine_is_measured(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("benchmarks.layers.WORK", tmp_path / "made")
    machine = Machine(1)
    machine.measure(1 << 16)
    assert machine.rates["fp32"] > 1e8 and machine.rates["int8"] > 1e8 and machine.copy(1 << 16) > 1e7
    before = dict(machine.rates)
    machine.measure(1 << 16)
    assert all(machine.rates[name] >= rate for name, rate in before.items())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--batch", "2"], "--batch is for --way training"),
        (["--way", "training", "--precisions", "int8"], "int8 does not train"),
        (["--only", "ours"], "--only names contenders"),
        (["--rounds", "0"], "--rounds must be at least 1"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.layers", *options], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 2 and said in done.stderr


def test_without_weights_it_says_so(tmp_path) -> None:
    command = [sys.executable, "-m", "benchmarks.layers", "--weights", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and f"no {tmp_path}/yolov5n.pt" in done.stderr

"""Autobatch: the line and the choice with measurements made up, the probe against a training's own peak."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml

from tests.device import as_gpu  # noqa: F401  (a fixture)
from tests.train.samples import Done, Workshop
from yolo import cuda
from yolo.config.commands import TrainConfig
from yolo.config.options import parse
from yolo.data.batch import Batch
from yolo.engine import autobatch, memory, memory_probe
from yolo.engine.autobatch import Measured, measure_in_child, memory_line, with_batch_size
from yolo.engine.memory import free_gpu_memory, peak_memory, used_gpu_memory
from yolo.errors import ConfigError, YoloError

ASKED = TrainConfig(batch_size=-1, imgsz=320)
MB = 10**6


def meter(base: int, each: int, images: int = 500, killed_from: int = 99) -> Callable[[TrainConfig], Measured | None]:
    """A measurement that finds ``base`` and ``each`` megabytes an image."""

    def measure(config: TrainConfig) -> Measured | None:
        assert config.evolve == 0 and config.batch_size > 0
        if config.batch_size >= killed_from:
            return None
        return Measured(config.batch_size, (base + each * config.batch_size) * MB, 0.1, images)

    return measure


def chosen(config: TrainConfig, measure, free: int) -> int:
    return with_batch_size(config, measure, lambda device: free * MB).batch_size


def test_a_size_that_is_given_is_kept() -> None:
    given = TrainConfig(batch_size=3)
    assert with_batch_size(given, lambda config: pytest.fail("measured")) is given
    for size in ("0", "-2"):
        with pytest.raises(ConfigError, match=f"--batch-size: is {size}; give at least 1, or -1 to have it chosen"):
            parse(TrainConfig, ["--batch-size", size], "yolo.train")


@pytest.mark.parametrize(("free", "expected"), [(2000, 40), (10_000, 296), (1000, 8)])
def test_the_batch_fills_four_fifths(free: int, expected: int) -> None:
    size = chosen(ASKED, meter(600, 25), free)
    assert 600 + 25 * size <= 0.8 * free < 600 + 25 * (size + 1)
    assert size == expected


def test_no_more_than_the_data_set_has_or_a_thousand() -> None:
    assert chosen(ASKED, meter(600, 25, images=90), 10_000) == 90
    assert chosen(ASKED, meter(600, 25, images=10**6), 10**6) == 1024


@pytest.mark.parametrize(("free", "images", "expected"), [(2000, 500, 40), (1010, 500, 8), (2000, 26, 24), (900, 2, 4)])
def test_quad_takes_four_at_a_time(free: int, images: int, expected: int) -> None:
    tried = []

    def measure(config: TrainConfig) -> Measured:
        tried.append(config.batch_size)
        return meter(600, 25, images)(config)

    assert chosen(dataclasses.replace(ASKED, quad=True), measure, free) == expected
    assert tried[:2] == [4, 8]
    with pytest.raises(ConfigError, match="not even 4 images a step fit"):
        chosen(dataclasses.replace(ASKED, quad=True), meter(600, 25), 860)


@pytest.mark.parametrize(("images", "expected"), [(50, 25), (80, 40), (39, 39), (90, 30)])
def test_plain_modules_hold_the_smaller_last_batch_too(images: int, expected: int) -> None:
    """40 images fit, those of the last batch included, whose graph has memory of its own."""
    plain = dataclasses.replace(ASKED, compile="off")
    assert chosen(plain, meter(600, 25, images), 2000) == expected
    assert (
        max(size for size in range(1, min(40, images) + 1) if images <= size or size + images % size <= 40) == expected
    )
    assert chosen(ASKED, meter(600, 25, images), 2000) == min(images, 40)


def test_a_small_set_is_measured_with_as_many_images_as_asked() -> None:
    from yolo.engine.memory_probe import _largest

    rows = tuple(np.full((n, 5), n, np.float32) for n in (1, 2))
    batch = Batch(np.zeros((2, 3, 64, 64), np.uint8), rows, np.arange(2), (Path("x"),) * 2)
    assert _largest(batch, [(2, 3, 64, 64)], 2) is batch
    found = _largest(batch, [(4, 3, 32, 64), (1, 3, 64, 96)], 5)
    assert found.images.shape == (5, 3, 64, 96) and [len(labels) for labels in found.labels] == [1, 2, 1, 2, 1]


def test_several_ranks_name_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="one process cannot measure for several; give a number"):
        chosen(ASKED, meter(600, 25), 10_000)


def test_searches_side_by_side_share_the_memory() -> None:
    assert chosen(dataclasses.replace(ASKED, evolve=9, parallel=2), meter(600, 25), 4000) == 40


@pytest.mark.parametrize(("measure", "free"), [(meter(600, 300), 1100), (meter(600, 25, killed_from=1), 10**5)])
def test_not_even_one(measure, free: int) -> None:
    with pytest.raises(ConfigError, match=r"--batch-size -1: not even one image a step fits.*; lower --imgsz"):
        chosen(ASKED, measure, free)


def test_sizes_that_would_not_fit_are_not_tried() -> None:
    tried = []

    def measure(config: TrainConfig) -> Measured | None:
        tried.append(config.batch_size)
        return meter(600, 300)(config)

    assert chosen(ASKED, measure, 1600) == 2 and tried == [1, 2]
    assert chosen(ASKED, meter(600, 300, killed_from=2), 1600) == 1


def test_the_line() -> None:
    def line(*memory: int) -> tuple[float, float]:
        return memory_line([Measured(size, bytes_, 0.1, 9) for size, bytes_ in zip((1, 2, 4), memory)], 64)

    slope, base = line(130 * MB, 160 * MB, 220 * MB)
    assert (slope, base) == pytest.approx((30 * MB, 100 * MB))
    assert line(100 * MB) == (100 * MB, 0)  # one measurement says nothing about more
    slope, base = line(100 * MB, 90 * MB, 95 * MB)  # noise: never flatter than an image, never below what was seen
    assert slope == 3 * 64 * 64 * 4 and base + 2 * slope >= 90 * MB and base + slope >= 100 * MB


def test_the_module_of_programs_says_what_its_gpu_has(as_gpu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(as_gpu, "memory", lambda: (3 << 30, 8 << 30))
    assert free_gpu_memory(0) == autobatch.free_on("cuda:0") == 3 << 30 and used_gpu_memory(0) == 5 << 30


def test_what_the_driver_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "module", lambda: None)
    tool = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OSError, match="there is no nvidia-smi, which says how much memory GPU 0 has free"):
        free_gpu_memory(0)
    for text, expected in (("echo 11178", 11178 << 20), ("exit 6", None), ("echo '[N/A]'", None), ("true", None)):
        tool.write_text(f"#!/bin/sh\n{text}\n")
        tool.chmod(0o755)
        if expected is None:
            with pytest.raises(OSError, match="GPU 3"):
                free_gpu_memory(3)
        else:
            assert free_gpu_memory(3) == expected


def test_without_the_driver_s_tool_a_gpu_is_not_measured(
    as_gpu: ModuleType,  # noqa: F811
    shop: Workshop,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    words = shop.argv("unmeasured", device="0", batch_size="2")
    assert memory_probe.main(words) == 0
    found = json.loads(capsys.readouterr().out)  # the module of programs says what is free
    assert found["device"] == "cuda:0" and "refused" not in found
    monkeypatch.setattr(memory_probe, "free_gpu_memory", lambda index: memory._gpu_memory(index, "free"))
    assert memory_probe.main(words) == 0
    line = "--batch-size -1: there is no nvidia-smi, which says how much memory GPU 0 has free; give a number"
    assert json.loads(capsys.readouterr().out) == {"refused": line}


def test_the_gpu_that_is_asked_for_is_the_one_that_this_process_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text('#!/bin/sh\ncase "$*" in *--id=7\\ *used*) echo 12;; *) echo 5;; esac\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(cuda, "module", lambda: None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert used_gpu_memory(1) == 12 << 20 and used_gpu_memory(0) == 5 << 20
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert used_gpu_memory(7) == 12 << 20


def test_the_peak_is_that_of_this_process() -> None:
    program = "from yolo.engine.memory import peak_memory; b = bytearray(300 << 20); del b; print(peak_memory())"
    big = int(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout)
    assert 300 << 20 < big < 500 << 20 and peak_memory() > 50 << 20


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.make(tmp_path_factory.mktemp("autobatch"))


@pytest.fixture(scope="module")
def done(shop: Workshop) -> Done:
    return shop.train("auto", "--noplots", "--json", batch_size="-1", epochs="1")


@pytest.mark.covers("train", "batch_size")
def test_the_command_records_the_batch_it_chose(done: Done) -> None:
    """The data set has eight images, which is the most that makes sense."""
    assert done.code == 0, done.err
    assert yaml.safe_load((done.folder / "opt.yaml").read_text())["batch_size"] == 8
    rows = re.findall(r"^ +(\d+) +([\d.]+) GB", done.err, re.MULTILINE)
    assert [int(size) for size, _ in rows] == [1, 2, 4, 8] and all(0.1 < float(memory) < 4 for _, memory in rows)
    assert re.search(r"autobatch: --batch-size 8 takes \d+% of the .* GB of free memory; \d+ would fit, but", done.err)
    assert "compiled the training graph for 8x3x64x64" in done.err


def test_the_expectation_is_what_a_training_takes(shop: Workshop, done: Done) -> None:
    """A run of the command, in a process of its own, holds what was foretold, within a sixth."""
    program = (
        "import sys; from yolo.train import main; from yolo.engine.memory import peak_memory;"
        "code = main(sys.argv[1:]); print(peak_memory()); sys.exit(code)"
    )
    options = {**shop.options(), "--batch-size": "8", "--epochs": "1", "--name": "real"}
    argv = [sys.executable, "-c", program, "--noplots", *(word for pair in options.items() for word in pair)]
    real = subprocess.run(argv, capture_output=True, text=True)
    assert real.returncode == 0, real.stderr
    expected = float(re.search(r"^ +8 +([\d.]+) GB +expected", done.err, re.MULTILINE)[1])
    assert int(real.stdout.split()[-1]) / 1e9 == pytest.approx(expected, rel=1 / 6)


def test_what_is_wrong_is_said_as_in_a_training(shop: Workshop) -> None:
    line = shop.train("refused", batch_size="-1", data="absent.yaml").refusal("yolo.train")
    assert line.startswith("absent.yaml: no such data set file")


def test_a_child_that_is_killed_or_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def child(program: str):
        return lambda module, arguments, **streams: subprocess.Popen([sys.executable, "-c", program], **streams)

    for program in ("import os; os.kill(os.getpid(), 9)", "raise MemoryError"):
        monkeypatch.setattr(autobatch, "start_child", child(program))
        assert measure_in_child(ASKED) is None
    monkeypatch.setattr(autobatch, "start_child", child("raise ZeroDivisionError('odd')"))
    with pytest.raises(
        YoloError, match=r"--batch-size -1: the measurement failed: ZeroDivisionError: odd; give a number"
    ):
        measure_in_child(ASKED)


def test_the_largest_shape_and_the_cache_count(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --multi-scale a batch may be half as large again; what a cache holds is added and nothing is cached."""
    from yolo.engine import build, memory_probe
    from yolo.engine.train_step import TrainStep

    shapes, backward = [], TrainStep.backward
    monkeypatch.setattr(
        TrainStep, "backward", lambda step, batch: shapes.append(batch.images.shape) or backward(step, batch)
    )
    monkeypatch.setattr(memory_probe, "peak_memory", lambda: 0)
    monkeypatch.setattr(build, "open_caches", lambda kind, *rest: {} if kind == "" else pytest.fail("cached"))
    config = TrainConfig(
        weights="", cfg=str(shop.model), data=str(shop.data), hyp=str(shop.hyp), imgsz=64, batch_size=2, workers=0,
        device="cpu", multi_scale=True, cache="ram",
    )  # fmt: skip
    assert memory_probe.probe(config)["memory"] == (8 + 6) * 64 * 64 * 3
    assert memory_probe.probe(dataclasses.replace(config, noval=True))["memory"] == 8 * 64 * 64 * 3
    assert shapes == [(2, 3, 96, 96)] * 2


@pytest.mark.slow
def test_without_the_compiler_too(shop: Workshop) -> None:
    config = TrainConfig(
        weights="", cfg=str(shop.model), data=str(shop.data), hyp=str(shop.hyp), imgsz=64, batch_size=2, compile="off",
        workers=0, device="cpu",
    )  # fmt: skip
    found = measure_in_child(config)
    assert (found.size, found.images, found.device) == (2, 8, "cpu") and 10**8 < found.memory < 4 * 10**9

"""A detector on a GPU finds what it finds on the processor. The GPU is the host's module (csrc/cuda/host)."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from tests.device import as_gpu  # noqa: F401  (a fixture)
from tests.inference.samples import make_weights, noise
from yolo import cuda, export, runtime
from yolo.errors import ConfigError, RuntimeSetupError
from yolo.inference.compile import is_compiled
from yolo.inference.detector import Detector
from yolo.inference.models import ModelOptions, load_models
from yolo.inference.results import Result
from yolo.models.spec import NetworkSpec
from yolo.models.weights.load import load_weights
from yolo.program.compiled import CompiledNetwork
from yolo.program.file import load_program

SIZES = [(48, 64), (64, 40), (48, 64), (20, 20)]
OPTIONS = {"imgsz": 64, "conf": 0.3, "max_det": 20}


@pytest.fixture(autouse=True)
def gpu(as_gpu: ModuleType) -> ModuleType:  # noqa: F811
    return as_gpu


def network_of(weights: Path) -> tuple[NetworkSpec, dict[str, np.ndarray]]:
    checkpoint = load_weights(weights)
    return checkpoint.spec, checkpoint.model


def look(weights: object, device: str, **options: object) -> list[Result]:
    found = Detector(weights, device=device, **OPTIONS | options)([noise(size, 3) for size in SIZES])
    assert all(0 < len(result) <= 20 for result in found)
    assert all(result.speed_ms["inference"] > 0 and result.speed_ms["nms"] > 0 for result in found)
    return found


def close(found: list[Result], expected: list[Result], pixels: float, score: float) -> None:
    """Row by row, in order of scores; rows of about one score may have changed places."""
    for ours, theirs in zip(found, expected, strict=True):
        sure = theirs.rows[theirs.boxes.conf > OPTIONS["conf"] + score][:15]
        assert len(sure)
        for row in sure:
            distance = np.abs(ours.boxes.xyxy - row[:4]).max(axis=1) + 1e6 * (ours.boxes.cls != row[5])
            assert distance.min() <= pixels and abs(ours.boxes.conf[distance.argmin()] - row[4]) <= score


@pytest.fixture
def program(weights: Path, tmp_path: Path) -> Path:
    copy = shutil.copy(weights, tmp_path)
    assert export.main(["--weights", str(copy), "--imgsz", "64"]) == 0
    return Path(copy).with_suffix(".program")


def test_it_finds_the_same(weights: Path) -> None:
    expected = look(weights, "cpu")
    close(look(weights, "cuda:0"), expected, 1e-2, 1e-4)
    close(look(weights, "0"), expected, 1e-2, 1e-4)
    close(look(weights, ""), expected, 1e-2, 1e-4)
    assert runtime.select_device("") == "cuda:0" and runtime.select_device("", compile="off") == "cpu"


def apart(weights: Path, images: np.ndarray) -> float:
    """How far float16's raw heads on the GPU are from the processor's, by these. (Of a network that was not trained the
    suppression of boxes hangs on roundings.)"""
    short, full = (
        Detector(weights, **options, **OPTIONS) for options in ({"device": "0", "half": True}, {"device": "cpu"})
    )
    assert look(weights, "cuda:0", half=True)
    found, expected = (detector.models[0].heads()(images) for detector in (short, full))
    return max(
        float(np.abs(ours - head).max() / np.abs(head).max()) for ours, head in zip(found, expected, strict=True)
    )


def test_half_is_float16(weights: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64), np.uint8)
    assert 1e-6 < apart(weights, images) <= 2e-3


def test_augmentation_and_ensembles(weights: Path, tmp_path: Path) -> None:
    two = [weights, make_weights(tmp_path / "other.safetensors", seed=1)]
    close(look(two, "cuda:0", augment=True), look(two, "cpu", augment=True), 1e-2, 1e-4)


def test_a_compiled_detectors_file(program: Path) -> None:
    expected = look(program, "cpu")
    close(look(program, "cuda:0"), expected, 1e-2, 1e-4)
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64), np.uint8)
    assert 1e-6 < apart(program, images) <= 2e-3
    with pytest.raises(ConfigError, match="has its precision"):
        Detector(program, device="cpu", half=True)


def test_a_file_in_int8_is_for_the_processor(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short = dataclasses.replace(load_program(program), precision="int8")
    monkeypatch.setattr("yolo.inference.models.load_program", lambda path: short)
    with pytest.raises(ConfigError, match=r"small\.program: int8 programs are compiled for the CPU.*--device cpu"):
        Detector(program, device="cuda:0")
    made = "yolo.inference.models.program_model"
    monkeypatch.setattr(made, lambda where, file, **how: SimpleNamespace(names=file.names, where=where, **how))
    (model,) = load_models([program], ModelOptions())  # nobody asked for a GPU
    assert (model.device, model.precision) == ("cpu", "int8")


@pytest.mark.parametrize("augment", [False, True])
def test_a_gpu_in_a_forks_child_is_one_line(
    program: Path, gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, augment: bool
) -> None:
    """By the number of the process: the host's module would work there."""
    ours, theirs = (Detector(program, device=device, augment=augment, **OPTIONS) for device in ("cuda:0", "cpu"))
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert theirs(noise((64, 64))).input_size == (64, 64)
    with pytest.raises(RuntimeSetupError, match="cuda:0: a GPU's programs do not run in a fork's child; start proc"):
        ours(noise((64, 64)))


def test_what_a_gpu_cannot_do_names_the_processor(weights: Path, gpu: ModuleType) -> None:
    with pytest.raises(RuntimeSetupError, match="--device 0: no CUDA GPU is visible to OneFlow: --compile off is for"):
        Detector(weights, device="0", compile="off")
    with pytest.raises(ConfigError, match=r"--int8: int8 programs are .* not for CUDA devices; .* or use --device cpu"):
        is_compiled("cuda:0", "program", "int8")


def test_exact_is_for_the_processor(weights: Path, program: Path) -> None:
    for file in (weights, program):
        with pytest.raises(
            ConfigError, match=r"--exact: a GPU's convolutions are .*; leave it out, or use --device cpu"
        ):
            Detector(file, device="cuda:0", exact=True)


def test_one_gpu_a_process(weights: Path, gpu: ModuleType) -> None:
    look(weights, "cuda:0")
    with pytest.raises(RuntimeSetupError, match="cuda:1: this process works on another device already; start another"):
        Detector(weights, device="cuda:1")
    with pytest.raises(RuntimeSetupError, match="--device 2: there is no device 2; use --device cpu"):
        Detector(weights, device="2")


def test_too_little_memory_is_one_line(weights: Path, gpu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "memory", lambda: (1000, 10**9))
    with pytest.raises(MemoryError, match=r"images of 48x64 need .* GB of memory, 0\.0 GB are free"):
        look(weights, "cuda:0")


def test_memory_that_programs_share_is_counted_once(
    weights: Path, gpu: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second shape needs more than is left free, and has what the first one took."""
    detector = Detector(weights, device="cuda:0", **OPTIONS)
    detector(noise((64, 64)))
    needed = CompiledNetwork.of(*network_of(weights), device="cuda:0").plan((1, 3, 48, 64)).arena
    monkeypatch.setattr(gpu, "memory", lambda: (needed - 1, 10**9))
    assert detector(noise((48, 64))).input_size == (48, 64)
    with pytest.raises(MemoryError, match="images of 64x64 need"):
        detector([noise((64, 64), seed) for seed in range(4)])


def test_the_hosts_memory_is_not_asked_for_what_the_gpu_holds(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yolo.program.footprint.free_memory", lambda **_: 3 * 64 * 64)
    assert Detector(weights, device="cuda:0", **OPTIONS)(noise((64, 64))).input_size == (64, 64)
    with pytest.raises(ConfigError, match="--imgsz 64: an image of 64 x 64 pixels takes at least"):
        Detector(weights, device="cpu", **OPTIONS)(noise((64, 64)))


def test_without_cudnn_it_says_what_to_install(weights: Path, gpu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "convolutions_unavailable", lambda: "cuDNN 9 is not there: libcudnn.so.9")
    with pytest.raises(RuntimeSetupError, match=r"cuda:0: cuDNN 9 is not there.*; pip install nvidia-cudnn-cu13"):
        Detector(weights, device="cuda:0")


def test_an_old_gpu_has_no_bfloat16(gpu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    from yolo.program.target import unsupported

    monkeypatch.setattr(gpu, "capability", lambda index: (7, 5))
    assert unsupported("cuda:0", "fp16") is None
    assert unsupported("cuda:0", "bf16") == "this GPU computes no bfloat16 (compute capability 8.0 does)"
    assert unsupported("cuda:0", "int8") == "int8 programs are compiled for the CPU, not for CUDA devices"


def test_where_programs_are_not_built(weights: Path, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "module", lambda: None)
    assert runtime.select_device("") == "cpu" and runtime.program_device("") == "cpu"
    with pytest.raises(RuntimeSetupError, match="--device 0: programs for GPUs are not built here: make cuda builds"):
        Detector(program, device="0")

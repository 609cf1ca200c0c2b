"""Training and validation on a GPU go as on the processor. The GPU is the host's module (csrc/cuda/host)."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from graphs.train_state import TrainState
from tests.device import as_gpu  # noqa: F401  (a fixture)
from tests.launched import launch
from tests.train import on_host_devices
from tests.train.samples import Done, Workshop, run
from tests.train.stopped import differences, interrupt
from yolo import train, val
from yolo.data.batch import Batch
from yolo.engine.train_step import TrainStep
from yolo.models.weights.load import load_weights
from yolo.plots.results import read_results


@pytest.fixture(autouse=True)
def gpu(as_gpu: ModuleType) -> ModuleType:  # noqa: F811
    return as_gpu


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.make(tmp_path_factory.mktemp("train"))


def weights_of(done: Done, name: str = "last") -> dict[str, np.ndarray]:
    assert done.code == 0, done.err
    return load_weights(done.folder / "weights" / f"{name}.safetensors").model


def apart(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    """The norm of the difference by that of the weights."""
    moved = [(found[name].astype(float), expected[name].astype(float)) for name in expected]
    return sum(np.linalg.norm(a - b) for a, b in moved) / sum(np.linalg.norm(b) for _, b in moved)


def test_it_trains_and_validates_as_on_the_processor(shop: Workshop) -> None:
    ours, theirs = (shop.train(f"on_{device}", "--noplots", device=device) for device in ("0", "cpu"))
    assert apart(weights_of(ours), weights_of(theirs)) <= 1e-4
    found, expected = (read_results(done.folder / "results.csv") for done in (ours, theirs))
    for name, values in expected.items():
        if "loss" in name:
            np.testing.assert_allclose(found[name], values, rtol=1e-3, err_msg=name)


def test_float16_with_a_loss_scale(shop: Workshop) -> None:
    short = shop.train("amp", "--noplots", "--amp", device="0")
    full = shop.train("no_amp", "--noplots", device="cpu")
    assert 1e-7 < apart(weights_of(short), weights_of(full)) <= 0.02
    held = load_weights(short.folder / "weights" / "last.safetensors").training
    assert held["loss_scale"].tolist() == [65536.0, 4.0]


@pytest.mark.parametrize("flags", [(), ("--amp", "--optimizer", "AdamW")])
def test_stopped_and_resumed_is_never_stopped(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]
) -> None:
    name = "amp" if flags else "plain"
    options = {"device": "0", "epochs": "3", "nbs": "12"}
    whole = shop.train(f"whole_{name}", "--noplots", *flags, **options)
    with monkeypatch.context() as patched:
        interrupt(patched, 4)
        half = shop.train(f"half_{name}", "--noplots", *flags, **options)
    again = run(train.main, ["--resume", str(half.folder)], half.folder)
    assert (whole.code, half.code, again.code) == (0, 130, 0), again.err
    assert differences(half.folder, whole.folder) == []


def test_frozen_layers_stay(shop: Workshop) -> None:
    ours, theirs = (
        shop.train(f"frozen_{device}", "--noplots", "--freeze", "1", "--recompute", device=device)
        for device in ("0", "cpu")
    )
    assert apart(weights_of(ours), weights_of(theirs)) <= 1e-4


@pytest.mark.slow
def test_two_gpus_train_as_one_does(shop: Workshop) -> None:
    assert shop.train("one_gpu", "--noplots", "--amp", device="0").code == 0
    options = shop.argv("two_gpus", "--noplots", "--amp", "--sync-bn", device="0,1")
    done = launch([str(Path(on_host_devices.__file__)), *options], 2)
    assert done.returncode == 0, done.stderr[-3000:]
    expected, found = (
        load_weights(shop.folder / f"runs/{name}/weights/last.safetensors") for name in ("one_gpu", "two_gpus")
    )
    assert apart(found.model, expected.model) <= 1e-3
    assert found.training["loss_scale"].tolist() == [65536.0, 4.0]
    assert done.stderr.count("the ranks' GPUs add up through the hosts' memory, which is slow: NCCL ") == 1


def test_the_val_command(shop: Workshop) -> None:
    trained = shop.train("for_val", "--noplots", device="cpu")
    words = ["--weights", str(trained.folder / "weights/best.safetensors"), "--data", str(shop.data), "--imgsz", "64"]
    words += ["--project", str(shop.folder / "val"), "--noplots", "--json", "--conf-thres", "0.01"]
    found = [json.loads(run(val.main, [*words, "--device", device], Path()).out) for device in ("0", "cpu")]
    for name in ("map50", "map50_95"):
        ours, theirs = (answer["metrics"][name] for answer in found)
        assert ours == pytest.approx(theirs, abs=2e-3), name


def test_out_of_memory_is_one_line(shop: Workshop, gpu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*_: object, **__: object) -> None:
        raise MemoryError("the GPU has not as much memory: 5 bytes asked for, 3 free of 4")

    monkeypatch.setattr(gpu, "Executor", short)
    refused = shop.train("memory", "--noplots", device="0")
    line = "not enough memory (the GPU has not as much memory: 5 bytes asked for, 3 free of 4); lower --imgsz or"
    assert refused.refusal("yolo.train").startswith(line) and not refused.folder.exists()


def test_what_a_gpu_refuses_is_one_line(shop: Workshop, gpu: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the module's own: recorded work must not wait, and an executor without a way to compute says why."""

    def refusing(*_: object, **__: object) -> None:
        gpu.Group(None, nccl="")  # NCCL is for GPUs

    monkeypatch.setattr(gpu, "TrainVectors", refusing)
    refused = shop.train("refused", "--noplots", device="0")
    assert refused.refusal("yolo.train") == "NCCL adds up what is on GPUs, and this device is the host's processor"


def test_an_overflow_of_float16_leaves_an_update_out(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first scale is too large here, as it often is: training goes on with half of it."""
    made = TrainState.__init__

    def scaled(self: TrainState, *given: object, **options: object) -> None:
        made(self, *given, **options)
        self.on_device.loss_scale = 2.0**40, 0

    monkeypatch.setattr(TrainState, "__init__", scaled)
    done = shop.train("overflow", "--noplots", "--amp", device="0")
    held = load_weights(done.folder / "weights" / "last.safetensors").training
    lines = [line for line in done.err.splitlines() if "an update is left out" in line]
    assert done.code == 0 and lines and held["loss_scale"].tolist() == [2.0 ** (40 - len(lines)), 4.0 - len(lines)]


def test_a_batch_is_on_the_device_before_its_step(shop: Workshop, gpu: ModuleType) -> None:
    taken: list[bool] = []
    run = TrainStep.backward

    def looking(self: TrainStep, batch: Batch) -> np.ndarray:
        taken.append(batch.uploaded is not None)
        return run(self, batch)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TrainStep, "backward", looking)
        assert shop.train("uploads", "--noplots", device="0").code == 0
    assert taken == [True] * 4

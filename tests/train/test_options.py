"""Options of the train command, each shown by what it changes."""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest

from tests.bfloat16 import HAS_BF16
from tests.train.samples import ONE_LEVEL, QUICK, Done, Workshop, write_yaml
from yolo.config.hyp import Hyperparameters
from yolo.data.planner import Planner
from yolo.engine.schedule import Schedule
from yolo.models.config import parse_model_config
from yolo.models.network import build_network
from yolo.models.weights.load import load_weights
from yolo.models.weights.transfer import state_to_numpy
from yolo.plots.results import read_results
from yolo.program.inference.planner import plan_inference
from yolo.program.training.program import plan_training

PROGRAM = "yolo.train"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.make(tmp_path_factory.mktemp("options"))


@pytest.fixture(scope="module")
def base(shop: Workshop) -> Done:
    return shop.train("base", "--noplots")


def weights(done: Done) -> dict[str, np.ndarray]:
    assert done.code == 0, done.err
    return load_weights(done.folder / "weights/last.safetensors").model


def progress(done: Done) -> dict[str, int]:
    assert done.code == 0, done.err
    return load_weights(done.folder / "weights/last.safetensors").meta["progress"]


def farthest(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> float:
    """The greatest difference of two states, as a share of the greatest value of its tensor."""
    assert a.keys() == b.keys()
    names = [name for name in a if not name.endswith("num_batches_tracked")]
    return max(float(np.abs(a[name] - b[name]).max() / max(np.abs(b[name]).max(), 1e-3)) for name in names)


@pytest.mark.covers("train", "batch_size", "nbs", "epochs")
def test_batches_and_how_many_make_an_update(shop: Workshop) -> None:
    done = shop.train("batches", "--noplots", "--batch", "2", nbs="100", epochs="3")
    assert "compiled the training graph for 2x3x64x64" in done.err
    schedule, pending, updates = Schedule(Hyperparameters(**QUICK), 3, 4, 2, nominal_batch=100), 0, 0
    for step in range(12):
        pending += 1
        if pending >= schedule.accumulate(step):
            pending, updates = 0, updates + 1
    found = progress(done)
    assert (found["epoch"], found["step"], found["updates"], found["pending"]) == (3, 12, updates, pending)
    assert 1 < updates < 12 and pending > 0


@pytest.mark.covers("train", "compile")
def test_plain_modules_give_nearly_the_same(shop: Workshop, base: Done) -> None:
    plain = shop.train("plain", "--noplots", compile="off")
    difference = farthest(weights(plain), weights(base))
    assert 0 < difference < 1e-3


@pytest.mark.covers("train", "amp")
def test_bfloat16(shop: Workshop, base: Done) -> None:
    """Losses are nearly those of float32, where the processor can; elsewhere one line says that it cannot."""
    done = shop.train("amp", "--noplots", "--amp")
    if not HAS_BF16:
        line = done.refusal(PROGRAM)
        assert "bfloat16" in line and "leave" in line and "--amp" in line
        return
    assert not np.array_equal(weights(done)["model.0.conv.weight"], weights(base)["model.0.conv.weight"])
    ours, theirs = (read_results(one.folder / "results.csv") for one in (done, base))
    np.testing.assert_allclose(ours["train/obj_loss"], theirs["train/obj_loss"], rtol=0.05)


@pytest.mark.covers("train", "exact")
def test_exact(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what trains and of what validates."""
    asked: set[tuple[str, bool]] = set()

    def watched(name: str, plan):
        def planned(*args, exact: bool, **options):
            asked.add((name, exact))
            return plan(*args, exact=exact, **options)

        return planned

    monkeypatch.setattr("yolo.program.gradients.plan_training", watched("train", plan_training))
    monkeypatch.setattr("yolo.program.compiled.plan_inference", watched("val", plan_inference))
    for flags in ((), ("--exact",)):
        asked.clear()
        assert shop.train("exact", "--noplots", *flags, epochs="1").code == 0
        assert asked == {("train", bool(flags)), ("val", bool(flags))}


@pytest.mark.covers("train", "device")
def test_the_device(shop: Workshop, base: Done) -> None:
    assert base.code == 0  # on cpu
    assert shop.train("gpu", device="97").refusal(PROGRAM).startswith("--device 97: ")


@pytest.mark.covers("train", "time")
@pytest.mark.parametrize("flags", [(), ("--noval",)])
def test_hours_instead_of_epochs(shop: Workshop, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]) -> None:
    """By a clock that goes a second further whenever somebody looks at it: the rates fall in the time that there is."""
    clock = itertools.count()
    monkeypatch.setattr("yolo.engine.trainer.time", SimpleNamespace(perf_counter=lambda: float(next(clock))))
    done = shop.train(f"time{len(flags)}", "--noplots", *flags, epochs="1", batch_size="8", time="0.006")
    found, table = progress(done), read_results(done.folder / "results.csv")
    assert 3 <= found["epoch"] == found["epochs"] == len(table["epoch"]) <= 8 and found["seconds"] <= 21.6
    assert 21.6 - found["seconds"] < 2 * found["seconds"] / found["epoch"]
    last, warmth = found["epoch"] - 1, (found["step"] - 1) / 100
    share = 1 - last / (last + 1)
    # The last epoch is that of a run of so many epochs, if its length was known before it began.
    expected = QUICK["lr0"] * warmth * (QUICK["lrf"] + (1 - QUICK["lrf"]) * share)
    assert table["x/lr1"][-1] == pytest.approx(expected, rel=0.2)
    assert np.isfinite(table["metrics/mAP_0.5"][-1]) and (done.folder / "weights/best.safetensors").is_file()


@pytest.mark.covers("train", "close_mosaic")
def test_the_last_epochs_have_no_mosaic(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    tiles: dict[int, set[int]] = {}
    plan = Planner.plan

    def noting(self: Planner, epoch: int, i: int, size=None, **others):
        made = plan(self, epoch, i, size, **others)
        if self.hyp is not None:
            tiles.setdefault(epoch, set()).add(len(made.views[0].tiles))
        return made

    monkeypatch.setattr(Planner, "plan", noting)
    hyp = write_yaml(shop.folder / "mosaic.yaml", {**QUICK, "mosaic": 1.0})
    done = shop.train("closed", "--noplots", hyp=str(hyp), epochs="4", close_mosaic="2")
    assert done.code == 0, done.err
    assert tiles == {0: {4}, 1: {4}, 2: {1}, 3: {1}}


def initial(shop: Workshop) -> dict[str, np.ndarray]:
    return state_to_numpy(build_network(parse_model_config(ONE_LEVEL, name="one level"), rng=0))


@pytest.mark.covers("train", "freeze")
@pytest.mark.parametrize(
    ("freeze", "layers", "modes"), [(("2",), {0, 1}, ("program",)), (("1", "2"), {1, 2}, ("program", "off"))]
)
def test_frozen_layers(shop: Workshop, freeze: tuple[str, ...], layers: set[int], modes: tuple[str, ...]) -> None:
    """They keep every bit in spite of decay and momentum; their statistics go on, as in YOLOv5; compiled and plain."""
    begin, found = initial(shop), []
    for compile in modes:
        name = f"freeze{'_'.join(freeze)}{compile}"
        optimizer = "AdamW" if len(freeze) > 1 else "SGD"
        done = shop.train(name, "--noplots", "--freeze", *freeze, compile=compile, optimizer=optimizer, epochs="3")
        assert done.code == 0, done.err
        file = load_weights(done.folder / "weights/last.safetensors")
        trained = {key.removeprefix("weights/"): v for key, v in file.training.items() if key.startswith("weights/")}
        for state in (trained, file.model):
            for key, values in begin.items():
                if key.endswith(("num_batches_tracked", "anchors")):
                    continue
                still = int(key.split(".")[1]) in layers and not key.endswith(("running_mean", "running_var"))
                assert np.array_equal(state[key], values) == still, key
        assert (
            file.training["first"].size
            == file.training["gradient"].size
            == sum(
                values.size
                for key, values in begin.items()
                if int(key.split(".")[1]) not in layers and key.endswith(("weight", "bias"))
            )
        )
        found.append(trained)
    assert farthest(found[0], found[-1]) < 1e-3


def test_what_cannot_be_frozen(shop: Workshop) -> None:
    for freeze, line in (
        (("4",), "--freeze 4: no layer is left to train; freeze fewer"),
        (("5",), "--freeze 5: the network has 4 layers, 0 to 3; freeze fewer"),
        (("0", "4"), "--freeze 0 4: the network has 4 layers, 0 to 3; freeze fewer"),
        (("-1",), "--freeze: is -1; give at least 0"),
    ):
        assert shop.train("frozen", "--freeze", *freeze).refusal(PROGRAM) == line


@pytest.mark.covers("train", "sync_bn")
def test_norms_over_processes_need_processes(shop: Workshop) -> None:
    line = shop.train("sync", "--sync-bn").refusal(PROGRAM)
    assert line.startswith("--sync-bn: SyncBatchNorm needs several processes, and this run is a single one; leave it")


@pytest.mark.covers("train", "local_rank")
def test_a_launchers_number(shop: Workshop, base: Done) -> None:
    done = shop.train("rank0", "--noplots", "--local_rank", "0")
    ours, theirs = weights(done), weights(base)
    assert all(np.array_equal(values, theirs[name]) for name, values in ours.items())
    line = shop.train("rank1", "--local_rank", "1").refusal(PROGRAM)
    assert line.startswith("--local_rank 1: this run is a single process, and its number can only be 0; start one")


@pytest.mark.covers("train", "weights", "cfg", "json")
def test_weights_decide_the_model_when_no_file_does(shop: Workshop, base: Done) -> None:
    file = base.folder / "weights/best.safetensors"
    done = shop.train("again", "--noplots", "--json", weights=str(file), cfg="", epochs="1")
    assert f"transferred 21 of 21 tensors from {file}" in done.err
    assert json.loads(done.out)["epochs"] == 1
    assert load_weights(file).config == load_weights(done.folder / "weights/best.safetensors").config

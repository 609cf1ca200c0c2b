"""The search: with trainings that are formulas, with trainings that fail, and once through the command."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.train.samples import QUICK, Done, Workshop, run, write_yaml
from yolo import train
from yolo.config.commands import TrainConfig
from yolo.config.hyp import load_hyperparameters, recipe
from yolo.engine.child import start_child, stop_child
from yolo.engine.evolution import search as module
from yolo.engine.evolution.generation import GenerationError, TrainingProcess
from yolo.engine.evolution.search import evolve, resumed_search, starting_values
from yolo.engine.evolution.table import METRICS, EvolutionTable
from yolo.errors import ConfigError

NAMES = list(recipe(load_hyperparameters("hyp.scratch-low")))


class Formula:
    """A training whose fitness is a formula; it takes so many polls, and counts those that are at work."""

    at_work = most = 0

    def __init__(self, values: Mapping[str, float], polls: int = 0) -> None:
        self.values, self.polls, self.stopped = dict(values), polls, False
        Formula.at_work += 1
        Formula.most = max(Formula.most, Formula.at_work)

    def poll(self) -> tuple[float, ...] | None:
        self.polls -= 1
        if self.polls >= 0:
            return None
        score = float(np.exp(-abs(self.values["lr0"] - 0.03) / 0.03 - abs(self.values["translate"] - 0.5)))
        return (0.5, 0.5, score, score, 0.1, 0.2, 0.3)

    def stop(self) -> None:
        assert not self.stopped
        Formula.at_work -= 1
        self.stopped = True


class Failing(Formula):
    def __init__(self, values: Mapping[str, float], diverged: bool = True) -> None:
        super().__init__(values)
        self.diverged = diverged

    def poll(self) -> tuple[float, ...] | None:
        error = GenerationError("the loss is nan")
        error.diverged = self.diverged
        raise error


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause between polls, and an empty file for the plot, which takes seconds to draw."""
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr("yolo.plots.evolution.plot_evolution", lambda table, path: path.touch())
    Formula.at_work = Formula.most = 0


def config(folder: Path, **instead) -> TrainConfig:
    return TrainConfig(**{"project": str(folder), "exist_ok": True, "json": True, **instead})


def table(folder: Path) -> EvolutionTable:
    return EvolutionTable(folder / "exp/evolve.csv", NAMES)


def launch(number, slot, values) -> Formula:
    return Formula(values)


def test_the_search_climbs(tmp_path: Path) -> None:
    found = evolve(config(tmp_path, evolve=60), launch)
    fitness = table(tmp_path).fitness()
    assert len(fitness) == 60 == found["generations"] and Formula.at_work == 0
    assert max(fitness) > 1.5 * fitness[0] and found["fitness"] == max(fitness) == fitness[found["best_generation"]]
    assert table(tmp_path).values(0) == starting_values(config(tmp_path))


def test_what_it_writes(tmp_path: Path) -> None:
    folders = []
    found = evolve(config(tmp_path, evolve=7), launch, [lambda folder: folders.append(sorted(os.listdir(folder)))])
    assert folders == [["evolve.csv", "hyp_evolve.yaml", "opt.yaml"]] * 7
    folder = tmp_path / "exp"
    lines = (folder / "evolve.csv").read_text().splitlines()
    assert [name.strip() for name in lines[0].split(",")] == [*METRICS, *NAMES] and len(lines) == 8
    assert METRICS[:4] == ("metrics/precision", "metrics/recall", "metrics/mAP_0.5", "metrics/mAP_0.5:0.95")
    assert {len(line) for line in lines} == {21 * len(lines[0].split(",")) - 1}
    text = (folder / "hyp_evolve.yaml").read_text()
    assert f"# Best generation: {found['best_generation']}\n# Last generation: 6\n" in text
    best = recipe(load_hyperparameters(folder / "hyp_evolve.yaml"))
    assert best == found["hyp"] == table(tmp_path).values(found["best_generation"])
    assert yaml.safe_load((folder / "opt.yaml").read_text())["evolve"] == 7
    assert sorted(os.listdir(folder)) == ["evolve.csv", "evolve.png", "hyp_evolve.yaml", "opt.yaml"]


def test_without_plots_it_draws_nothing(tmp_path: Path) -> None:
    evolve(config(tmp_path, evolve=2, noplots=True), launch)
    assert sorted(os.listdir(tmp_path / "exp")) == ["evolve.csv", "hyp_evolve.yaml", "opt.yaml"]


def test_a_stopped_search_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    evolve(config(tmp_path / "whole", evolve=12), launch)

    def interrupted(number, slot, values):
        if number == 5:
            raise KeyboardInterrupt
        return Formula(values)

    with pytest.raises(KeyboardInterrupt):
        evolve(config(tmp_path / "parts", evolve=12), interrupted)
    file = tmp_path / "parts/exp/evolve.csv"
    assert len(table(tmp_path / "parts")) == 5 and (file.parent / "evolve.png").exists() and Formula.at_work == 0
    with open(file, "a") as stream:
        stream.write("     0.5, 0.5,")  # what a kill in the middle of a line leaves
    evolve(config(tmp_path / "parts", evolve=12), launch)
    assert file.read_text() == (tmp_path / "whole/exp/evolve.csv").read_text()
    done = evolve(config(tmp_path / "parts", evolve=12), lambda *_: pytest.fail("there is nothing left to train"))
    assert done["generations"] == 12


def test_trainings_side_by_side(tmp_path: Path) -> None:
    slots = []

    def launch_slow(number, slot, values):
        slots.append(slot)
        return Formula(values, polls=3 - slot)

    evolve(config(tmp_path, evolve=10, parallel=3), launch_slow)
    assert len(table(tmp_path)) == 10 and Formula.most == 3 and set(slots) == {0, 1, 2} and len(slots) == 10
    assert len({tuple(row.items()) for row in table(tmp_path).rows}) == 10


def test_what_runs_is_stopped_when_the_search_is(tmp_path: Path) -> None:
    def third(number, slot, values):
        if number == 2:
            raise KeyboardInterrupt
        return Formula(values, polls=10**9)

    with pytest.raises(KeyboardInterrupt):
        evolve(config(tmp_path, evolve=9, parallel=3), third)
    assert Formula.most == 2 and Formula.at_work == 0 and not (tmp_path / "exp").exists()


def test_a_training_without_a_result_counts_as_one_without_fitness(tmp_path: Path) -> None:
    evolve(config(tmp_path, evolve=6), lambda number, slot, values: (Failing if number in (2, 3) else Formula)(values))
    fitness = table(tmp_path).fitness()
    assert [score == 0 for score in fitness] == [False, False, True, True, False, False]
    assert all(np.isnan(table(tmp_path).rows[2][name]) for name in METRICS[4:])


@pytest.mark.parametrize(("first", "diverged"), [(0, True), (1, False), (1, True)])
def test_trainings_that_cannot_succeed_end_the_search(tmp_path: Path, first: int, diverged: bool) -> None:
    """The first of all; one that did not say why; three in a row."""

    def failing(number, slot, values):
        return Failing(values, diverged) if number >= first else Formula(values)

    with pytest.raises(GenerationError, match="the loss is nan"):
        evolve(config(tmp_path, evolve=9), failing)
    assert Formula.at_work == 0
    assert (len(table(tmp_path)) if first else not (tmp_path / "exp").exists()) == (3 if diverged and first else 1)


def test_two_searches_do_not_share_a_folder(tmp_path: Path) -> None:
    def second(number, slot, values):
        with pytest.raises(ConfigError, match="another search is at work here; use --parallel"):
            evolve(config(tmp_path, evolve=2), launch)
        return Formula(values)

    assert evolve(config(tmp_path, evolve=2), second)["generations"] == 2


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "\xff\n", ",".join([*METRICS, *NAMES]) + "\n1,2\n", "x" * 99])
def test_a_foreign_table(tmp_path: Path, text: str) -> None:
    file = tmp_path / "exp/evolve.csv"
    file.parent.mkdir()
    file.write_bytes(text.encode("latin-1"))
    if "\n" not in text:  # no whole line: nothing that could be lost
        assert evolve(config(tmp_path, evolve=1), launch)["generations"] == 1
        return
    with pytest.raises(ConfigError, match=r"evolve\.csv: "):
        evolve(config(tmp_path, evolve=1), launch)
    assert file.read_bytes() == text.encode("latin-1")


def test_anchors_are_searched_only_where_the_recipe_sets_them(tmp_path: Path) -> None:
    assert "anchors" not in starting_values(TrainConfig())
    voc = TrainConfig(hyp="hyp.VOC")
    assert starting_values(voc)["anchors"] == 3.412
    assert "anchors" not in starting_values(dataclasses.replace(voc, noautoanchor=True))


def test_a_child_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys, time; from yolo.engine.child import start_child;"
        "child = start_child('http.server', ['--help'] if len(sys.argv) > 1 else ['0', '--bind', '127.0.0.1']);"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(200):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] in "ZX":
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("the child lives on")


def test_a_stopped_child_is_gone() -> None:
    child = start_child("http.server", ["0", "--bind", "127.0.0.1"])
    stop_child(child)
    assert child.returncode is not None and child.returncode != 0
    stop_child(child)


@pytest.fixture
def shop_bucket(tmp_path: Path) -> Path:
    pytest.importorskip("fsspec")
    return tmp_path / "bucket"


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workshop, Done]:
    shop = Workshop.make(tmp_path_factory.mktemp("evolve"))
    write_yaml(shop.hyp, {**QUICK, "obj": 4.0, "cls": 4.0, "translate": 0.1})
    return shop, shop.train("search", "--json", "--evolve", "2", "--parallel", "2", epochs="1")


def test_going_on_by_name_or_with_the_newest(tmp_path: Path) -> None:
    for name in ("one", "two"):
        evolve(config(tmp_path, evolve=2, name=name), launch)
    os.utime(tmp_path / "one/evolve.csv", (0, 0))
    found = evolve(config(tmp_path, evolve=4, resume="newest"), launch)
    assert (found["generations"], found["save_dir"]) == (4, str(tmp_path / "two"))
    assert yaml.safe_load((tmp_path / "two/opt.yaml").read_text())["evolve"] == 4
    assert evolve(config(tmp_path, evolve=3, resume=str(tmp_path / "one")), launch)["save_dir"] == str(tmp_path / "one")
    for resume, where in (("newest", tmp_path / "none"), (str(tmp_path / "none"), tmp_path)):
        with pytest.raises(ConfigError, match=r"--resume.*: (no search in|is not a search folder)"):
            evolve(config(where, evolve=3, resume=resume), launch)


@pytest.mark.covers("train", "evolve", "parallel")
def test_the_command(searched: tuple[Workshop, Done]) -> None:
    shop, done = searched
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert (found["generations"], found["save_dir"]) == (2, str(done.folder))
    assert sorted(os.listdir(done.folder)) == ["evolve.csv", "evolve.png", "hyp_evolve.yaml", "opt.yaml"]
    names = list(recipe(load_hyperparameters(shop.hyp)))
    found = EvolutionTable(done.folder / "evolve.csv", names)
    assert all(np.isfinite(list(row.values())).all() and row["val/box_loss"] > 0 for row in found.rows)
    start = recipe(load_hyperparameters(shop.hyp))
    assert sorted(found.values(number) == start for number in (0, 1)) == [False, True]
    assert "generation 1 (2 of 2): fitness " in done.err


def test_resume_goes_on_with_a_search(searched: tuple[Workshop, Done]) -> None:
    """With its own options; here there is nothing left to do."""
    _, done = searched
    again = run(train.main, ["--resume", str(done.folder), "--json"], done.folder)
    assert again.code == 0, again.err
    assert json.loads(again.out) == json.loads(done.out) and "2 generations are there already" in again.err


def test_a_search_goes_on_with_its_own_options(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    evolve(config(tmp_path, evolve=2, data="mine.yaml", epochs=7), launch)
    asked = TrainConfig(resume=str(tmp_path / "exp"), evolve=3, parallel=2, imgsz=320, json=True)
    going_on = resumed_search(asked)
    own = dataclasses.asdict(config(tmp_path, evolve=3, data="mine.yaml", epochs=7, parallel=2))
    assert dataclasses.asdict(going_on) == {**own, "resume": str(tmp_path / "exp")}
    assert "ignored: --imgsz 320 (it is 640)" in caplog.text
    evolve(going_on, launch)
    assert yaml.safe_load((tmp_path / "exp/opt.yaml").read_text())["data"] == "mine.yaml"


def test_a_training_s_folder_is_no_search_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "opt.yaml").write_text("epochs: 3\n")
    for take in (resumed_search, lambda asked: evolve(asked, launch)):
        with pytest.raises(ConfigError, match="is not a search folder"):
            take(config(tmp_path, evolve=2, resume=str(tmp_path)))
    assert os.listdir(tmp_path) == ["opt.yaml"]


def test_a_search_that_is_refused_keeps_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "exp").mkdir()
    (tmp_path / "exp/opt.yaml").write_text("evolve: 3\n")
    with pytest.raises(GenerationError):
        evolve(config(tmp_path, evolve=3), lambda number, slot, values: Failing(values))
    assert (tmp_path / "exp/opt.yaml").exists()


@pytest.mark.parametrize(("code", "diverged", "says"), [(2, False, "it"), (3, True, "it"), (1, False, "the training")])
def test_only_what_diverged_is_the_hyperparameters_fault(tmp_path: Path, code: int, diverged: bool, says: str) -> None:
    training = TrainingProcess.__new__(TrainingProcess)
    training.folder = tmp_path
    (tmp_path / "log.txt").write_text("yolo.train: it says why\n")
    error = training._failure(code)
    assert error.diverged is diverged and str(error).startswith(says) and str(error).endswith("it says why")


def test_a_bucket_gets_the_record(shop_bucket: Path, searched: tuple[Workshop, Done]) -> None:
    shop, done = searched
    options = ["--resume", str(done.folder), "--evolve", "3", "--bucket", f"file://{shop_bucket}"]
    values = {**shop.options(), "--epochs": "1"}
    again = run(train.main, [*(word for pair in values.items() for word in pair), *options], done.folder)
    assert again.code == 0, again.err
    for name in ("evolve.csv", "hyp_evolve.yaml"):
        assert (shop_bucket / "search" / name).read_bytes() == (done.folder / name).read_bytes()


def test_a_mistake_is_one_line_as_in_a_training(searched: tuple[Workshop, Done]) -> None:
    shop, _ = searched
    done = shop.train("diverged", "--evolve", data="absent.yaml")
    assert done.refusal("yolo.train").startswith("absent.yaml: no such data set file")
    assert not done.folder.exists()
    assert run(train.main, ["--evolve", "-1"], shop.folder).refusal("yolo.train") == "--evolve: is -1; give at least 0"

"""Ranks with another code, other options, recipe, data or weights: each is named, by all of them."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.distributed.rendezvous.meetings import meet, together
from tests.launched import ROOT, free_port
from tests.train.samples import QUICK, Workshop, write_yaml
from yolo.config.commands import TrainConfig, ValConfig
from yolo.distributed.process_group import ProcessGroup, RankedGroup
from yolo.distributed.run_fingerprint import OWN, PACKAGES, READ, files_digest, package_digest, run_fingerprint
from yolo.errors import ConfigError


def test_a_digest_sees_every_file_and_its_name_and_not_where_it_lies(tmp_path: Path) -> None:
    for place in ("here/p", "there/p"):
        (tmp_path / place / "deep").mkdir(parents=True)
        (tmp_path / place / "deep/a.py").write_text("1")
        (tmp_path / place / "a.txt").write_text(place)
    here, there = tmp_path / "here/p", tmp_path / "there/p"
    first = package_digest(here)
    assert package_digest(there) == first and files_digest([here / "deep/a.py"]) == files_digest([there / "deep/a.py"])
    (there / "deep/a.py").write_text("2")
    assert package_digest(there) != first and files_digest([here / "deep/a.py"]) != files_digest([there / "deep/a.py"])
    (there / "deep/a.py").write_text("1")
    (there / "deep/a.py").rename(there / "deep/b.py")
    assert package_digest(there) != first
    assert all((package / "__init__.py").is_file() or list(package.glob("*.py")) for package in PACKAGES)


def test_the_options_that_need_not_agree_are_options() -> None:
    names = {field.name for field in dataclasses.fields(TrainConfig)}
    assert names >= OWN | READ
    same = run_fingerprint(TrainConfig(device="cpu", project="there", data="b.yaml", resume="a"))
    assert same == run_fingerprint(TrainConfig(data="a.yaml", resume="/b/a", workers=0))
    assert same != run_fingerprint(TrainConfig()) and {"--sync-bn", "--loader", "code version"} <= set(same)
    assert run_fingerprint(ValConfig(half=True)) != run_fingerprint(ValConfig())


def agree(*facts: dict[str, str]) -> list[str]:
    """What each rank, a thread, raises for its facts; nothing for one that goes on."""
    meetings = meet(len(facts))
    groups = together([lambda m=m: RankedGroup(m) for m in meetings])

    def one(group: ProcessGroup, own: dict[str, str]) -> str:
        try:
            with group.consistent() as common:
                common |= own
        except ConfigError as error:
            assert error.everywhere
            return str(error)
        finally:
            group.leave()
        return ""

    return together([lambda pair=pair: one(*pair) for pair in zip(groups, facts)])


def test_all_ranks_name_the_one_that_differs_and_in_what() -> None:
    first = run_fingerprint(TrainConfig(epochs=2))
    assert agree(first, first, first) == [""] * 3
    hint = "give all ranks the same code, data and options"
    other = run_fingerprint(TrainConfig(epochs=3))
    assert agree(first, first, other) == [f"rank 2 has another --epochs than rank 0: 3, not 2; {hint}"] * 3
    older = {**first, "code version": "0.0.1 abc"}
    line = f"rank 1 has another code version than rank 0: 0.0.1 abc, not {first['code version']}; {hint}"
    assert agree(first, older) == [line] * 2


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.make(tmp_path_factory.mktemp("common"))


def run_both(commands: Sequence[Sequence[str]], paths: Sequence[str]) -> list[tuple[int, str]]:
    """Exit code and stderr of two ranks with their own words and places of the code."""
    port, processes = str(free_port()), []
    for rank, (words, path) in enumerate(zip(commands, paths)):
        told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "RANK": str(rank)}
        told |= {"LOCAL_RANK": str(rank), "PYTHONPATH": path}
        command = [sys.executable, "-P", *words] if sys.version_info >= (3, 11) else [sys.executable, *words]
        place = path.split(":")[0]  # Python looks there first
        processes.append(
            subprocess.Popen(command, env={**os.environ, **told}, stderr=subprocess.PIPE, text=True, cwd=place)
        )
    try:
        return [(process.returncode, text) for process in processes for text in [process.communicate(timeout=120)[1]]]
    finally:
        for process in processes:
            process.kill()


def another_code(shop: Workshop) -> str:
    place = shop.folder / "code"
    if not place.exists():
        shutil.copytree(ROOT / "yolo", place / "yolo", ignore=shutil.ignore_patterns("__pycache__"))
        with open(place / "yolo/loss/reference.py", "a") as stream:
            stream.write("# of yesterday\n")
    return f"{place}:{ROOT}"


@pytest.mark.slow
@pytest.mark.parametrize("what", ["code version", "--label-smoothing", "hyperparameters", "training data"])
def test_a_rank_that_differs_is_named_and_nothing_is_written(shop: Workshop, tmp_path: Path, what: str) -> None:
    other, path = shop, str(ROOT)
    instead = {"project": str(tmp_path / "runs")}
    more = dict(instead)
    if what == "code version":
        path = another_code(shop)
    elif what == "--label-smoothing":
        more["label_smoothing"] = "0.1"
    elif what == "hyperparameters":
        more["hyp"] = str(write_yaml(tmp_path / "hyp.yaml", {**QUICK, "lr0": 0.03}))
    else:
        other = Workshop.make(tmp_path / "other")
        label = other.folder / "data/labels/train/000.txt"
        label.write_text(label.read_text().replace("0 ", "1 ", 1))
    words = [["-m", "yolo.train", *place.argv("run", **own)] for place, own in ((shop, instead), (other, more))]
    (first, said), (second, silent) = run_both(words, [str(ROOT), path])
    assert (first, second) == (2, 2), said + silent
    line = next(line for line in said.splitlines() if line.startswith("yolo.train: "))
    assert line.startswith(f"yolo.train: rank 1 has another {what} than rank 0: ")
    assert line.endswith("; give all ranks the same code, data and options") and "yolo.train: " not in silent
    assert not (tmp_path / "runs").exists()

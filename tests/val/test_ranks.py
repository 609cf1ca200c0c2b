"""The val command on several ranks: the very numbers of one, and the same files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.launched import launch
from tests.train.samples import Done, Workshop, run
from yolo import val

WRITTEN = ("--save-txt", "--save-conf", "--save-json", "--json", "--exist-ok")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, learnt: Done) -> Workshop:
    shop = Workshop.make(tmp_path_factory.mktemp("val_ranks"), val=11)
    shutil.copy(learnt.folder / "weights/best.safetensors", shop.folder)
    return shop


def argv(shop: Workshop, name: str) -> list[str]:
    weights = str(shop.folder / "best.safetensors")
    options = {"--data": str(shop.data), "--weights": weights, "--imgsz": "64", "--batch-size": "2", "--name": name}
    options |= {"--project": str(shop.folder / "val"), "--workers": "1", "--device": "cpu"}
    return [*(word for pair in options.items() for word in pair), *WRITTEN]


def files(folder: Path) -> dict[str, bytes]:
    kept = [path for path in sorted(folder.rglob("*")) if path.suffix in (".txt", ".json", ".jpg")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in kept}


@pytest.mark.slow
@pytest.mark.parametrize("compile, numbers", [("program", (3,)), ("off", (2,))])
def test_any_number_of_ranks_measures_the_same(shop: Workshop, compile: str, numbers: tuple[int, ...]) -> None:
    way = ("--compile", compile)
    alone = run(val.main, [*argv(shop, "one"), *way], shop.folder / "val/one")
    assert alone.code == 0, alone.err
    expected = json.loads(alone.out)
    assert expected["metrics"]["map50"] > 0.1
    for ranks in numbers:
        done = launch(["-m", "yolo.val", *argv(shop, f"of{ranks}"), *way], ranks)
        assert done.returncode == 0, done.stderr[-3000:]
        found = json.loads(done.stdout.splitlines()[-1])
        for part in ("metrics", "per_class", "coco"):
            assert found[part] == expected[part], part
        one, many = files(shop.folder / "val/one"), files(shop.folder / f"val/of{ranks}")
        # The images of other ranks' batches stay with them.
        texts = [name for name in one if not name.endswith(".jpg")]
        assert len(texts) > 3 and {name: many[name] for name in texts} == {name: one[name] for name in texts}
        assert "val_batch0_pred.jpg" in many


@pytest.mark.slow
def test_every_rank_calibrates_int8_alike(shop: Workshop) -> None:
    alone = run(val.main, [*argv(shop, "int8"), "--int8"], shop.folder / "val/int8")
    assert alone.code == 0, alone.err
    expected = json.loads(alone.out)
    done = launch(["-m", "yolo.val", *argv(shop, "int8of2"), "--int8"], 2)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.keys() == expected.keys() and found["int8"]["map50_95_int8"] > 0.05
    for part in ("metrics", "per_class", "coco", "int8"):
        assert found[part] == expected[part], part
    cost = [line for line in alone.err.splitlines() if "; int8 costs " in line]
    assert len(cost) == 1 and done.stderr.count(cost[0]) == 1
    one, two = (files(shop.folder / f"val/{folder}") for folder in ("int8", "int8of2"))
    texts = {name for name in one if not name.endswith(".jpg")}
    assert len(texts) > 3 and {name: two[name] for name in texts} == {name: one[name] for name in texts}


@pytest.mark.slow
@pytest.mark.parametrize("task", ["speed", pytest.param("study", marks=pytest.mark.stress)])
def test_what_ranks_cannot_do_is_said_once(shop: Workshop, task: str) -> None:
    done = launch(["-m", "yolo.val", *argv(shop, "no"), "--task", task], 2)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("yolo.val: ")]
    assert len(said) == 1 and said[0].startswith(f"yolo.val: --task {task}: ")

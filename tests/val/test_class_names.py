"""The val command where the weights' class names and the data set's are not in one order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.swapped import swapped
from tests.train.samples import NAMES, Done, Workshop, run, write_yaml
from tests.val.outcome import assert_alike, result
from yolo import export
from yolo.data.index import index_split
from yolo.data.load import load_dataset
from yolo.engine.int8_cost import cost_in_files
from yolo.engine.val_outputs import CocoJson
from yolo.program.file import load_program


@pytest.fixture(scope="module")
def best(trained: Done) -> Path:
    return trained.folder / "weights/best.safetensors"


def test_another_order_is_matched_by_name(measure, best: Path, tmp_path: Path) -> None:
    flags = ("--noplots", "--json", "--save-txt", "--save-conf")
    weights = swapped(best, tmp_path / "swapped.safetensors")
    done = measure(*flags, weights=str(weights), name="swapped")
    assert_alike(done, measure(*flags, name="plain"), map_within=1e-3, conf_within=1e-3)
    assert "has the classes of" in done.err and "in another order; they are matched by name" in done.err
    # The labels take part in the suppression under the data set's numbers.
    assert result(measure("--noplots", "--json", "--save-hybrid", weights=str(weights)))["metrics"]["recall"] > 0.99


def test_a_compiled_detector_in_another_order(measure, best: Path, shop: Workshop, tmp_path: Path) -> None:
    weights = swapped(best, tmp_path / "swapped.safetensors")
    assert run(export.main, ["--weights", str(weights), "--imgsz", "64"], tmp_path).code == 0
    program = weights.with_suffix(".program")
    expected = result(measure("--noplots", "--json"))["metrics"]
    assert result(measure("--noplots", "--json", weights=str(program)))["metrics"]["map50_95"] == pytest.approx(
        expected["map50_95"], abs=1e-3
    )
    # What int8 costs is measured on the same data set.
    content = load_program(program)
    found = cost_in_files(content, content, load_dataset(shop.data))
    assert found.fp32 == found.int8 == pytest.approx(expected["map50_95"], abs=0.02) and found.fp32 > 0.1


def test_other_names_are_said_and_displaced_ones_refused(measure, shop: Workshop, tmp_path: Path) -> None:
    content = yaml.safe_load(shop.data.read_text())

    def data(*names: str) -> str:
        return str(write_yaml(tmp_path / f"{names[0]}.yaml", {**content, "names": list(names)}))

    expected = result(measure("--noplots", "--json"))["metrics"]
    done = measure("--noplots", "--json", data=data("class0", "class1"))
    assert result(done)["metrics"] == expected
    assert done.err.count("2 of 2 class names differ (0 is 'red' here, 'class0' in ") == 1
    refused = measure("--noplots", data=data("green", "red")).refusal("yolo.val")
    assert "'red' is class 0 here and class 1 in " in refused
    single = measure("--noplots", "--single-cls", data=data("green", "red"))
    assert single.code == 0 and "differ" not in single.err


def test_cocos_numbers_follow_the_names(tmp_path: Path) -> None:
    """A list of COCO's 80 classes in another order, and 80 other classes in a file whose name begins alike."""
    from types import SimpleNamespace

    from tests.train.samples import make_data
    from yolo.data.dataset import preset_names

    content = yaml.safe_load(make_data(tmp_path / "data", train=1, val=1).read_text())
    coco = preset_names("coco")
    assert len(coco) == 80 and NAMES == ("red", "blue")
    for names, ids in ((coco, [1, 2]), (coco[::-1], [90, 89]), ([f"n{i}" for i in range(80)], [0, 1])):
        source = write_yaml(tmp_path / "coco_own.yaml", {**content, "names": list(names)})
        dataset = load_dataset(source)
        index = index_split(dataset, "val", use_cache=False)
        writer = CocoJson(dataset, index, "val")
        rows = np.array([(0, 0, 9, 9, 0.9, 0), (0, 0, 9, 9, 0.8, 1)], np.float32)
        writer(SimpleNamespace(paths=index.paths), [rows])
        assert [row["category_id"] for row in writer._rows] == ids
        assert rows[:, 5].tolist() == [0, 1]
        assert sorted(row["category_id"] for row in writer._truth["annotations"]) == sorted(ids)

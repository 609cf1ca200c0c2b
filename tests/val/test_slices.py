"""The val command on images whose objects are small for the network, and with slices as it knows them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.train.samples import NAMES, SIZE, Workshop, write_yaml
from tests.val.outcome import labels_in, result, table
from yolo.data.images import read_image, write_image


@pytest.fixture(scope="module")
def sheets(shop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each of the val images twice beside and twice above itself, with its labels: what was 64 pixels is now 32."""
    folder = tmp_path_factory.mktemp("sheets")
    source = shop.data.parent
    for path in sorted((source / "images/val").glob("*.png")):
        write_image(folder / "images/val" / path.name, np.tile(read_image(path), (2, 2, 1)))
        rows = np.loadtxt(source / f"labels/val/{path.stem}.txt", ndmin=2)
        corners = [[0, x, y, 0, 0] for x in (0, 1) for y in (0, 1)]
        labels = np.concatenate([(rows + corner) / [1, 2, 2, 2, 2] for corner in corners])
        (folder / "labels/val").mkdir(parents=True, exist_ok=True)
        np.savetxt(folder / f"labels/val/{path.stem}.txt", labels, fmt="%.8g")
    return write_yaml(
        folder / "sheets.yaml", {"path": str(folder), "train": "images/val", "val": "images/val", "names": list(NAMES)}
    )


@pytest.mark.covers("val", "slice", "overlap")
def test_small_objects_are_found_in_slices(measure, sheets: Path) -> None:
    whole = result(measure("--json", "--noplots", data=str(sheets)))["metrics"]
    done = measure("--json", "--noplots", data=str(sheets), slice=str(SIZE), overlap="0.25")
    sliced = result(done)["metrics"]
    assert sliced["map50"] > whole["map50"] + 0.1, (sliced, whole)
    other = result(measure("--json", "--noplots", data=str(sheets), slice=str(SIZE), overlap="0"))["metrics"]
    assert other["map50"] > whole["map50"] and other != sliced


def test_images_no_larger_than_a_slice_measure_the_same(measure) -> None:
    plain, sliced = (result(measure("--json", "--noplots", *flags)) for flags in ((), ("--slice", "640")))
    assert plain["metrics"] == sliced["metrics"] and plain["per_class"] == sliced["per_class"]


def test_all_that_is_written_is_of_the_slices_too(measure, sheets: Path) -> None:
    """Label files, COCO's JSON and the figures by its rule, and plots."""
    flags = ("--json", "--save-txt", "--save-conf", "--save-json", "--single-cls")
    done = measure(*flags, data=str(sheets), slice=str(SIZE), max_det="7", conf_thres="0.01")
    found = result(done)
    counts = [len(rows) for rows in labels_in(done).values()]
    assert max(counts) == 7 and (done.folder / "val_batch0_pred.jpg").is_file()
    (file,) = done.folder.glob("*_predictions.json")
    rows = json.loads(file.read_text())
    assert len(rows) == sum(counts) and max(row["bbox"][0] + row["bbox"][2] for row in rows) > SIZE
    assert abs(found["coco"]["map50"] - found["metrics"]["map50"]) < 0.1


def test_labels_that_count_as_found_are_merged_too(measure, sheets: Path) -> None:
    found = result(measure("--json", "--noplots", "--save-hybrid", data=str(sheets), slice=str(SIZE)))
    assert found["metrics"]["map50"] > 0.99


@pytest.mark.parametrize("task", ["speed", "study"])
def test_tasks_that_measure_again_and_again(measure, sheets: Path, task: str) -> None:
    done = measure("--noplots", "--study-sizes", "64", data=str(sheets), task=task, slice=str(SIZE))
    assert done.code == 0 and float(table(done)[1][5]) > 0


@pytest.mark.parametrize(
    ("option", "value", "line"),
    [
        ("slice", "2", "slice: is 2; give at least the network's stride, 8"),
        ("slice", "-64", "--slice: is -64; give at least 0"),
        ("overlap", "1", "--overlap: is 1.0; give between 0 and 0.9"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(measure, option: str, value: str, line: str) -> None:
    assert measure(**{option: value}).refusal("yolo.val") == line

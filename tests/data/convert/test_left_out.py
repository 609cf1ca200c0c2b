"""What the other formats leave out is counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.convert.small import BOX, converted
from tests.data.foreign import argoverse, globalwheat, shaded_image, sku110k, visdrone, write, xview
from yolo.data.convert.run import convert
from yolo.data.dataset import preset_names
from yolo.errors import DataError


def skipped(kind: str, source: Path, preset: str) -> dict[str, int]:
    (source.parent / "out").mkdir()
    return convert(kind, source, source.parent / "out", preset_names(preset)).skipped


def test_visdrone(tmp_path: Path) -> None:
    visdrone(tmp_path / "in")
    shaded_image(tmp_path / "in/VisDrone2019-DET-test-challenge/images/9.jpg")
    write(tmp_path / "in/labels/annotations/1.txt", "")
    write(tmp_path / "in/VisDrone2019-DET-train/annotations/._0001.txt", "\0")
    assert skipped("visdrone", tmp_path / "in", "VisDrone") == {
        "annotations without a folder images beside them": 1,
        "hidden files": 1,
        "image files that no annotation is used for": 1,
        "regions to be ignored": 2,
    }


def test_globalwheat_makes_no_background_of_a_form_to_fill_in(tmp_path: Path) -> None:
    globalwheat(tmp_path / "in")
    shaded_image(tmp_path / "in/test/z.png")
    write(tmp_path / "in/sample_submission.csv", "image_id,PredictionString\nz,1.0 0 0 50 50\n")
    assert skipped("globalwheat", tmp_path / "in", "GlobalWheat2020") == {
        "CSV lines without a column bbox or BoxesString": 1,
        "image files that no annotation is used for": 1,
    }


def test_sku110k(tmp_path: Path) -> None:
    sku110k(tmp_path / "in")
    write(tmp_path / "in/prices.csv", "a,b\n")
    table = tmp_path / "in/annotations/annotations_val.csv"
    table.write_text(table.read_text().replace("100,50", "inf,nan"))  # the image's own size will do
    assert skipped("sku110k", tmp_path / "in", "SKU-110K") == {"CSV files that are not read": 1}


def test_xview(tmp_path: Path) -> None:
    xview(tmp_path / "in")
    odd = {"properties": {"image_id": "7.tif", "type_id": [11], "bounds_imcoords": "1,2,3,4"}}
    write(tmp_path / "in/more.geojson", json.dumps({"features": [odd]}))
    reason = "objects of unknown type or without bounds"
    assert skipped("xview", tmp_path / "in", "xView") == {reason: 3}


def test_argoverse(tmp_path: Path) -> None:
    argoverse(tmp_path / "in")
    file = tmp_path / "in/Argoverse-HD/annotations/val.json"
    content = json.loads(file.read_text())
    strays = [{"image_id": image, "category_id": 5, "bbox": BOX} for image in (99, [1])]
    write(file, json.dumps({**content, "annotations": content["annotations"] + strays}))
    write(tmp_path / "in/readme.json", "{}")
    assert skipped("argoverse", tmp_path / "in", "Argoverse") == {
        "JSON files that are not read": 1,
        "annotations of pictures that the file does not name": 2,
        "annotations without a box or with an unknown category": 2,
    }
    write(file, json.dumps({**content, "images": content["images"] * 2}))
    with pytest.raises(DataError, match=r"val\.json: two images have one id"):
        converted("argoverse", tmp_path / "in", preset_names("Argoverse"))

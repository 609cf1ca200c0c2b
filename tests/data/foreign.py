"""Tiny data sets in other formats: three images each, and what their label files must say."""

from __future__ import annotations

import json
from pathlib import Path

from tests.data.samples import save_image

SIZE = (50, 100)
"""Height and width of every image."""


def shaded_image(path: Path, shade: int = 0) -> Path:
    return save_image(path, SIZE, (shade, 90, 200))


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def coco(root: Path) -> dict[str, str]:
    """Two splits as COCO lays them out: a box, a crowd, an outline in two parts, a box that leaves the image."""
    for number, name in enumerate(("train2017/1", "train2017/2", "val2017/3")):
        shaded_image(root / f"images/{name}.jpg", number)
    two_parts = [[10, 5, 30, 5, 30, 15], [60, 25, 80, 25, 80, 45, 60, 45]]
    annotations = [
        {"image_id": 1, "category_id": 90, "bbox": [10, 5, 20, 10], "iscrowd": 0, "segmentation": []},
        {"image_id": 1, "category_id": 7, "bbox": [0, 0, 9, 9], "iscrowd": 1, "segmentation": {"counts": [1]}},
        {"image_id": 1, "category_id": 7, "bbox": [10, 5, 70, 40], "segmentation": two_parts},
        {"image_id": 2, "category_id": 7, "bbox": [90, 40, 20, 20]},
        {"image_id": 2, "category_id": 7, "bbox": [200, 0, 5, 5]},
        {"image_id": 3, "category_id": 90, "bbox": [0, 0, 100, 50]},
    ]
    for split, numbers in (("train2017", (1, 2, 4)), ("val2017", (3,))):
        images = [{"id": n, "file_name": f"{n}.jpg", "width": 100, "height": 50} for n in numbers]
        chosen = [some for some in annotations if some["image_id"] in numbers]
        categories = [{"id": 90, "name": "toothbrush"}, {"id": 7, "name": "train"}]
        content = {"images": images, "annotations": chosen, "categories": categories}
        write(root / f"annotations/instances_{split}.json", json.dumps(content))
        write(root / f"annotations/person_keypoints_{split}.json", json.dumps(content))
    return {
        "labels/train2017/1.txt": "1 0.200000 0.200000 0.200000 0.200000\n0 0.450000 0.500000 0.700000 0.800000\n",
        "labels/train2017/2.txt": "0 0.950000 0.900000 0.100000 0.200000\n",
        "labels/val2017/3.txt": "1 0.500000 0.500000 1.000000 1.000000\n",
        "train2017.txt": "./images/train2017/1.jpg\n./images/train2017/2.jpg\n",
        "val2017.txt": "./images/val2017/3.jpg\n",
    }


def objects365(root: Path) -> dict[str, str]:
    """Images in patches, annotations above them, all 365 categories."""
    shaded_image(root / "train/patch0/objects365_v1_1.jpg")
    shaded_image(root / "val/patch3/objects365_v2_2.jpg", 9)
    categories = [{"id": number, "name": f"c{number}"} for number in range(1, 366)]
    for split, name in (
        ("train", "images/v1/patch0/objects365_v1_1.jpg"),
        ("val", "images/v2/patch3/objects365_v2_2.jpg"),
    ):
        images = [{"id": 5, "file_name": name, "width": 100, "height": 50}]
        annotations = [{"image_id": 5, "category_id": 365, "bbox": [10, 5, 20, 10], "iscrowd": 0}]
        content = {"images": images, "annotations": annotations, "categories": categories}
        write(root / f"zhiyuan_objv2_{split}.json", json.dumps(content))
    line = "364 0.200000 0.200000 0.200000 0.200000\n"
    return {"labels/train/objects365_v1_1.txt": line, "labels/val/objects365_v2_2.txt": line}


def _voc_xml(name: str, *objects: tuple[str, int, tuple[int, int, int, int]]) -> str:
    parts = [
        f"<object><name>{kind}</name><difficult>{difficult}</difficult><bndbox>"
        + "".join(f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box))
        + "</bndbox></object>"
        for kind, difficult, box in objects
    ]
    return f"<annotation><filename>{name}.jpg</filename>{''.join(parts)}</annotation>"


def voc(root: Path) -> dict[str, str]:
    """VOC2007 with its three lists; boxes count from 1 and include their last pixels."""
    base = root / "VOCdevkit/VOC2007"
    objects = {
        "000001": [("dog", 0, (11, 6, 30, 15)), ("cat", 1, (1, 1, 5, 5)), ("cat", 0, (1, 1, 100, 50))],
        "000002": [("person", 0, (51, 26, 100, 50))],
        "000003": [],
    }
    for number, (name, some) in enumerate(objects.items()):
        shaded_image(base / f"JPEGImages/{name}.jpg", number)
        write(base / f"Annotations/{name}.xml", _voc_xml(name, *some))
        write(base / f"ImageSets/Main/{('train', 'val', 'test')[number]}.txt", f"{name}\n")
        write(base / f"ImageSets/Main/dog_{('train', 'val', 'test')[number]}.txt", f"{name} -1\n")
    return {
        "labels/train2007/000001.txt": "1 0.200000 0.200000 0.200000 0.200000\n0 0.500000 0.500000 1.000000 1.000000\n",
        "labels/val2007/000002.txt": "2 0.750000 0.750000 0.500000 0.500000\n",
        "labels/test2007/000003.txt": "",
    }


def visdrone(root: Path) -> dict[str, str]:
    for split, lines in (("train", "10,5,20,10,1,4,0,0\n0,0,50,50,0,0,0,0\n5,5,5,5,1,11,0,0,\n"), ("val", "")):
        base = root / f"VisDrone2019-DET-{split}"
        shaded_image(base / "images/0001.jpg", len(split))
        write(base / "annotations/0001.txt", lines)
    return {
        "VisDrone2019-DET-train/labels/0001.txt": "3 0.200000 0.200000 0.200000 0.200000\n",
        "VisDrone2019-DET-val/labels/0001.txt": "",
    }


def globalwheat(root: Path) -> dict[str, str]:
    """Both forms of the CSV files."""
    for number, name in enumerate(("a", "b", "c")):
        shaded_image(root / f"pictures/{name}.png", number)
    rows = 'a,100,50,"[10.0, 5.0, 20.0, 10.0]",arvalis_1\na,100,50,"[50.0, 25.0, 50.0, 25.0]",arvalis_1\n'
    write(root / "train.csv", f"image_id,width,height,bbox,source\n{rows}")
    write(root / "other.csv", "image_name,BoxesString,domain\nb.png,10 5 30 15;0 0 100 50,ethz_1\nc.png,no_box,uq_1\n")
    first = "0 0.200000 0.200000 0.200000 0.200000\n"
    return {
        "labels/arvalis_1/a.txt": f"{first}0 0.750000 0.750000 0.500000 0.500000\n",
        "labels/ethz_1/b.txt": f"{first}0 0.500000 0.500000 1.000000 1.000000\n",
        "labels/uq_1/c.txt": "",
    }


def sku110k(root: Path) -> dict[str, str]:
    for split in ("train", "val", "test"):
        shaded_image(root / f"images/{split}_0.jpg", len(split))
        write(root / f"annotations/annotations_{split}.csv", f"{split}_0.jpg,10,5,30,15,object,100,50\n")
    line = "0 0.200000 0.200000 0.200000 0.200000\n"
    labels = {f"labels/{split}_0.txt": line for split in ("train", "val", "test")}
    return {**labels, **{f"{split}.txt": f"./images/{split}_0.jpg\n" for split in ("train", "val", "test")}}


def xview(root: Path) -> dict[str, str]:
    for number in (7, 8, 18):
        shaded_image(root / f"train_images/{number}.tif", number)
    objects = [("7.tif", 11, "10,5,30,15"), ("8.tif", 94, "0,0,100,50"), ("18.tif", 75, "0,0,9,9"), ("18.tif", 18, "")]
    objects.append(("18.tif", 18, "50,25,100,50"))
    features = [
        {"properties": {"image_id": image, "type_id": kind, "bounds_imcoords": box}} for image, kind, box in objects
    ]
    write(root / "xView_train.geojson", json.dumps({"features": features}))
    return {
        "labels/train_images/7.txt": "0 0.200000 0.200000 0.200000 0.200000\n",
        "labels/train_images/8.txt": "59 0.500000 0.500000 1.000000 1.000000\n",
        "labels/train_images/18.txt": "5 0.750000 0.750000 0.500000 0.500000\n",
    }


def argoverse(root: Path) -> dict[str, str]:
    for split, drive in (("train", "drive-a"), ("val", "drive-b")):
        shaded_image(root / f"Argoverse-1.1/tracking/{split}/{drive}/ring_front_center/same.jpg", len(split))
        content = {
            "seq_dirs": ["elsewhere/x/y", f"Argoverse-1.1/tracking/{split}/{drive}/ring_front_center"],
            "images": [{"id": 0, "sid": 1, "name": "same.jpg", "width": 100, "height": 50}],
            "annotations": [{"image_id": 0, "category_id": 5, "bbox": [10, 5, 20, 10]}, {"image_id": 0, "bbox": []}],
            "categories": [],
        }
        write(root / f"Argoverse-HD/annotations/{split}.json", json.dumps(content))
    line = "5 0.200000 0.200000 0.200000 0.200000\n"
    return {
        f"Argoverse-1.1/labels/{split}/drive-{letter}/ring_front_center/same.txt": line
        for split, letter in (("train", "a"), ("val", "b"))
    }


MAKERS = {maker.__name__: maker for maker in (coco, objects365, voc, visdrone, globalwheat, sku110k, xview, argoverse)}

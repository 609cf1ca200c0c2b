"""How many images a second does ``yolo.Detector`` make of a folder of JPEG files, small ones and photographs?

python -m benchmarks.folder [--beside CHECKOUT] [--json]

"ready in memory" is the network and suppression alone, on images that were read and letterboxed before: what a folder
would come to if reading cost nothing. Small: the data set's own, of about 640x480. Photographs: the same enlarged to
4000 pixels, with noise as of a sensor, so that their codes are as long as those of a camera.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np

from benchmarks.driver import Contender, Measurement, confine, measure, tell
from benchmarks.images import first_images
from benchmarks.options import base_parser, positive
from benchmarks.places import PROJECT_PYTHON, WORK, weights
from benchmarks.table import Row, as_json, as_text, make_rows
from yolo.data.images import read_image, write_image

LARGE = 4000
"""Pixels of a photograph's longer side."""
_NOISE, _QUALITY = 4.0, 90
READY = "ready in memory"
WAYS = {"stream": "stream(folder)", "list": "a list of paths", "call": "one call an image", "ready": READY}
_OTHER = ", the other"
COLUMNS = {
    "model": "model",
    "name": "contender",
    "kind": "images",
    "images_a_second": "images/s",
    "image_ms": "ms an image",
    "spread": "spread",
    "peak_rss_mb": "peak MB",
    "to_ready_ratio": "x ready",
    "to_other_ratio": "x the other's",
}


def main() -> int:
    """Measure and print; 2 where files are missing."""
    options = _parser().parse_args()
    confine(options.threads)
    try:
        found = {model: weights(model, options.weights) for model in options.models}
        folders = make_folders(first_images(options.data, options.small), options.large)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    rows = []
    for model, path in found.items():
        for kind, folder in folders.items():
            given = contenders(path, folder, options)
            rows += as_rows(model, kind, measure(given, WORK / "workers", rounds=options.rounds, warmup=1))
    about = {"size": options.size, "threads": options.threads}
    title = f"Folders of JPEG files to boxes, {options.size}, {options.threads} threads"
    print(as_json(rows, **about) if options.json else as_text(title, rows, COLUMNS))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = base_parser(__doc__, size=640, rounds=10)
    parser.add_argument("--small", type=positive, default=32, help="so many small images")
    parser.add_argument("--large", type=positive, default=8, help="so many photographs")
    parser.add_argument("--beside", default="", help="another checkout of this project, which is measured too")
    parser.set_defaults(models=["yolov5n"])
    return parser


def make_folders(paths: list[Path], large: int) -> dict[str, Path]:
    """The folders of both kinds of images, made of the small ones at ``paths``; photographs that are there stay."""
    folders = {"small": WORK / "folder-small", "photographs": WORK / f"folder-{LARGE}"}
    shutil.rmtree(folders["small"], ignore_errors=True)
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        shutil.copy(path, folders["small"])
    names = {path.name for path in paths[:large]}
    for path in folders["photographs"].iterdir():
        if path.name not in names:
            path.unlink()
    for number, path in enumerate(paths[:large]):
        to = folders["photographs"] / path.name
        if not to.exists():
            tell(f"photograph {number + 1} of {large}")
            write_image(to, photograph(read_image(path), LARGE, number), quality=_QUALITY)
    return folders


def photograph(image: np.ndarray, side: int, seed: int) -> np.ndarray:
    """``image`` enlarged until its longer side has so many pixels, with noise."""
    height, width = (round(one * side / max(image.shape[:2])) for one in image.shape[:2])
    enlarged = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(seed).normal(0, _NOISE, enlarged.shape).astype(np.float32)
    return np.clip(enlarged + noise, 0, 255).astype(np.uint8)


def contenders(path: Path, folder: Path, options: argparse.Namespace) -> list[Contender]:
    """Each way to give a folder to a detector, of this project and of the other checkout."""
    environment = {"OMP_NUM_THREADS": str(options.threads)}
    found = []
    for way, label in WAYS.items():
        for checkout in ("", options.beside) if options.beside and label != READY else ("",):
            given = {"weights": str(path), "folder": str(folder), "size": options.size, "way": way}
            module, place = "benchmarks.workers.folder", {**given, "checkout": checkout}
            name = f"{label}{_OTHER}" if checkout else label
            found.append(Contender(name, "fp32", not checkout, PROJECT_PYTHON, module, place, environment, check=False))
    return [one for one in found if not options.only or any(word in one.name for word in options.only.split(","))]


def as_rows(model: str, kind: str, found: list[Measurement]) -> list[Row]:
    """Rows with images a second; ``to_other_ratio``: to what the other checkout makes in the same way, and
    ``to_ready_ratio``: to what is made of images that are ready.
    """
    rows = make_rows(model, found)
    for row, one in zip(rows, found):
        row["kind"] = kind
        if one.ms:
            row["image_ms"] = round(one.median_ms / one.figures["images"][0], 3)
            row["images_a_second"] = f"{1000 / row['image_ms']:.1f}"
    others = {row["name"]: row["image_ms"] for row in rows if not row["ours"] and row["runs"]}
    ready = next((row["image_ms"] for row in rows if row["name"] == READY and row["runs"]), None)
    for row in rows:
        if row["runs"] and ready:
            row["to_ready_ratio"] = round(ready / row["image_ms"], 3)
        other = others.get(f"{row['name']}{_OTHER}")
        if row["runs"] and other:
            row["to_other_ratio"] = round(other / row["image_ms"], 3)
    return rows


if __name__ == "__main__":
    sys.exit(main())

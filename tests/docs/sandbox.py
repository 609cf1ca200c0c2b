"""A folder like that of a guide's reader: a small data set, images, a film, narrow networks under the usual names."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.launched import free_port
from tests.train.samples import Done, drawn_image, run
from yolo.data.dataset import preset_names
from yolo.data.images import write_image
from yolo.data.shapes import ShapesSpec, make_shapes
from yolo.inference.sources.video import VideoWriter
from yolo.models.config import load_model_config, parse_model_config
from yolo.models.network import build_network
from yolo.models.weights.safetensors_io import save_checkpoint
from yolo.models.weights.transfer import checkpoint_of

ROOT = Path(__file__).parents[2]
WIDTH = 0.05
"""Of YOLOv5n's 0.25: the same layers, with 8 to 56 channels."""
LAUNCHER = "oneflow.distributed.launch"
SIZE, LARGE = (96, 128), (700, 900)
"""Height and width; the larger image is one for slices."""
IMAGES = {"train": 6, "val": 2}


def make_sandbox(folder: Path) -> Path:
    """What the guides' commands name: data in three forms, images, a film, and weights under published names."""
    rng = np.random.default_rng(0)
    for split, count in IMAGES.items():
        for number in range(count):
            image, rows = drawn_image(rng, SIZE)
            write_image(folder / f"my-data/images/{split}/{number:03}.jpg", image)
            labels = folder / f"my-data/labels/{split}/{number:03}.txt"
            labels.parent.mkdir(parents=True, exist_ok=True)
            labels.write_text("".join(" ".join(f"{value:.6g}" for value in row) + "\n" for row in rows))
    for name, size in (("street", SIZE), ("yard", SIZE), ("square", LARGE)):
        write_image(folder / f"my-images/{name}.jpg", drawn_image(rng, size)[0])
    write_film(folder / "film.mp4", rng)
    for number, name in enumerate(("yolov5n.pt", "yolov5s.pt")):
        save_weights(folder / name, number)
    write_coco(folder / "my-coco", rng)
    make_shapes(folder / "datasets/shapes", ShapesSpec(train=32, val=4, size=128), Path("shapes.yaml"))
    return folder


def write_film(file: Path, rng: np.random.Generator) -> None:
    """Four frames."""
    film = VideoWriter(file, 30, SIZE)
    for _ in range(4):
        film.add(drawn_image(rng, SIZE)[0])
    film.finish()


def write_coco(folder: Path, rng: np.random.Generator) -> None:
    """Two images with COCO's annotations of them."""
    height, width = SIZE
    images, annotations = [], []
    for number in range(2):
        image, rows = drawn_image(rng, SIZE)
        write_image(folder / f"images/{number}.jpg", image)
        images.append({"id": number, "file_name": f"{number}.jpg", "height": height, "width": width})
        for category, x, y, w, h in rows:
            box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
            annotations.append({"id": len(annotations), "image_id": number, "category_id": category, "bbox": box})
    categories = [{"id": 0, "name": "helmet"}, {"id": 1, "name": "vest"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances_all.json").write_text(json.dumps(content))


def save_weights(file: Path, seed: int) -> None:
    """YOLOv5n with few channels and COCO's classes; files are told by their content, so any name will do."""
    content = {**load_model_config("yolov5n").as_dict(), "width_multiple": WIDTH}
    network = build_network(parse_model_config(content, name=file.name), nc=80, rng=seed)
    save_checkpoint(file, checkpoint_of(network, preset_names("coco128")))


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """The block's current folder is this one."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def run_command(line: str, folder: Path, behind: str = "") -> Done:
    """Run a line of a guide there, ``behind`` it some options more: one of our commands in this process."""
    if LAUNCHER in line:  # on a port of this test's own: the last one counts
        line = line.replace(" -m yolo.", f" --master_port {free_port()} -m yolo.")
    words = shlex.split(f"{line} {behind}", comments=True)
    if words[:2] == ["python", "-m"] and words[2].startswith("yolo."):
        with inside(folder):
            return run(importlib.import_module(words[2]).main, words[3:], folder)
    return _in_shell(f"{line} {behind}", folder)


def _in_shell(line: str, folder: Path) -> Done:
    """``python`` is this one."""
    programs = folder / ".programs"
    programs.mkdir(exist_ok=True)
    python = programs / "python"
    if not python.exists():
        python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        python.chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    return Done(done.returncode, done.stdout, done.stderr, folder)


def copied(source: Path, target: Path) -> Path:
    """The same folder once more, to be changed."""
    return Path(shutil.copytree(source, target))

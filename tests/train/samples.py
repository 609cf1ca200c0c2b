"""A data set of coloured rectangles, a network that compiles in seconds, and runs of the train command on them."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from yolo import train
from yolo.data.images import write_image

NAMES = ("red", "blue")
COLOURS = ((220, 40, 30), (40, 60, 220))
SIZE = 64
STILL = dict.fromkeys(("hsv_h", "hsv_s", "hsv_v", "translate", "scale", "fliplr", "mosaic"), 0.0)
"""Hyperparameters without augmentation."""
QUICK = {**STILL, "lr0": 0.02, "lrf": 0.2, "warmup_epochs": 0.0, "warmup_bias_lr": 0.0, "obj": 30.0, "cls": 20.0}
"""For images of 64 pixels: the gains undo the scaling by area and classes."""
ONE_LEVEL = {
    "nc": 2,
    "depth_multiple": 1.0,
    "width_multiple": 1.0,
    "anchors": [[12, 16, 15, 24, 20, 30]],
    "backbone": [[-1, 1, "Conv", [16, 6, 4, 2]], [-1, 1, "Conv", [32, 3, 2]]],
    "head": [[-1, 1, "Conv", [32, 3, 1]], [[2], 1, "Detect", ["nc", "anchors"]]],
}
"""Compiles in two seconds."""


@dataclasses.dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str
    folder: Path

    def refusal(self, program: str, code: int = 2) -> str:
        """The one line that says what is wrong: the last, after the program's name, and the only one of its kind."""
        lines = self.err.splitlines()
        assert self.code == code and "Traceback" not in self.err and self.err.endswith("\n"), self.err
        assert [line.startswith(f"{program}: ") for line in lines] == [False] * (len(lines) - 1) + [True], self.err
        return lines[-1].removeprefix(f"{program}: ")


def drawn_image(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, list[tuple[float, ...]]]:
    """A grey image with a rectangle of each class, one in the left half and one in the right; its label rows."""
    height, width = size
    image = np.full((height, width, 3), 128, np.uint8)
    rows = []
    for category, half in enumerate(rng.permutation(2)):
        w, h = rng.integers(width // 5, width // 3), rng.integers(height // 4, height // 2)
        left = rng.integers(0, width // 2 - w) + half * (width // 2)
        top = rng.integers(0, height - h)
        image[top : top + h, left : left + w] = COLOURS[category]
        rows.append((category, (left + w / 2) / width, (top + h / 2) / height, w / width, h / height))
    return image, rows


def make_data(folder: Path, *, train: int = 8, val: int = 6, size: tuple[int, int] = (SIZE, SIZE)) -> Path:
    """Write images and labels for train, val and test (three images); give the YAML file."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val), ("test", 3)):
        for number in range(count):
            image, rows = drawn_image(rng, size)
            write_image(folder / f"images/{split}/{number:03}.png", image)
            labels = folder / f"labels/{split}/{number:03}.txt"
            labels.parent.mkdir(parents=True, exist_ok=True)
            labels.write_text("".join(" ".join(map(str, row)) + "\n" for row in rows))
    content = {"path": str(folder), **{split: f"images/{split}" for split in ("train", "val", "test")}}
    return write_yaml(folder / "data.yaml", {**content, "names": list(NAMES)})


def write_yaml(path: Path, content: Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(content)))
    return path


@dataclasses.dataclass(frozen=True)
class Workshop:
    """A folder with data, model and recipe, and the commands' usual options."""

    folder: Path
    data: Path
    model: Path
    hyp: Path

    @classmethod
    def make(cls, folder: Path, **data: Any) -> Workshop:
        return cls(
            folder,
            make_data(folder / "data", **data),
            write_yaml(folder / "model.yaml", ONE_LEVEL),
            write_yaml(folder / "hyp.yaml", QUICK),
        )

    def options(self) -> dict[str, str]:
        """The train command's options: from scratch, two epochs of two steps, one update a step."""
        return {
            "--weights": "",
            "--cfg": str(self.model),
            "--data": str(self.data),
            "--hyp": str(self.hyp),
            "--imgsz": str(SIZE),
            "--batch-size": "4",
            "--nbs": "4",
            "--epochs": "2",
            "--workers": "1",
            "--device": "cpu",
            "--project": str(self.folder / "runs"),
        }

    def train(self, name: str, *flags: str, **instead: str) -> Done:
        """Run the train command; ``instead``: options by their names with underscores."""
        project = instead.get("project", self.options()["--project"])
        return run(train.main, self.argv(name, *flags, **instead), Path(project) / name)

    def argv(self, name: str, *flags: str, **instead: str) -> list[str]:
        """The train command's words."""
        options = {**self.options(), "--name": name, **{f"--{k.replace('_', '-')}": v for k, v in instead.items()}}
        return [*(word for pair in options.items() for word in pair), *flags]


def run(main, argv: list[str], folder: Path) -> Done:
    """Run a command in this process; its logger is set up anew, for the stderr of now."""
    logger, out, err = logging.getLogger("yolo"), io.StringIO(), io.StringIO()
    handlers, propagate = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [], True
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(argv)
        return Done(code, out.getvalue(), err.getvalue(), folder)
    finally:
        logger.handlers, logger.propagate = handlers, propagate

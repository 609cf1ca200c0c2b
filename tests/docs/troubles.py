"""What is wrong in the folder of an entry of the troubleshooting guide, by the entry's heading."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

RUN = "runs/train/exp/weights"


def _changed(old: str, new: str) -> Callable[[Path], object]:
    """my.yaml with one piece replaced."""

    def change(folder: Path) -> None:
        text = (folder / "my.yaml").read_text(encoding="utf-8")
        assert old in text
        (folder / "my.yaml").write_text(text.replace(old, new), encoding="utf-8")

    return change


def _written(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text, encoding="utf-8")


def _labelled(text: str) -> Callable[[Path], object]:
    """The first image's label file ends in this."""

    def add(folder: Path) -> None:
        with open(folder / "my-data/labels/train/000.txt", "a", encoding="utf-8") as stream:
            stream.write(text)

    return add


def _cut(name: str, size: int) -> Callable[[Path], object]:
    """The file without its last bytes."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-size])


def _emptied(name: str) -> Callable[[Path], object]:
    return lambda folder: [file.unlink() for file in (folder / name).iterdir()]


def _taken(port: int) -> socket.socket:
    """Nobody else can listen there until it is closed; it may be another's already."""
    held = socket.socket()
    with contextlib.suppress(OSError):
        held.bind(("127.0.0.1", port))
        held.listen()
    return held


PREPARED: dict[str, Callable[[Path], object]] = {
    "the data is not there": _changed("path: my-data", "path: mydata"),
    "no image for split": _emptied("my-data/images/train"),
    "no split": _changed("val: images/val", ""),
    "no image of the training split has a label": lambda folder: shutil.rmtree(folder / "my-data/labels"),
    "label class 3 is out of range": _labelled("3 0.5 0.5 0.2 0.2\n"),
    "label line dropped": _labelled("0 120 80 40 30\n1 0.5 0.5 0.2\n"),
    "image left out": _cut("my-data/images/train/001.jpg", 300),
    "'names' is missing or empty": _changed("names: [helmet, vest]", "nc: 2"),
    "'nc' is 3 but there are 2 names": _changed("names:", "nc: 3\nnames:"),
    "commands are never run": lambda folder: (
        _changed("names:", "download: bash get_data.sh\nnames:")(folder),
        shutil.rmtree(folder / "my-data"),
    ),
    "neither a .safetensors nor a PyTorch .pt file": _written("best.pt", "<html>not found</html>"),
    "broken file": _cut(f"{RUN}/best.safetensors", 100),
    "is damaged": lambda folder: (
        shutil.copy(folder / "detector.program", folder / f"{RUN}/best.program"),
        _cut(f"{RUN}/best.program", 10)(folder),
    ),
    "is a compiled detector already": lambda folder: shutil.copy(
        folder / "detector.program", folder / f"{RUN}/best.program"
    ),
    "unknown hyperparameter": _written("my-hyp.yaml", "lr0: 0.01\nmosiac: 1.0\n"),
    "the gradient's norm is nan, the loss is nan": _written(
        "my-hyp.yaml", "lr0: 900000\nwarmup_epochs: 0\nwarmup_bias_lr: 900000\n"
    ),
    "the video cannot be opened": _written("film.mp4", "no film"),
    "no image and no video in the folder": _emptied("my-images"),
    "is taken": lambda folder: _taken(8000),
}

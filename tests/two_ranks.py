"""A training on two ranks. What is done to another one like it shall leave the same, to the last bit."""

from __future__ import annotations

from pathlib import Path

from tests.launched import launch
from tests.train.samples import Workshop

FLAGS = ("--sync-bn", "--noplots", "--exist-ok")
OPTIONS = {"epochs": "5", "batch_size": "6"}  # of two steps each


def workshop(folder: Path) -> Workshop:
    return Workshop.make(folder, train=12, val=11)


def words(shop: Workshop, name: str, **instead: str) -> list[str]:
    """The train command's."""
    return shop.argv(name, *FLAGS, **OPTIONS, **instead)


def train(folder: Path) -> Path:
    """The folder of the run that nothing is done to."""
    shop = workshop(folder)
    done = launch(["-m", "yolo.train", *words(shop, "whole")], 2)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "runs/whole"

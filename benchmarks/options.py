"""The options that the benchmarks share."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.driver import Contender
from benchmarks.places import PARITY


def base_parser(description: str | None, *, size: int, rounds: int) -> argparse.ArgumentParser:
    """A parser with them; ``size`` (pixels) and ``rounds`` are defaults."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--models", nargs="+", default=["yolov5n", "yolov5s"])
    parser.add_argument("--weights", type=Path, default=PARITY / "weights", help="folder of the published .pt files")
    parser.add_argument("--data", type=Path, default=PARITY / "data" / "coco128.yaml", help="data set of images")
    parser.add_argument("--size", type=int, default=size)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--only", default="", help="contenders whose name and precision contain one of these words")
    parser.add_argument("--json", action="store_true")
    return parser


def positive(text: str) -> int:
    """The type of an option: a whole number of at least one."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def wanted(contender: Contender, words: str, reference: str) -> bool:
    """Whether ``--only`` takes a contender; the reference stays, or nothing could be compared."""
    text = f"{contender.name} {contender.precision}"
    return not words or contender.name == reference or any(word in text for word in words.split(","))

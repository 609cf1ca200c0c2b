"""The options that the benchmarks of networks on a GPU share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cuda_module import DEVICES
from benchmarks.driver import ABSENT
from benchmarks.places import PARITY, cuda_peers_python, weights

ABSENT_ON_CUDA = f"{ABSENT}-cuda"
PRECISIONS = {"fp32 (TF32)": "fp32", "fp16": "fp16", "bf16": "bf16"}
"""Which precision a program has, by how the tables call it."""


def cuda_parser(description: str | None, *, size: int, rounds: int, models: Sequence[str]) -> argparse.ArgumentParser:
    """A parser with them; ``size`` (pixels), ``rounds`` and ``models`` are defaults."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--models", nargs="+", default=list(models))
    parser.add_argument("--weights", type=Path, default=PARITY / "weights", help="folder of the published .pt files")
    parser.add_argument("--precisions", nargs="+", choices=list(PRECISIONS), default=list(PRECISIONS))
    parser.add_argument("--size", type=int, default=size)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument(
        "--timed", type=int, default=0, help="of so many algorithms the fastest; 0: the first, as commands"
    )
    parser.add_argument("--no-compile", action="store_true", help="without torch.compile, which takes minutes")
    parser.add_argument("--device", choices=DEVICES, default="cuda", help="host: to try the benchmark without a GPU")
    parser.add_argument("--peers", type=Path, default=cuda_peers_python(), help="a Python that has PyTorch for GPUs")
    parser.add_argument("--json", action="store_true")
    return parser


def chosen_weights(options: argparse.Namespace) -> dict[str, Path]:
    """The files of the models that there are; says on stderr which are not."""
    found = {}
    for model in options.models:
        try:
            found[model] = weights(model, options.weights)
        except FileNotFoundError as error:
            print(error, file=sys.stderr)
    return found


def peer_device(device: str) -> str:
    """What PyTorch calls it."""
    return "cpu" if device == "host" else device

"""How long does a training step take: images in, weights updated (forward, loss, backward, clipping, SGD, EMA)?

python -m benchmarks.training_step [--json]; `make bench-peers` installs PyTorch.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from benchmarks.driver import Contender, Measurement, confine, measure
from benchmarks.images import write_batch
from benchmarks.options import base_parser, wanted
from benchmarks.places import PEERS_PYTHON, PROJECT_PYTHON, WORK, weights
from benchmarks.table import Row, as_json, as_text, difference, make_rows
from yolo.errors import YoloError

REFERENCE = "PyTorch contiguous"
PLAIN = "OneFlow modules"
PART_TOLERANCE, GRADIENT_TOLERANCE = 1e-4, 1e-3
"""Of fp32: loss parts, each relative; gradients and steps, the norm of the difference divided by the norm."""
CHANNELS_LAST_TOLERANCE = 3e-2
"""Gradients of PyTorch in that layout: 5e-3 from float64's (contiguous: 4e-6), while in float64 both layouts agree."""
PLAIN_ROUNDS = 5
COLUMNS = {
    "model": "model",
    "name": "contender",
    "precision": "precision",
    "median_ms": "median ms",
    "min_ms": "min ms",
    "spread": "spread",
    "ratio_to_best_peer": "ratio to best peer",
    "peak_rss_mb": "peak MB",
    "loss_difference": "loss",
    "gradient_difference": "gradient",
    "step_difference": "step",
    "equal": "equal",
}
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "4000000000",
    "MALLOC_TRIM_THRESHOLD_": "16000000000",
    "MALLOC_TOP_PAD_": "268435456",
}
"""glibc keeps the memory of a step for the next one, which spares PyTorch its page faults."""


def main() -> int:
    """Measure, print; 1 where loss or gradient is not what it must be, 2 where files are missing."""
    options = _parser().parse_args()
    confine(options.threads)
    batch = WORK / f"batch-{options.batch}-{options.size}.npz"
    rows, failed = [], False
    try:
        write_batch(batch, options.data, size=options.size, batch=options.batch)
        files = {model: weights(model, options.weights) for model in options.models}
    except (FileNotFoundError, YoloError) as error:
        print(error, file=sys.stderr)
        return 2
    for model, path in files.items():
        contenders = [c for c in _contenders(path, batch, options.threads) if wanted(c, options.only, REFERENCE)]
        found = _measure(contenders, options.rounds)
        rows += make_rows(model, found)
        failed |= _compare(rows[-len(found) :], found)
    about = {"size": options.size, "batch": options.batch, "threads": options.threads}
    title = f"Training step, {options.batch} images of {options.size}x{options.size}, {options.threads} threads"
    print(as_json(rows, **about) if options.json else as_text(title, rows, COLUMNS))
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = base_parser(__doc__, size=320, rounds=10)
    parser.add_argument("--batch", type=int, default=16)
    return parser


def _contenders(weights: Path, batch: Path, threads: int) -> list[Contender]:
    files = {"weights": str(weights), "batch": str(batch)}
    plain = {"OMP_NUM_THREADS": str(threads)}
    found = []
    for name, precision, ours, mode in (
        ("this project", "fp32", True, "program"),
        ("this project", "bf16", True, "program"),
        (PLAIN, "fp32", False, "off"),
    ):
        options = {**files, "precision": precision, "compile": mode}
        module = "benchmarks.workers.oneflow_training"
        found.append(Contender(name, precision, ours, PROJECT_PYTHON, module, options, plain))
    tuned = {**plain, **MALLOC}
    for name, precision, layout, environment, compiled in (
        (REFERENCE, "fp32", "contiguous", plain, False),
        ("PyTorch channels_last", "fp32", "channels_last", plain, False),
        ("PyTorch channels_last, malloc tuned", "fp32", "channels_last", tuned, False),
        ("PyTorch compiled channels_last, malloc tuned", "fp32", "channels_last", tuned, True),
        ("PyTorch autocast channels_last", "bf16", "channels_last", plain, False),
        ("PyTorch autocast channels_last, malloc tuned", "bf16", "channels_last", tuned, False),
        ("PyTorch compiled autocast channels_last, malloc tuned", "bf16", "channels_last", tuned, True),
    ):
        options = {**files, "precision": precision, "layout": layout, "threads": threads, "compiled": compiled}
        module = "benchmarks.workers.torch_training"
        found.append(Contender(name, precision, False, str(PEERS_PYTHON), module, options, environment))
    return found


def _measure(contenders: list[Contender], rounds: int) -> list[Measurement]:
    """All in turn, but the plain modules, which hold ten times the memory, alone and last."""
    plain = [contender for contender in contenders if contender.name == PLAIN]
    others = [contender for contender in contenders if contender.name != PLAIN]
    found = measure(others, WORK / "workers", rounds=rounds)
    return found + measure(plain, WORK / "workers", rounds=min(rounds, PLAIN_ROUNDS))


def _compare(rows: list[Row], found: list[Measurement]) -> bool:
    """Note in every row how far loss and gradient are from PyTorch's; True where an fp32 one is too far."""
    reference = next((m.outputs for m in found if m.contender.name == REFERENCE), None)
    for row, measurement in zip(rows, found):
        row |= dict.fromkeys(("loss_difference", "gradient_difference", "step_difference", "equal"))
        if reference is None or measurement.outputs is None:
            continue
        given = measurement.outputs
        row["loss_difference"] = float(np.abs(given["parts"] / reference["parts"] - 1).max())
        for what in ("gradient", "step"):
            pair = [{n: a for n, a in arrays.items() if n.startswith(what)} for arrays in (given, reference)]
            row[f"{what}_difference"] = difference(*pair)
        if row["precision"] == "fp32":
            channels_last = measurement.contender.options.get("layout") == "channels_last"
            bound = CHANNELS_LAST_TOLERANCE if channels_last else GRADIENT_TOLERANCE
            vectors = max(row["gradient_difference"], row["step_difference"])
            row["equal"] = row["loss_difference"] <= PART_TOLERANCE and vectors <= bound
    return any(row["equal"] is False for row in rows)


if __name__ == "__main__":
    sys.exit(main())

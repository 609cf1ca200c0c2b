"""How long does a training step take on a GPU, and how much of its memory: a batch in, weights updated?

python -m benchmarks.cuda_step [--json]; `make bench-peers-cuda` installs PyTorch.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from benchmarks.cuda_about import about, heading
from benchmarks.cuda_options import ABSENT_ON_CUDA, PRECISIONS, chosen_weights, cuda_parser, peer_device
from benchmarks.driver import Contender, Measurement, measure
from benchmarks.images import write_batch
from benchmarks.places import PARITY, PROJECT_PYTHON, WORK
from benchmarks.table import Row, as_json, as_text, difference, make_rows
from yolo.errors import YoloError

OURS, EAGER, COMPILED, REFERENCE = "this project", "PyTorch channels_last", "PyTorch compiled", "PyTorch fp32, no TF32"
TARGET_CASE, TARGET = ("yolov5s", "fp16"), 0.7
"""The most that ours may take of PyTorch's time, at 640 pixels and 16 images."""
PARTS = {"fp32 (TF32)": 2e-3, "fp16": 1e-2, "bf16": 5e-2}
"""By how much a part of the loss may be off, relative."""
VECTORS = {"fp32 (TF32)": 5e-2, "fp16": 0.1, "bf16": 0.5}
"""The norm of a gradient's or step's difference, divided by the norm; twice PyTorch's own, where that is more."""
COLUMNS = {
    "model": "model",
    "precision": "precision",
    "name": "contender",
    "median_ms": "median ms",
    "min_ms": "min ms",
    "spread": "spread",
    "eager_ratio": "ratio to eager",
    "target_ratio": "target",
    "met": "met",
    "memory_mb": "device MB",
    "loss_difference": "loss",
    "gradient_difference": "gradient",
    "step_difference": "step",
    "equal": "equal",
}


def main() -> int:
    """Measure, print; 1 where loss or gradient is not what it must be, 2 where files are missing."""
    options = _parser().parse_args()
    batch = WORK / f"cuda_batch-{options.batch}-{options.size}.npz"
    files, rows = chosen_weights(options), []
    if not files:
        return 2
    _write_batch(batch, options)
    for model, path in files.items():
        found = measure(contenders(path, batch, options), WORK / "workers", rounds=options.rounds)
        rows += compared(model, found, options)
    told = about(options.device, options.peers)
    title = f"Training step, {options.batch} images of {options.size}x{options.size}, {heading(told)}"
    sizes = {"size": options.size, "batch": options.batch}
    print(as_json(rows, about=told, **sizes) if options.json else as_text(title, rows, COLUMNS))
    return 1 if any(row["equal"] is False or (row["ours"] and row["note"]) for row in rows) else 0


def _parser() -> argparse.ArgumentParser:
    parser = cuda_parser(__doc__, size=640, rounds=20, models=["yolov5n", "yolov5s"])
    parser.set_defaults(precisions=["fp32 (TF32)", "fp16"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--data", type=Path, default=PARITY / "data" / "coco128.yaml", help="data set of images")
    return parser


def _write_batch(path: Path, options: argparse.Namespace) -> None:
    """A batch of the data set with mosaics, or noise with boxes where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_batch(path, options.data, size=options.size, batch=options.batch)
    except YoloError as error:
        print(f"{error}; noise with random boxes instead", file=sys.stderr)
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (options.batch, 3, options.size, options.size), np.uint8)
        labels = rng.uniform(0.1, 0.6, (options.batch, 16, 5)).astype(np.float32)
        labels[..., 0] = 0
        np.savez(path, images=images, labels=labels, counts=np.full(options.batch, 16, np.int32))


def contenders(weights: Path, batch: Path, options: argparse.Namespace) -> list[Contender]:
    """The reference, ours, and PyTorch eager and compiled, in every precision."""
    files = {"weights": str(weights), "batch": str(batch)}
    theirs = {**files, "threads": 2, "device": peer_device(options.device)}
    module, python = "benchmarks.workers.torch_training", str(options.peers)
    plain = {**theirs, "precision": "fp32", "layout": "contiguous"}
    found = [Contender(REFERENCE, "fp32", False, python, module, plain, absent=ABSENT_ON_CUDA)]
    for label in options.precisions:
        how = {"precision": PRECISIONS[label], "tf32": True}
        ours = {**files, **how, "device": options.device, "timed": options.timed}
        found.append(Contender(OURS, label, True, PROJECT_PYTHON, "benchmarks.workers.cuda_training", ours))
        for name, compiled in ((EAGER, False), (COMPILED, True)):
            if not (compiled and options.no_compile):
                made = {**theirs, **how, "layout": "channels_last", "compiled": compiled}
                found.append(Contender(name, label, False, python, module, made, absent=ABSENT_ON_CUDA))
    return found


def compared(model: str, found: list[Measurement], options: argparse.Namespace) -> list[Row]:
    """The rows of a model, with the ratio to eager PyTorch of the same precision, and how far losses and gradients are
    from the reference's."""
    reference = next((m.outputs for m in found if m.contender.name == REFERENCE), None)
    distances = [_distances(one.outputs, reference) for one in found]
    by_key = {(m.contender.name, m.contender.precision): (m, d) for m, d in zip(found, distances)}
    rows = make_rows(model, found)
    for row, one, off in zip(rows, found, distances):
        precision = one.contender.precision
        eager, eager_off = by_key.get((EAGER, precision), (None, None))
        ratio = one.median_ms / eager.median_ms if one.ms and eager is not None and eager.ms else None
        whole = (options.size, options.batch) == (640, 16)
        aimed = one.contender.ours and whole and (model, precision) == TARGET_CASE
        row["eager_ratio"] = None if ratio is None else round(ratio, 3)
        row["target_ratio"] = TARGET if aimed else None
        row["met"] = ratio <= TARGET if aimed and ratio is not None else None
        row["memory_mb"] = round(max(one.figures["memory_mb"])) if one.ms and one.figures.get("memory_mb") else None
        row |= off or dict.fromkeys(("loss_difference", "gradient_difference", "step_difference"))
        row["equal"] = None if off is None or precision not in PARTS else _equal(off, eager_off, precision)
    return rows


def _distances(given, reference) -> Row | None:
    if given is None or reference is None:
        return None
    found = {"loss_difference": float(np.abs(given["parts"] / reference["parts"] - 1).max())}
    for what in ("gradient", "step"):
        pair = [{n: a for n, a in arrays.items() if n.startswith(what)} for arrays in (given, reference)]
        found[f"{what}_difference"] = difference(*pair)
    return found


def _equal(off: Row, peers: Row | None, precision: str) -> bool:
    """Within the precision's bounds, or no more than twice as far off as eager PyTorch in the same one."""
    bounds = {"loss_difference": PARTS[precision], **dict.fromkeys(("gradient_difference", "step_difference"))}
    for name in bounds:
        bound = bounds[name] or VECTORS[precision]
        if not off[name] <= max(bound, 2 * peers[name] if peers is not None else 0):
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())

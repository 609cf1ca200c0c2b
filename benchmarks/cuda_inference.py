"""How long does an image take on a GPU? The network alone, and a letterboxed image of the host's to boxes.

python -m benchmarks.cuda_inference [--json] [--short]; `make bench-peers-cuda` installs PyTorch.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.cuda_about import about, heading
from benchmarks.cuda_ops import unpaired
from benchmarks.cuda_options import ABSENT_ON_CUDA, PRECISIONS, chosen_weights, cuda_parser, peer_device
from benchmarks.driver import Contender, Measurement, measure
from benchmarks.images import write_images
from benchmarks.places import PARITY, PROJECT_PYTHON, WORK
from benchmarks.table import Row, as_json, as_text, difference, make_rows
from yolo.models.weights.load import load_weights
from yolo.program.compiled import CompiledNetwork
from yolo.program.detection import NmsSettings, detection_head

OURS, EAGER, COMPILED = "this project", "PyTorch channels_last", "PyTorch compiled"
TARGET_CASE, TARGET = ("yolov5s", 1, "fp16"), 0.5
"""The most that ours may take of eager PyTorch's time, image to boxes."""
CONF = 0.25
HEADS = {"fp32 (TF32)": 5e-3, "fp16": 1e-2, "bf16": 0.1}
"""The largest norm of the difference to the processor's fp32 heads, divided by the norm."""
MARGINS = {"fp32 (TF32)": (1.0, 0.01), "fp16": (1.0, 0.01), "bf16": (4.0, 0.05)}
"""Pixels and score by which a detection may be off; one nearer to the threshold may be missing."""
COLUMNS = {
    "model": "model",
    "batch": "batch",
    "precision": "precision",
    "name": "contender",
    "median_ms": "image to boxes ms",
    "spread": "spread",
    "eager_ratio": "ratio to eager",
    "target_ratio": "target",
    "met": "met",
    "network_ms": "network ms",
    "network_ratio": "network's ratio",
    "difference": "heads",
    "boxes_share": "boxes missed",
    "equal": "equal",
}


def main() -> int:
    """Measure, print; 1 where an output is not what it must be, 2 where files are missing."""
    options = _parser().parse_args()
    files = chosen_weights(options)
    if not files:
        return 2
    rows: list[Row] = []
    for model, path in files.items():
        for batch in options.batches:
            images = WORK / f"cuda_images-{batch}-{options.size}.npz"
            _write_images(images, batch, options.size)
            right = reference(path, images)
            found = measure(contenders(path, images, options), WORK / "workers", rounds=options.rounds, lead=1)
            rows += compared(model, batch, found, right)
    told = about(options.device, options.peers)
    title = f"Images of {options.size}x{options.size} to boxes, {heading(told)}"
    print(as_json(rows, about=told, size=options.size) if options.json else as_text(title, rows, COLUMNS))
    return 1 if any(row["equal"] is False or (row["ours"] and row["note"]) for row in rows) else 0


def _parser() -> argparse.ArgumentParser:
    models = ["yolov5n", "yolov5s", "yolov5m"]
    parser = cuda_parser(__doc__, size=640, rounds=30, models=models)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    return parser


def contenders(weights: Path, images: Path, options: argparse.Namespace) -> list[Contender]:
    """Ours, and PyTorch eager and compiled, in every precision."""
    files, found = {"weights": str(weights), "images": str(images), "conf": CONF}, []
    for label in options.precisions:
        how = {**files, "precision": PRECISIONS[label], "tf32": True}
        ours = {**how, "device": options.device, "timed": options.timed}
        found.append(Contender(OURS, label, True, PROJECT_PYTHON, "benchmarks.workers.cuda_network", ours))
        for name, compiled in ((EAGER, False), (COMPILED, True)):
            if compiled and options.no_compile:
                continue
            theirs = {**how, "device": peer_device(options.device), "compiled": compiled}
            module, python = "benchmarks.workers.torch_cuda_inference", str(options.peers)
            found.append(Contender(name, label, False, python, module, theirs, absent=ABSENT_ON_CUDA))
    return found


def _write_images(path: Path, batch: int, size: int) -> None:
    """Two photographs in turn, or noise where they are not."""
    photographs = [PARITY / "data" / name for name in ("bus.jpg", "zidane.jpg")]
    if all(file.is_file() for file in photographs):
        write_images(path, [photographs[i % 2] for i in range(batch)], size)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, (batch, 3, size, size), np.uint8)
    np.savez(path, images=noise)


def reference(weights: Path, images: Path) -> Mapping[str, np.ndarray]:
    """Heads and detections by the processor, in fp32."""
    checkpoint, pixels = load_weights(weights), np.load(images)["images"]
    network = CompiledNetwork.of(checkpoint.spec, checkpoint.model)
    heads = network.program(pixels.shape)(pixels)
    shapes, settings = [head.shape for head in heads], NmsSettings(conf=CONF, max_det=300)
    rows, counts = detection_head(shapes, checkpoint.anchors, checkpoint.strides, settings)(heads)
    return {"rows": rows, "counts": counts, **{f"head{level}": head for level, head in enumerate(heads)}}


def compared(model: str, batch: int, found: list[Measurement], right: Mapping[str, np.ndarray]) -> list[Row]:
    """The rows of one model and batch, with the ratio to eager PyTorch of the same precision, and what is wrong."""
    rows = make_rows(model, found)
    for row, one in zip(rows, found):
        row["batch"] = batch
        row["network_ms"] = _network_ms(one)
        eager = _of(found, EAGER, one.contender.precision)
        row["eager_ratio"] = _ratio(row["median_ms"], eager and eager.median_ms)
        row["network_ratio"] = _ratio(row["network_ms"], eager and _network_ms(eager))
        aimed = one.contender.ours and (model, batch, one.contender.precision) == TARGET_CASE
        row["target_ratio"] = TARGET if aimed else None
        row["met"] = row["eager_ratio"] <= TARGET if aimed and row["eager_ratio"] is not None else None
        row |= _checked(one, right)
    return rows


def _checked(one: Measurement, right: Mapping[str, np.ndarray]) -> Row:
    if one.outputs is None:
        return {"difference": None, "boxes_share": None, "equal": None}
    heads = [{n: a for n, a in given.items() if n.startswith("head")} for given in (one.outputs, right)]
    off, missed = difference(*heads), missing(one.outputs, right, *MARGINS[one.contender.precision])
    return {"difference": off, "boxes_share": missed, "equal": off <= HEADS[one.contender.precision] and missed == 0}


def missing(given: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray], pixels: float, score: float) -> float:
    """The share of detections that only one of both has, among those that are surer than the threshold by ``score``."""
    shares = []
    for few, many in ((given, right), (right, given)):
        rows = [image[:count] for image, count in zip(few["rows"], few["counts"])]
        sure = [image[image[:, 4] > CONF + score] for image in rows]
        padded = np.zeros((len(sure), max(map(len, sure), default=0), 6), np.float32)
        for place, image in enumerate(sure):
            padded[place, : len(image)] = image
        wanted = {"rows": padded, "counts": np.array([len(image) for image in sure])}
        shares.append(unpaired(many, wanted, pixels, score))
    return max(shares)


def _of(found: list[Measurement], name: str, precision: str) -> Measurement | None:
    return next((m for m in found if (m.contender.name, m.contender.precision) == (name, precision)), None)


def _network_ms(one: Measurement) -> float | None:
    times = one.figures.get("network_ms") if one.ms else None
    return round(statistics.median(times), 3) if times else None


def _ratio(ms: float | None, other: float | None) -> float | None:
    return None if ms is None or not other else round(ms / other, 3)


if __name__ == "__main__":
    sys.exit(main())

"""What does int8 cost in accuracy? mAP of each contender's int8 network, calibrated on the same images, beside fp32's.

python -m benchmarks.int8_accuracy [--json]; `make bench-peers` installs the others.

The images are letterboxed to one square size, since the peers' files have a fixed one: figures of `yolo.val`, which
takes rectangles, differ a little. Decoding, suppression and metrics are this project's for all.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.driver import Contender, ContenderError, Worker, confine, tell
from benchmarks.inference import DIRECT, Inputs, contenders, prepare
from benchmarks.options import base_parser, wanted
from benchmarks.peers.network import read_graph
from benchmarks.places import PARITY, WORK
from benchmarks.table import Row, as_json, as_text
from yolo import ops
from yolo.data.images import read_image
from yolo.data.index import index_split
from yolo.data.letterbox import Letterbox, fit, letterbox
from yolo.data.load import load_dataset
from yolo.engine.validator import validation_settings
from yolo.metrics import DetectionMetrics, MetricAccumulator
from yolo.program.detection import detection_head

CHUNK = 16
"""Images whose heads are in memory at once."""
COLUMNS = {
    "model": "model",
    "name": "contender",
    "precision": "precision",
    "map50": "mAP50",
    "map50_95": "mAP50-95",
    "lost": "mAP50-95 lost",
}


@dataclass(frozen=True)
class Chunk:
    """Some images in a file, and what is to be found on each: class, x1, y1, x2, y2 in pixels of the original."""

    path: Path
    boxes: list[Letterbox]
    labels: list[np.ndarray]


@dataclass
class Accuracy:
    """What a contender's detections are worth, or why there are none."""

    contender: Contender
    metrics: DetectionMetrics | None = None
    failure: str | None = None


def main() -> int:
    """Measure and print; 2 where files are missing."""
    options = _parser().parse_args()
    confine(options.threads)
    every = prepare(options)
    if every is None:
        return 2
    chunks = write_chunks(options.data, options.size, WORK / "accuracy")
    rows: list[Row] = []
    for model, inputs in every.items():
        found = []
        for contender in contenders(inputs, options.threads):
            exact = contender.name == DIRECT and contender.precision == "fp32"
            if exact or (contender.precision == "int8" and _chosen(contender, options.only)):
                tell(f"{model}: {contender.name} {contender.precision}")
                found.append(accuracy(contender, inputs, chunks))
        rows += as_rows(model, found)
    about = f"{sum(len(chunk.boxes) for chunk in chunks)} images at {options.size}x{options.size}"
    print(as_json(rows, size=options.size) if options.json else as_text(about, rows, COLUMNS))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = base_parser(__doc__, size=640, rounds=1)
    parser.add_argument("--picture", type=Path, default=PARITY / "data" / "bus.jpg")
    return parser


def _chosen(contender: Contender, words: str) -> bool:
    """Without a graph of OneFlow's, in which ours gives the same."""
    return contender.name != "this project" and wanted(contender, words, DIRECT)


def write_chunks(data: Path, size: int, folder: Path) -> list[Chunk]:
    """The validation images of a data set, letterboxed; raises DataError."""
    folder.mkdir(parents=True, exist_ok=True)
    index = index_split(load_dataset(data), "val")
    chunks = []
    for first in range(0, len(index.paths), CHUNK):
        images, boxes, labels = [], [], []
        for number in range(first, min(first + CHUNK, len(index.paths))):
            image = read_image(index.paths[number])
            boxes.append(fit(image.shape[:2], size))
            images.append(letterbox(image, boxes[-1]))
            labels.append(ops.labels_to_xyxy(index.labels[number], image.shape[:2]))
        chunks.append(Chunk(folder / f"{first}.npz", boxes, labels))
        np.savez(chunks[-1].path, images=np.stack(images))
    return chunks


def accuracy(contender: Contender, inputs: Inputs, chunks: Sequence[Chunk]) -> Accuracy:
    """The metrics of its heads on all images."""
    found, heads = Accuracy(contender), chunks[0].path.with_name("heads.npz")
    if not Path(contender.python).exists():
        found.failure = contender.absent
        return found
    network = read_graph(inputs.weights)
    gains = np.asarray(network.spec.strides, np.float32).reshape(-1, 1, 1)
    accumulator = MetricAccumulator(network.spec.nc)
    try:
        with Worker(contender, chunks[0].path.with_name("log")) as worker:
            worker.ask("load", **contender.options)
            for chunk in chunks:
                worker.ask("look", images=str(chunk.path))
                worker.ask("outputs", path=str(heads))
                with np.load(heads) as arrays:
                    levels = [arrays[f"head{level}"] for level in range(len(gains))]
                _count(levels, network.anchors * gains, network.spec.strides, chunk, accumulator)
        found.metrics = accumulator.compute()
    except (ContenderError, OSError) as error:
        found.failure = str(error)
    return found


def _count(
    heads: list[np.ndarray], anchors: np.ndarray, strides: Sequence[int], chunk: Chunk, into: MetricAccumulator
) -> None:
    head = detection_head([level.shape for level in heads], anchors, strides, validation_settings())
    for rows, count, box, labels in zip(*head(heads), chunk.boxes, chunk.labels):
        kept = rows[:count].copy()
        kept[:, :4] = ops.scale_boxes(kept[:, :4], box)
        into.update(kept, labels)


def as_rows(model: str, found: Sequence[Accuracy]) -> list[Row]:
    """One row each; ``lost``: what it has less than the first one, fp32."""
    rows = []
    for one in found:
        contender, metrics = one.contender, one.metrics
        row: Row = {"name": contender.name, "model": model, "precision": contender.precision, "ours": contender.ours}
        row |= {"map50": None, "map50_95": None, "lost": None, "note": one.failure}
        if metrics is not None:
            row |= {"map50": round(metrics.map50, 4), "map50_95": round(metrics.map50_95, 4)}
            if found[0].metrics is not None:
                row["lost"] = round(found[0].metrics.map50_95 - metrics.map50_95, 4)
        rows.append(row)
    return rows


if __name__ == "__main__":
    sys.exit(main())

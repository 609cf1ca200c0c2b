"""What do slices find in large images? mAP, recall of small objects and time, of whole images and in slices.

python -m benchmarks.slices [--models …] [--canvases 16] [--slice 640] [--overlap 0.2] [--json]

The images are canvases of 2560 x 1920 pixels put together from photographs of --data, large and shrunk, as one seed has
it. Small objects have less than 32 x 32 pixels, large ones more than 320 x 320; recall is at confidence 0.25, IoU 0.5.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.options import base_parser, positive
from benchmarks.slices_canvases import write_canvases
from benchmarks.table import Row, as_json, as_text
from yolo import ops
from yolo.config.commands import ValConfig
from yolo.config.values import OVERLAP
from yolo.data.index import index_split
from yolo.data.load import load_dataset
from yolo.data.records import Index
from yolo.metrics.matching import match_detections
from yolo.val import validate

CONF = 0.25
SMALL, LARGE = 32**2, 320**2
COLUMNS = {
    "model": "model", "slices": "slices", "map50": "mAP50", "map50_95": "mAP50-95", "small_recall": "small",
    "large_recall": "large", "recall": "recall", "precision": "precision",
    "network_ms": "network ms", "nms_ms": "NMS ms",
}  # fmt: skip


def measured(weights: Path, data: Path, index: Index, folder: Path, **options: Any) -> Row:
    """One row: ``yolo.val`` on the canvases, and what its label files say."""
    config = ValConfig(
        weights=(str(weights),), data=str(data), batch_size=4, device="cpu", save_txt=True, save_conf=True,
        max_det=1000, noplots=True, json=True, project=str(folder), **options,
    )  # fmt: skip
    found = validate(config)
    return {
        "model": weights.stem,
        "slices": str(config.slice or "none"),
        "map50": found["metrics"]["map50"],
        "map50_95": found["metrics"]["map50_95"],
        **_rates(Path(found["save_dir"]) / "labels", index),
        "network_ms": found["speed_ms"]["inference"],
        "nms_ms": found["speed_ms"]["nms"],
    }


def _rates(labels: Path, index: Index) -> dict[str, float]:
    """Recall of all, of small and of large objects, and precision."""
    hits, counts = np.zeros(3), np.zeros(3)
    right = given = 0
    for path, rows, size in zip(index.paths, index.labels, index.shapes.tolist()):
        truth = ops.labels_to_xyxy(rows, size)
        detections = _detections(labels / f"{path.stem}.txt", size)
        areas = (truth[:, 3] - truth[:, 1]) * (truth[:, 4] - truth[:, 2])
        for kind, chosen in enumerate((np.ones(len(areas), bool), areas < SMALL, areas > LARGE)):
            counts[kind] += chosen.sum()
            hits[kind] += match_detections(detections, truth[chosen])[:, 0].sum()
        right += int(match_detections(detections, truth)[:, 0].sum())
        given += len(detections)
    recall, small, large = (hits / np.maximum(counts, 1)).tolist()
    return {"recall": recall, "small_recall": small, "large_recall": large, "precision": right / max(given, 1)}


def _detections(file: Path, size: list[int]) -> np.ndarray:
    """Rows above ``CONF`` of a label file, in pixels."""
    if not file.is_file():
        return np.zeros((0, 6), np.float32)
    rows = np.loadtxt(file, np.float32, ndmin=2)
    rows = rows[rows[:, 5] > CONF]
    return np.concatenate([ops.xywhn_to_xyxy(rows[:, 1:5], size), rows[:, 5:], rows[:, :1]], 1)


def main() -> int:
    parser = base_parser(__doc__, size=640, rounds=1)
    parser.add_argument("--canvases", type=positive, default=16)
    parser.add_argument("--slice", type=positive, default=640)
    parser.add_argument("--overlap", type=float, default=OVERLAP)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photographs = index_split(load_dataset(arguments.data), "val")
        data = write_canvases(folder / "canvases", photographs, arguments.canvases, arguments.seed)
        index = index_split(load_dataset(data), "val")
        for name in arguments.models:
            for size in (0, arguments.slice):
                options = {"imgsz": arguments.size, "slice": size, "overlap": arguments.overlap}
                rows.append(measured(arguments.weights / f"{name}.pt", data, index, folder / "runs", **options))
    about = {"canvases": arguments.canvases, "seed": arguments.seed, "labels": int(index.labels.counts.sum())}
    title = f"{arguments.canvases} canvases, {about['labels']} objects"
    print(as_json(rows, **about) if arguments.json else as_text(title, rows, COLUMNS))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How well does fine-tuning go on real images? YOLOv5n on BCCD, 320 pixels, batch 16, 10 epochs, default recipe."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from yolo import runtime
from yolo.command import log_to_stderr
from yolo.config.commands import TrainConfig
from yolo.errors import DataError
from yolo.train import train

PARITY = Path(__file__).resolve().parents[2] / "shared" / "parity"
PUBLISHED = {"precision": 0.824, "recall": 0.524, "map50": 0.661, "map50_95": 0.349}  # one run of the public code


def main() -> int:
    """Train, print a table (or --json) of our figures beside the published code's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default=str(PARITY / "weights" / "yolov5n.pt"))
    parser.add_argument("--data", default=str(PARITY / "data" / "bccd.yaml"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--amp", action="store_true", help="train in bfloat16")
    parser.add_argument("--exact", action="store_true", help="train without Winograd's algorithm")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    log_to_stderr()
    begin = time.perf_counter()
    config = TrainConfig(
        weights=options.weights,
        data=options.data,
        epochs=options.epochs,
        seed=options.seed,
        amp=options.amp,
        exact=options.exact,
        imgsz=320,
        batch_size=16,
        device="cpu",
        project="runs/bench",
        name="bccd",
        json=True,
    )
    try:
        result = train(config)
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    minutes = (time.perf_counter() - begin) / 60
    if options.json:
        row = {
            "name": "bccd",
            "exact": options.exact,
            "model": "yolov5n",
            "ours": True,
            "minutes": minutes,
            **result["metrics"],
        }
        print(json.dumps({"schema_version": 1, "machine": runtime.machine(), "rows": [row]}))
        return 0
    print(f"YOLOv5n on BCCD, 320, batch 16, {options.epochs} epochs, {minutes:.1f} minutes on {runtime.machine()}")
    print(f"{'':>24}{'P':>9}{'R':>9}{'mAP50':>9}{'mAP50-95':>10}")
    for name, scores in (("this project", result["metrics"]), ("public code, PyTorch", PUBLISHED)):
        print(f"{name:>24}" + "".join(f"{scores[key]:9.3f}" for key in PUBLISHED))
    return 0


if __name__ == "__main__":
    sys.exit(main())

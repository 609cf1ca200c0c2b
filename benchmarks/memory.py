"""Does memory grow? RSS over many inferences of a Detector and over many training steps, compiled as users run them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.places import PARITY
from yolo import runtime
from yolo.command import log_to_stderr

PARTS = 10
"""Times at which memory is read; what is allocated in the first part may stay."""


def main() -> int:
    """Print RSS in megabytes after each tenth of the runs (or --json)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default=str(PARITY / "weights" / "yolov5n.pt"))
    parser.add_argument("--size", type=int, default=64, help="image size in pixels")
    parser.add_argument("--inferences", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=500, help="training steps of 4 images")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    log_to_stderr()
    runtime.start()
    rows = []
    for name, runs, work in (
        ("inference", options.inferences, _inference(options.weights, options.size)),
        ("training", options.steps, _training(options.weights, options.size)),
    ):
        resident = list(_watched(work, runs))
        growth = resident[-1] / resident[0] - 1
        rows.append({"name": name, "runs": runs, "rss_mb": resident, "growth": round(growth, 4), "ours": True})
        if not options.json:
            steps = " ".join(f"{megabytes:.1f}" for megabytes in resident)
            print(f"{name:<10} {runs:>6} runs, RSS in MB after each tenth: {steps}; {100 * growth:+.2f} %")
    if options.json:
        print(json.dumps({"schema_version": 1, "machine": runtime.machine(), "rows": rows}))
    return 0


def _watched(work: Callable[[int], None], runs: int):
    for part in range(PARTS):
        for run in range(runs * part // PARTS, runs * (part + 1) // PARTS):
            work(run)
        yield round(_resident(), 1)


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 1e6


def _inference(weights: str, size: int) -> Callable[[int], None]:
    from yolo import Detector

    detector = Detector(weights, device="cpu", imgsz=size, conf=0.001)
    images = np.random.default_rng(0).integers(0, 256, (8, size, size, 3), dtype=np.uint8)
    return lambda run: detector(images[run % 8])


def _training(weights: str, size: int) -> Callable[[int], None]:
    from graphs.update import Rates
    from yolo.config.hyp import load_hyperparameters
    from yolo.data.batch import Batch
    from yolo.engine.train_step import TrainStep
    from yolo.loss.settings import LossSettings
    from yolo.models.weights.load import load_weights
    from yolo.models.weights.transfer import network_from_checkpoint

    network = network_from_checkpoint(load_weights(weights))
    scaled = load_hyperparameters("hyp.scratch-low").scaled(levels=3, classes=network.nc, imgsz=size)
    step = TrainStep(network, LossSettings.of(scaled, 3, 0.0), optimizer="SGD", weight_decay=5e-4)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 3, size, size), dtype=np.uint8)
    labels = tuple(np.array([[0, 0.5, 0.5, 0.3, 0.4]], np.float32) for _ in range(4))
    batch = Batch(images, labels, np.arange(4), ("",) * 4)

    def work(run: int) -> None:
        step.backward(batch)
        step.update(Rates(1e-4, 1e-4, 1e-4, 0.9, 0.999, run + 1))

    return work


if __name__ == "__main__":
    sys.exit(main())

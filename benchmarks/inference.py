"""How long does an image take? The network by every contender, and a JPEG file to boxes by ``yolo.Detector``.

python -m benchmarks.inference [--json]; `make bench-peers` installs the others.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
from pathlib import Path

from benchmarks.driver import Contender, Measurement, confine, measure
from benchmarks.images import first_images, write_images
from benchmarks.options import base_parser, wanted
from benchmarks.places import PARITY, PEERS_PYTHON, PROJECT_PYTHON, WORK, weights
from benchmarks.table import Row, as_json, as_text, difference, make_rows
from yolo.program.target import PRECISIONS

REFERENCE = "OneFlow modules"
DIRECT = "this project, no OneFlow"
TOLERANCES = {"fp32": 1e-4, "bf16": 0.1, "int8": 0.5}
"""The largest norm of the difference to plain OneFlow, divided by the norm, in heads before the sigmoid."""
CALIBRATION_IMAGES = 32
COLUMNS = {
    "model": "model",
    "name": "contender",
    "precision": "precision",
    "median_ms": "median ms",
    "min_ms": "min ms",
    "spread": "spread",
    "ratio_to_best_peer": "ratio to best peer",
    "peak_rss_mb": "peak MB",
    "difference": "difference",
    "equal": "equal",
}
WHOLE_COLUMNS = {
    "model": "model",
    "name": "contender",
    "precision": "precision",
    "median_ms": "median ms",
    "min_ms": "min ms",
    "spread": "spread",
    "network_ms": "network ms",
    "before_share": "before it",
    "after_share": "after it",
}


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The files that the contenders of one model read."""

    weights: Path
    onnx: Path
    images: Path
    calibration: Path


def main() -> int:
    """Measure, print; 1 where an output is not what it must be, 2 where files are missing."""
    options = _parser().parse_args()
    confine(options.threads)
    rows, failed = [], False
    every = prepare(options)
    if every is None:
        return 2
    for model, inputs in every.items():
        chosen = [c for c in contenders(inputs, options.threads) if wanted(c, options.only, REFERENCE)]
        found = measure(chosen, WORK / "workers", rounds=options.rounds, lead=1)
        network = make_rows(model, found)
        failed |= _compare(network, found)
        rows += [*network, *_whole(model, inputs, options)]
    print(as_json(rows, size=options.size, threads=options.threads) if options.json else _text(rows, options))
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = base_parser(__doc__, size=640, rounds=30)
    parser.add_argument("--picture", type=Path, default=PARITY / "data" / "bus.jpg")
    return parser


def prepare(options: argparse.Namespace) -> dict[str, Inputs] | None:
    """Write what the contenders of each model read; None, and a line on stderr, where weights or images are absent."""
    try:
        return {model: _inputs(model, options) for model in options.models}
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return None


def _inputs(model: str, options: argparse.Namespace) -> Inputs:
    inputs = Inputs(
        weights(model, options.weights),
        WORK / f"{model}-{options.size}.onnx",
        WORK / f"image-{options.size}.npz",
        calibration_file(options.data, options.size),
    )
    write_images(inputs.images, [options.picture], options.size)
    newest = max(inputs.weights.stat().st_mtime, inputs.calibration.stat().st_mtime)
    if PEERS_PYTHON.exists() and not (inputs.onnx.exists() and inputs.onnx.stat().st_mtime > newest):
        command = [PEERS_PYTHON, "-m", "benchmarks.peers.onnx_network", inputs.weights, inputs.onnx]
        subprocess.run([*map(str, command), *[str(options.size)] * 2], check=True)
    return inputs


def calibration_file(data: Path, size: int) -> Path:
    """The .npz of images that int8 networks are calibrated on, made where there is none."""
    path = WORK / f"calibration-{size}.npz"
    if not path.exists():
        write_images(path, first_images(data, CALIBRATION_IMAGES), size)
    return path


def contenders(inputs: Inputs, threads: int) -> list[Contender]:
    """Ours and the peers', every precision; those that this processor lacks fail when they load."""
    common = {"images": str(inputs.images), "threads": threads}
    low = {**common, "calibration": str(inputs.calibration)}
    ours = {**common, "weights": str(inputs.weights)}
    peers = {**low, "model": str(inputs.onnx)}
    environment = {"OMP_NUM_THREADS": str(threads)}
    direct = {**low, "weights": str(inputs.weights)}
    flow = {**direct, "compile": "program"}
    found = [_project(REFERENCE, "fp32", False, "oneflow_inference", {**flow, "compile": "off"}, environment)]
    for precision in ("fp32", "bf16", "int8"):
        if precision in PRECISIONS:
            found.append(_project("this project", precision, True, "oneflow_inference", flow, environment))
            found.append(_project(DIRECT, precision, True, "program_inference", direct, environment))
    for module, name, precisions, options in (
        ("onnxruntime_inference", "onnxruntime", ("fp32", "int8"), peers),
        ("openvino_inference", "OpenVINO", ("fp32", "bf16", "int8"), peers),
        ("torch_inference", "PyTorch channels_last", ("fp32", "bf16"), ours),
        ("opencv_inference", "OpenCV dnn", ("fp32",), peers),
        ("ncnn_inference", "ncnn", ("fp32",), {**peers, "weights": str(inputs.weights)}),
    ):
        found += [_peer(name, p, module, options, environment) for p in precisions]
    return found


def _project(name: str, precision: str, ours: bool, module: str, options: dict, environment: dict) -> Contender:
    options = {**options, "precision": precision}
    return Contender(name, precision, ours, PROJECT_PYTHON, f"benchmarks.workers.{module}", options, environment)


def _peer(name: str, precision: str, module: str, options: dict, environment: dict) -> Contender:
    options = {**options, "precision": precision}
    return Contender(name, precision, False, str(PEERS_PYTHON), f"benchmarks.workers.{module}", options, environment)


def _compare(rows: list[Row], found: list[Measurement]) -> bool:
    """Note in every row how far its heads are from plain OneFlow's; True where one is too far."""
    reference = next((m.outputs for m in found if m.contender.name == REFERENCE), None)
    for row, measurement in zip(rows, found):
        row["difference"] = row["equal"] = None
        if reference is not None and measurement.outputs is not None:
            row["difference"] = difference(measurement.outputs, reference)
            row["equal"] = row["difference"] <= TOLERANCES[row["precision"]]
    return any(row["equal"] is False for row in rows)


def _whole(model: str, inputs: Inputs, options: argparse.Namespace) -> list[Row]:
    """The rows of the detector: what goes on before and after the network, as shares of the whole."""
    settings = {"weights": str(inputs.weights), "image": str(options.picture), "size": options.size}
    environment = {"OMP_NUM_THREADS": str(options.threads)}
    module = "benchmarks.workers.detector"
    contender = Contender("Detector, JPEG to boxes", "fp32", True, PROJECT_PYTHON, module, settings, environment)
    found = measure([contender], WORK / "workers", rounds=options.rounds)
    (row,) = make_rows(model, found)
    if found[0].ms:
        figures = [(ms, *pair) for ms, *pair in zip(found[0].ms, *found[0].figures.values())]
        row["network_ms"] = round(_median([network for _, network, _ in figures]), 3)
        row["before_share"] = round(_median([(ms - network - nms) / ms for ms, network, nms in figures]), 4)
        row["after_share"] = round(_median([nms / ms for ms, _, nms in figures]), 4)
    return [row]


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _text(rows: list[Row], options: argparse.Namespace) -> str:
    about = f"one image, {options.threads} threads"
    network = [row for row in rows if "equal" in row]
    whole = [row for row in rows if "equal" not in row]
    first = as_text(f"Network alone, {options.size}x{options.size}, {about}", network, COLUMNS)
    second = as_text(f"{options.picture.name} to boxes, {about}", whole, WHOLE_COLUMNS)
    return f"{first}\n\n{second}"


if __name__ == "__main__":
    sys.exit(main())

"""How does training scale over ranks? One epoch for each number of them, batch 16 a rank: YOLOv5's DDP profile.

python -m benchmarks.ddp_scaling [--ranks 1 2 4] [--data coco.yaml] [--json] [--plot FILE.png]

On CPUs each rank has cores of its own, the one-rank run as many as each of the others. Times are the training's own
(``--profile``), of the steps after the first, which compiles. Weights are those of a network that has learnt nothing
unless --weights names some: such a network finds little, so validation has less to suppress.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.coco_like import make_coco_like
from benchmarks.driver import tell
from benchmarks.options import positive
from benchmarks.places import WORK
from benchmarks.scaling_model import LINKS, Link, Prediction, StepModel, fit, predict
from benchmarks.scaling_plot import draw_scaling
from benchmarks.scaling_runs import Figures, RunError, median, point, run
from benchmarks.scaling_table import (
    PUBLISHED_TITLE,
    exchange_lines,
    failed_row,
    measured_row,
    model_lines,
    prediction_json,
    predictions_table,
    published_rows,
    rows_table,
)
from benchmarks.table import Row, as_json
from yolo.data.load import load_dataset
from yolo.errors import YoloError
from yolo.runtime import machine

PREDICTED = tuple(2**k for k in range(3, 11))
FLOAT_BYTES = 4


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print; 1 where a run failed, 2 where it cannot begin."""
    options = _parser().parse_args(argv)
    on_cpu = options.device == "cpu"
    try:
        data = str(options.data or make_coco_like(WORK / f"coco-like-{options.pictures}", options.pictures))
        model = options.model or ("yolov5n" if on_cpu else "yolov5l")
        size = _values(model, len(load_dataset(data).names))
    except (YoloError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    ranks = sorted(set(options.ranks or [n for n in (1, 2, 4) if n <= len(os.sched_getaffinity(0))]))
    cores = {count: _cores(count, ranks[-1]) if on_cpu else [] for count in ranks}
    runs, failures = _measure(options, model, data, cores)
    found = {count: median(done) for count, done in runs.items() if done}
    alone = found.get(1)
    notes = {count: _note(count, cores[count], on_cpu) for count in ranks}
    rows = [
        measured_row(model, options.batch, found[count], alone, notes[count])
        if count in found
        else failed_row(model, options.batch, count, failures[count])
        for count in ranks
    ]
    fitted = _fit(found, alone, FLOAT_BYTES * size)
    predictions = _predict(fitted, _links(options)) if fitted else {}
    if options.plot:
        draw_scaling(options.plot, rows, published_rows(), predictions, options.batch)
    print(
        _json(options, rows, fitted, predictions) if options.json else _text(options, rows, found, fitted, predictions)
    )
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--ranks", type=positive, nargs="+", help="numbers of ranks (default: of 1 2 4 what there are cores for)"
    )
    parser.add_argument("--batch", type=positive, default=16, help="images a step and rank")
    parser.add_argument("--model", help="default: yolov5n on a CPU, yolov5l on GPUs")
    parser.add_argument("--weights", default="", help="to start from; '' for none")
    parser.add_argument("--data", help="data set YAML; default: one of COCO's shape, made here")
    parser.add_argument("--pictures", type=positive, default=512, help="training images of that one")
    parser.add_argument("--size", type=positive, default=640, help="of images, in pixels")
    parser.add_argument(
        "--repeats", type=positive, default=1, help="runs of each number of ranks, in turn; medians count"
    )
    parser.add_argument("--device", default="cpu", help="cpu, or CUDA indices such as 0,1,2,3")
    parser.add_argument(
        "--compile",
        default="program",
        choices=("program", "off"),
        help="off: plain modules, as on GPUs",
    )
    parser.add_argument("--bandwidth", type=float, help="predict for links of so many GB/s")
    parser.add_argument("--latency", type=float, default=5.0, help="and so many µs a message")
    parser.add_argument("--limit", type=float, default=7200.0, help="seconds that a run may take")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--plot", type=Path, help="write a PNG of measured and predicted scaling")
    return parser


def _values(model: str, classes: int) -> int:
    """Numbers that an update sums over ranks: parameters and running statistics."""
    from yolo import runtime

    runtime.start()
    from graphs.parameters import ParameterVector
    from yolo.models.network import build_network

    return ParameterVector(build_network(model, nc=classes, init=False)).size


def _cores(count: int, most: int) -> list[list[int]]:
    """Each rank's cores: as many as it has in the largest run; shared where there are fewer cores than ranks."""
    own = sorted(os.sched_getaffinity(0))
    each = max(len(own) // most, 1)
    return [[own[(rank * each + k) % len(own)] for k in range(each)] for rank in range(count)]


def _note(count: int, cores: Sequence[Sequence[int]], on_cpu: bool) -> str:
    shared = len({core for own in cores for core in own}) < sum(map(len, cores))
    return "ranks share cores" if on_cpu and shared else ""


def _measure(
    options: argparse.Namespace, model: str, data: str, cores: dict[int, list[list[int]]]
) -> tuple[dict[int, list[Figures]], dict[int, str]]:
    """The runs of each number of ranks, one of each in turn, and why those that fail do."""
    runs: dict[int, list[Figures]] = {count: [] for count in cores}
    failures: dict[int, str] = {}
    for repeat in range(options.repeats):
        for count, own in cores.items():
            if count in failures:
                continue
            tell(f"{count} ranks, run {repeat + 1} of {options.repeats}")
            folder = (WORK / f"scaling/ranks{count}").resolve()
            try:
                runs[count].append(run(_words(options, model, data, count), count, own, folder, options.limit))
            except RunError as error:
                failures[count] = str(error)
                runs[count] = []
    return runs, failures


def _words(options: argparse.Namespace, model: str, data: str, ranks: int) -> list[str]:
    """What ``yolo.train`` is told. An update a step: as much exchange as there can be."""
    total = str(options.batch * ranks)
    values = {
        "--weights": options.weights,
        "--cfg": model,
        "--data": data,
        "--imgsz": str(options.size),
        "--batch": total,
        "--nbs": total,
        "--epochs": "1",
        "--device": ",".join(options.device.split(",")[:ranks]),
        "--compile": options.compile,
    }
    return [*(word for pair in values.items() for word in pair), "--noplots", "--noautoanchor"]


def _fit(found: dict[int, Figures], alone: Figures | None, reduced: float) -> StepModel | None:
    if alone is None:
        return None
    return fit([point(one, alone) for one in found.values()], reduced=reduced, updates=alone.updates)


def _links(options: argparse.Namespace) -> Sequence[Link]:
    if not options.bandwidth:
        return LINKS
    name = f"{options.bandwidth:g} GB/s, {options.latency:g} µs"
    return [Link(name, 1e9 * options.bandwidth, 1e-6 * options.latency)]


def _predict(model: StepModel, links: Sequence[Link]) -> dict[Link, list[Prediction]]:
    return {link: [predict(model, ranks, link) for ranks in PREDICTED] for link in links}


def _json(
    options: argparse.Namespace, rows: list[Row], model: StepModel | None, predictions: dict[Link, list[Prediction]]
) -> str:
    told = [prediction_json(link, one) for link, line in predictions.items() for one in line]
    about = {"size": options.size, "batch_per_rank": options.batch, "repeats": options.repeats}
    fitted = dataclasses.asdict(model) if model else None
    return as_json(rows, **about, published=published_rows(), model=fitted, predictions=told)


def _text(
    options: argparse.Namespace,
    rows: list[Row],
    found: dict[int, Figures],
    model: StepModel | None,
    predictions: dict[Link, list[Prediction]],
) -> str:
    title = f"{rows[0]['model']}, {options.size} pixels, batch {options.batch} a rank, {options.device}; {machine()}"
    lines = [*rows_table(title, rows), "", *rows_table(PUBLISHED_TITLE, published_rows())]
    for count in sorted(found.keys() - {1}) if 1 in found else ():
        lines += ["", *exchange_lines(found[count], found[1])]
    if model:
        lines += ["", "### Model, fitted to these runs", "", *model_lines(model)]
        lines += ["", *predictions_table("Predicted", predictions, options.batch)]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

"""What does a request to ``yolo.serve`` take longer than a call of the detector, when one client asks?

python -m benchmarks.serve [--json]

The detector, and the client with its server, are processes of their own that run in turns on the same processors: the
server's share of them is what the client leaves, which does nothing while it waits.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from benchmarks.driver import Contender, Measurement, confine, measure
from benchmarks.images import first_images
from benchmarks.options import base_parser
from benchmarks.places import PROJECT_PYTHON, WORK, weights
from benchmarks.table import Row, as_json, as_text, difference, make_rows

CALL, REQUEST = "Detector(path)", "POST /v1/detect"
COLUMNS = {
    "model": "model",
    "name": "contender",
    "precision": "precision",
    "median_ms": "median ms",
    "min_ms": "shortest ms",
    "network_ms": "network ms",
    "above_ms": "above the call, ms",
    "spread": "spread",
    "runs": "runs",
}


def main() -> int:
    """Measure and print; 2 where files are missing."""
    options = base_parser(__doc__, size=640, rounds=200).parse_args()
    confine(options.threads)
    rows = []
    try:
        (image,) = first_images(options.data, 1)
        for model in options.models:
            given = contenders(weights(model, options.weights), image, options)
            rows += as_rows(model, measure(given, WORK / "workers", rounds=options.rounds, warmup=5))
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    about = {"size": options.size, "threads": options.threads}
    title = f"One JPEG file to boxes, {options.size}, {options.threads} threads"
    print(as_json(rows, **about) if options.json else as_text(title, rows, COLUMNS))
    return 0


def contenders(path: Path, image: Path, options: argparse.Namespace) -> list[Contender]:
    """The call and the request."""
    given = {"weights": str(path), "image": str(image), "size": options.size}
    environment = {"OMP_NUM_THREADS": str(options.threads)}
    modules = {CALL: "benchmarks.workers.detector", REQUEST: "benchmarks.workers.request"}
    return [
        Contender(name, "fp32", True, PROJECT_PYTHON, module, given, environment) for name, module in modules.items()
    ]


def as_rows(model: str, found: list[Measurement]) -> list[Row]:
    """Rows with the request's median above the call's; a note where they do not find the same."""
    rows = make_rows(model, found)
    for row, one in zip(rows, found):
        if one.ms:
            row["network_ms"] = round(statistics.median(one.figures["network_ms"]), 3)
    call, request = found
    if call.ms and request.ms:
        rows[1]["above_ms"] = round(request.median_ms - call.median_ms, 3)
        if not difference(request.outputs, call.outputs) < 1e-4:
            rows[1]["note"] = "finds something else than the call"
    return rows


if __name__ == "__main__":
    sys.exit(main())

"""How long is it from the start of a program to its first boxes, with a compiled detector's file?

python -m benchmarks.first_boxes [--rounds N] [--json]

Fresh processes in turns: an empty one, the libraries alone, `import yolo`, and one image through a Detector. Python's
own byte code is kept in a folder of this benchmark, as an installed package has it. Inside the last: what the import,
the detector, the first and the tenth call take.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.driver import tell
from benchmarks.options import positive
from benchmarks.places import PARITY, ROOT, WORK
from yolo.runtime import machine

BOXES = """
import sys, time
begin = time.perf_counter()
from yolo import Detector
imported = time.perf_counter()
detector = Detector(sys.argv[1], device="cpu")
made, calls = time.perf_counter(), []
assert len(detector(sys.argv[2]))
calls.append(time.perf_counter() - made)
if len(sys.argv) > 3:
    for _ in range(9):
        start = time.perf_counter()
        detector(sys.argv[2])
        calls.append(time.perf_counter() - start)
print(*(round(1000 * seconds, 1) for seconds in (imported - begin, made - imported, calls[0], calls[-1])))
"""
PROGRAMS = {"python": "pass", "numpy, cv2": "import numpy, cv2", "import yolo": "import yolo", "first boxes": BOXES}
PARTS = ("import", "detector", "first call", "tenth call")


def main() -> int:
    """Measure and print; 2 where files are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=PARITY / "weights" / "yolov5n.pt")
    parser.add_argument("--image", type=Path, default=PARITY / "data" / "bus.jpg")
    parser.add_argument("--rounds", type=positive, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for path in (options.weights, options.image):
        if not path.is_file():
            print(f"no {path}: name one with --weights or --image", file=sys.stderr)
            return 2
    files = [str(compiled(options.weights)), str(options.image)]
    rows = measured(files, options.rounds)
    if options.json:
        print(json.dumps({"schema_version": 1, "machine": machine(), "rows": rows}))
        return 0
    for row in rows:
        print(f"{row['name']:<22} median {row['median_ms']:7.1f} ms, shortest {row['min_ms']:7.1f}")
    return 0


def compiled(weights: Path) -> Path:
    """The compiled detector's file of ``weights``, made anew."""
    from yolo.export import main as export

    WORK.mkdir(parents=True, exist_ok=True)
    copy = WORK / f"first-{weights.name}"
    copy.write_bytes(weights.read_bytes())
    if export(["--weights", str(copy)]) != 0:
        raise SystemExit(2)
    return copy.with_suffix(".program")


def measured(files: list[str], rounds: int) -> list[dict]:
    """Rows of whole processes, and of the parts inside of those that find boxes."""
    times: dict[str, list[float]] = {name: [] for name in (*PROGRAMS, *(f"  {part}" for part in PARTS))}
    for number in range(-1, rounds):
        for name, code in PROGRAMS.items():
            begin = time.perf_counter()
            _run(code, files)
            if number >= 0:  # the first writes byte code
                times[name].append(1000 * (time.perf_counter() - begin))
        parts = map(float, _run(BOXES, [*files, "ten"]).split())
        if number >= 0:
            for part, milliseconds in zip(PARTS, parts):
                times[f"  {part}"].append(milliseconds)
        tell(f"round {number + 1} of {rounds}")
    return [
        {
            "name": name.strip(),
            "median_ms": round(statistics.median(ms), 1),
            "min_ms": round(min(ms), 1),
            "runs": len(ms),
        }
        for name, ms in times.items()
    ]


def _run(code: str, argv: list[str]) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(WORK / "bytecode")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", code, *argv]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


if __name__ == "__main__":
    sys.exit(main())

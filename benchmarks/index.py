"""How long does a start take on a large data set, and what does each further rank add to memory?

Small images with YOLO labels, hard links of a few files, are made in a temporary folder. A first process looks at all
of them; a second finds them unchanged and stays; a third does the same beside it: what it adds is a further rank's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from yolo.data.images import write_image
from yolo.runtime import machine

_KINDS = 16
"""Different files; a file system allows some ten thousand links to one."""
_OBJECTS = 7
_CLASSES = 80


def main() -> int:
    """Print a line for each process (or --json)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--folder", default=None, help="where the temporary folder is made")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows = measure(make_set(Path(folder), options.images))
    if options.json:
        print(json.dumps({"schema_version": 1, "machine": machine(), "images": options.images, "rows": rows}))
        return 0
    for row in rows:
        print("{name:<14} {seconds:7.2f} s ({cpu_seconds:.2f} s of CPU), {private_mb:6.1f} MB of its own".format(**row))
    return 0


def make_set(folder: Path, count: int) -> Path:
    """A data set of so many images for training; gives its YAML file."""
    rng = np.random.default_rng(0)
    images, labels = folder / "images" / "train", folder / "labels" / "train"
    for place in (images, labels, folder / "kinds"):
        place.mkdir(parents=True)
    for kind in range(_KINDS):
        write_image(folder / "kinds" / f"{kind}.jpg", rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
        rows = [f"{rng.integers(_CLASSES)} {x:.6f} {y:.6f} 0.1 0.2\n" for x, y in rng.uniform(0.2, 0.8, (_OBJECTS, 2))]
        (folder / "kinds" / f"{kind}.txt").write_text("".join(rows), encoding="ascii")
    for number in range(count):
        os.link(folder / "kinds" / f"{number % _KINDS}.jpg", images / f"{number:012}.jpg")
        os.link(folder / "kinds" / f"{number % _KINDS}.txt", labels / f"{number:012}.txt")
    names = [f"class{number}" for number in range(_CLASSES)]
    (folder / "data.yaml").write_text(json.dumps({"path": str(folder), "train": "images/train", "names": names}))
    return folder / "data.yaml"


def measure(data: Path) -> list[dict[str, Any]]:
    """For the first scan, a start and a further rank: name, seconds, cpu_seconds, private_mb, images, labels."""
    command = [sys.executable, "-m", "benchmarks.index_start", str(data)]
    rows = []
    for name in ("first scan", "start", "further rank"):
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        rows.append((name, process, json.loads(process.stdout.readline())))
        if name == "first scan":
            _end(process)
    for _, process, _ in rows[1:]:
        _end(process)
    return [{"name": name, **found} for name, _, found in rows]


def _end(process: subprocess.Popen) -> None:
    process.communicate()
    if process.returncode:
        raise RuntimeError(f"a process of the benchmark ended with {process.returncode}")


if __name__ == "__main__":
    sys.exit(main())

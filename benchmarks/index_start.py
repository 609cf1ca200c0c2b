"""``python -m benchmarks.index_start DATA``: index the training split, say what it took, stay until stdin ends."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

from yolo.data.index import index_split
from yolo.data.load import load_dataset


def main() -> int:
    """Print one JSON object: seconds, cpu_seconds, private_mb, images, labels."""
    before = _private()
    begin, cpu = time.perf_counter(), time.process_time()
    index = index_split(load_dataset(sys.argv[1]), "train")
    found = {
        "seconds": round(time.perf_counter() - begin, 3),
        "cpu_seconds": round(time.process_time() - cpu, 3),
        "private_mb": round(_private() - before, 1),
        "images": len(index),
        "labels": int(index.labels.counts.sum()),
    }
    print(json.dumps(found), flush=True)
    sys.stdin.read()
    return 0


def _private() -> float:
    """Megabytes that no other process has."""
    text = Path("/proc/self/smaps_rollup").read_text(encoding="ascii")
    return sum(int(number) for number in re.findall(r"^Private_\w+:\s+(\d+) kB$", text, re.MULTILINE)) * 1024 / 1e6


if __name__ == "__main__":
    sys.exit(main())

"""Does a Detector's memory grow over 10,000 images of 1,000 sizes?

python -m benchmarks.many_sizes [--weights FILE] [--augment] [--json]

Arrays and JPEG files' bytes in turns, of sides from 32 to 1400 pixels; RSS after each tenth of the images.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.options import positive
from benchmarks.places import PARITY
from yolo.runtime import machine

PARTS = 10
"""Times at which memory is read; what is allocated in the first part may stay."""
_SMALLEST, _LARGEST = 32, 1400


def main() -> int:
    """Print RSS in megabytes after each tenth of the images (or --json)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default=str(PARITY / "weights" / "yolov5n.pt"), help="weights, or a .program")
    parser.add_argument("--imgsz", type=positive, default=320)
    parser.add_argument("--images", type=positive, default=10_000)
    parser.add_argument("--sizes", type=positive, default=1_000)
    parser.add_argument("--augment", action="store_true", help="three views of each image, which have more shapes")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    row = watched(options)
    if options.json:
        print(json.dumps({"schema_version": 1, "machine": machine(), "rows": [row]}))
    else:
        steps = " ".join(f"{megabytes:.0f}" for megabytes in row["rss_mb"])
        print(f"{row['images']} images of {row['sizes']} sizes, {row['shapes']} letterboxed, {row['seconds']} s")
        print(f"RSS in MB after each tenth: {steps}; {100 * row['growth']:+.2f} % from the second on")
    return 0


def watched(options: argparse.Namespace) -> dict:
    """Look at all images; give the row."""
    from yolo import Detector

    detector = Detector(options.weights, device="cpu", imgsz=options.imgsz, augment=options.augment)
    images = make_images(options.sizes)
    resident, shapes, begin = [], set(), time.perf_counter()
    for number in range(options.images):
        shapes.add(detector(images[number % len(images)]).input_size)
        if (number + 1) * PARTS // options.images > len(resident):
            resident.append(round(_resident(), 1))
    return {
        "name": "augment" if options.augment else "plain",
        "images": options.images,
        "sizes": len(images),
        "shapes": len(shapes),
        "seconds": round(time.perf_counter() - begin, 1),
        "rss_mb": resident,
        "growth": round(max(resident[1:]) / resident[min(1, len(resident) - 1)] - 1, 4),
    }


def make_images(sizes: int) -> list[np.ndarray | bytes]:
    """Parts of one image, each of another size: arrays, views of it, and JPEG files in turns."""
    rng = np.random.default_rng(0)
    whole = cv2.resize(rng.integers(0, 256, (24, 24, 3), np.uint8), (_LARGEST, _LARGEST))
    chosen: dict[tuple[int, int], None] = {}
    while len(chosen) < sizes:
        chosen[tuple(rng.integers(_SMALLEST, _LARGEST + 1, 2).tolist())] = None
    parts = [whole[:height, :width] for height, width in chosen]
    return [cv2.imencode(".jpg", part)[1].tobytes() if k % 2 else part for k, part in enumerate(parts)]


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())

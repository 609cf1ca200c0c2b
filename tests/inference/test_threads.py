"""Threads with a detector each, from weights: whatever they do at the same time, the same bits."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import yolo
from tests.inference.samples import noise
from yolo.inference.detector import Detector

SIZES = ((48, 64), (64, 64))


def make(weights: Path, mode: str = "program") -> Detector:
    return Detector(weights, device="cpu", imgsz=64, conf=0.001, max_det=20, compile=mode)


def rows(detector: Detector, sizes: tuple[tuple[int, int], ...] = SIZES) -> list[np.ndarray]:
    return [detector(noise(size, seed)).rows for seed, size in enumerate(sizes)]


def at_once(work: Callable[[], None], threads: int = 8) -> None:
    """Run it in so many threads, which begin together; raises the first error of one."""
    errors: list[BaseException] = []

    barrier = threading.Barrier(threads)

    def guarded() -> None:
        try:
            barrier.wait()
            work()
        except BaseException as error:
            errors.append(error)

    running = [threading.Thread(target=guarded) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if errors:
        raise errors[0]


FRESH = """
import sys, threading
sys.setswitchinterval(1e-4)
import numpy as np
from yolo.inference.detector import Detector

found, barrier, image = [], threading.Barrier(8), np.load(sys.argv[2])

def work():
    barrier.wait()
    found.append(Detector(sys.argv[1], imgsz=64, conf=0.001, max_det=20)(image).rows)

threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(60)
print(len(found), *{rows.tobytes().hex() for rows in found})
"""


def test_a_detector_a_thread(weights: Path, tmp_path: Path) -> None:
    """From nothing: they bring up OneFlow, call its operators for the first time and trace graphs, all at once."""
    np.save(tmp_path / "image.npy", noise())
    argv = [sys.executable, "-c", FRESH, str(weights), str(tmp_path / "image.npy")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, cwd=Path(yolo.__file__).parents[1])
    expected = make(weights)(noise()).rows
    assert len(expected)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"8 {expected.tobytes().hex()}\n", "")


def test_a_detector_of_plain_operators_a_thread(weights: Path) -> None:
    expected = rows(make(weights, "off"), SIZES[:1])
    at_once(lambda: np.testing.assert_equal(rows(make(weights, "off"), SIZES[:1]), expected), threads=2)


def come_and_go(weights: Path, rounds: int) -> None:
    """Detectors of their own and shared ones, dropped at any moment, in threads that end."""
    expected, shared = rows(make(weights)), [make(weights), make(weights)]

    def work() -> None:
        own = make(weights)
        np.testing.assert_equal(rows(own), expected)
        cycle = [own]
        cycle.append(cycle)  # for the collector to find
        del own, cycle
        for detector in shared:
            np.testing.assert_equal(rows(detector), expected)
        gc.collect()

    for _ in range(rounds):
        at_once(work)


def test_threads_and_detectors_come_and_go(weights: Path) -> None:
    come_and_go(weights, 1)


@pytest.mark.stress
def test_threads_and_detectors_come_and_go_for_long(weights: Path) -> None:
    come_and_go(weights, 40)

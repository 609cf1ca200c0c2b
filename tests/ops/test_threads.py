"""The operators on the process's threads: how many there are, and what does not depend on it."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.ops.loss_cases import PLAIN, make
from tests.ops.samples import crowded_predictions
from yolo import native
from yolo.ops import pairwise_iou
from yolo.program.detection import NmsSettings, detection_head

ROOT = Path(__file__).parents[2]
ANCHORS, STRIDES = np.full((2, 3, 2), 24, np.float32), (8, 16)
SETTINGS = NmsSettings(conf=0.05, iou=0.5, max_det=100, multi_label=True)


def heads_of(seed: int, images: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(-1, 2, (images, 3 * 10, 128 // stride, 96 // stride)).astype(np.float32) for stride in STRIDES]


def detect(heads: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return detection_head([head.shape for head in heads], ANCHORS, STRIDES, SETTINGS)(heads)


def boxes_of(count: int) -> np.ndarray:
    """So many that their overlaps are several pieces of work."""
    corners = crowded_predictions(np.random.default_rng(1), 1, count, 1)[0, :, :4]
    return np.concatenate((corners[:, :2] - corners[:, 2:], corners[:, :2] + corners[:, 2:]), axis=1)


def test_many_python_threads_get_what_one_gets():
    batches = [heads_of(seed) for seed in range(4)]
    expected = [detect(heads) for heads in batches]
    assert all(counts.min() > 0 for _, counts in expected)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda i: detect(batches[i % 4]), range(48)))
    for i, (detections, counts) in enumerate(results):
        np.testing.assert_array_equal(detections, expected[i % 4][0])
        np.testing.assert_array_equal(counts, expected[i % 4][1])


@pytest.mark.parametrize("threads", [1, 2, 5, 64])
def test_results_do_not_depend_on_the_number_of_threads(threads):
    heads, boxes = heads_of(0, images=7), boxes_of(600)
    native.set_default_threads(3)
    expected = [*detect(heads), pairwise_iou(boxes, boxes)]
    native.set_default_threads(threads)
    assert native.default_threads() == threads
    for found, wanted in zip([*detect(heads), pairwise_iou(boxes, boxes)], expected):
        np.testing.assert_array_equal(found, wanted)


def test_different_operators_at_once():
    heads, case = heads_of(0), make(7, ((40, 56), (20, 28)), (12, 0, 7, 12), classes=5)
    loss = case.operator(PLAIN)

    def work(i: int) -> float:
        return float(loss(case.heads, case.labels, case.counts)[1][0] if i % 2 else detect(heads)[0].sum())

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(work, range(20)))
    assert len(set(results[::2])) == len(set(results[1::2])) == 1


def test_the_number_is_what_was_set_or_all_cores_of_the_process():
    assert native.default_threads() == len(os.sched_getaffinity(0))
    native.set_default_threads(3)
    assert native.default_threads() == 3
    native.set_default_threads(0)
    assert native.default_threads() == len(os.sched_getaffinity(0))
    with pytest.raises(ValueError, match="threads: expected 0 or more, got -1"):
        native.set_default_threads(-1)


def test_a_missing_module_is_one_clear_line_where_it_is_needed():
    code = (
        "import sys, numpy; sys.modules['yolo._native'] = None; from yolo import ops; "
        "print(ops.xywhn_to_xyxy([[0.5, 0.5, 1, 1]], (2, 4)).tolist()); "
        "ops.pairwise_iou(numpy.zeros((1, 4)), numpy.zeros((1, 4)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode != 0 and done.stdout == "[[0.0, 0.0, 4.0, 2.0]]\n"
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("yolo.errors.RuntimeSetupError: yolo._native: ") and last.endswith("; run: make build")


@pytest.mark.parametrize("package", ["ops", "metrics", "data"])
def test_importing_loads_neither_the_compiled_module_nor_oneflow(package):
    code = (
        f"import importlib, pkgutil, sys, yolo.{package} as package\n"
        "for found in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "    importlib.import_module(found.name)\n"
        "print(sorted({'oneflow', 'yolo._native'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr

"""The operators under several threads, and without their compiled module."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.ops.samples import crowded_predictions
from yolo.ops import assign_targets, nms, num_threads, pairwise_iou, set_num_threads

ROOT = Path(__file__).parents[2]
OPTIONS = {"conf": 0.05, "iou": 0.5, "multi_label": True}


@pytest.fixture(autouse=True)
def default_threads():
    yield
    set_num_threads(0)


def test_many_python_threads_get_what_one_gets():
    batches = [crowded_predictions(np.random.default_rng(i), 3, 700, 5) for i in range(4)]
    expected = [nms(batch, **OPTIONS) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda i: nms(batches[i % 4], **OPTIONS), range(48)))
    for i, (detections, counts) in enumerate(results):
        np.testing.assert_array_equal(detections, expected[i % 4][0])
        np.testing.assert_array_equal(counts, expected[i % 4][1])


@pytest.mark.parametrize("threads", [1, 2, 5, 64])
def test_results_do_not_depend_on_the_number_of_threads(threads):
    predictions = crowded_predictions(np.random.default_rng(0), 7, 300, 3)
    boxes = predictions[0, :, :4]
    expected = nms(predictions, **OPTIONS), pairwise_iou(boxes, boxes, "ciou")
    set_num_threads(threads)
    assert num_threads() == threads
    (detections, counts), overlaps = nms(predictions, **OPTIONS), pairwise_iou(boxes, boxes, "ciou")
    np.testing.assert_array_equal(detections, expected[0][0])
    np.testing.assert_array_equal(counts, expected[0][1])
    np.testing.assert_array_equal(overlaps, expected[1])


def test_different_operators_at_once():
    predictions = crowded_predictions(np.random.default_rng(0), 2, 300, 3)
    labels = np.full((2, 9, 5), 0.3, np.float32)

    def work(i: int) -> int:
        if i % 2:
            return int(nms(predictions, **OPTIONS)[1].sum())
        return len(assign_targets(labels, [9, 4], np.ones((1, 3, 2)), [(8, 8)], 4.0)[0])

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(work, range(20)))
    assert len(set(results[::2])) == len(set(results[1::2])) == 1


def test_wrong_number_of_threads():
    with pytest.raises(ValueError, match="threads"):
        set_num_threads(-1)


def test_default_is_all_cores_of_the_process():
    set_num_threads(3)
    set_num_threads(0)
    assert num_threads() == len(os.sched_getaffinity(0))


def test_a_missing_module_is_one_clear_line():
    code = "import sys; sys.modules['yolo._C'] = None; import yolo.ops"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("yolo.errors.RuntimeSetupError: yolo._C: ") and last.endswith("; run: make build")

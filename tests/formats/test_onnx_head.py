"""Decoding and suppression inside an ONNX file are those of this project's operators."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from tests.formats.detectors import RUNTIMES, loaded, run_detector, small
from tests.program.networks import random_images
from yolo.formats.agreement import decoded, difference_of_predictions
from yolo.formats.foreign import detections_of
from yolo.formats.onnx_body import OnnxBody
from yolo.formats.onnx_head import write_suppression
from yolo.formats.onnx_model import assemble
from yolo.formats.portable import DECODED, DETECTIONS, HEADS, Layout
from yolo.program.compiled import CompiledNetwork
from yolo.program.detection import NmsSettings, suppression

CLASSES = 80


def predictions(rows: int, batch: int = 3, seed: int = 0, classes: int = CLASSES) -> np.ndarray:
    """Random ones in crowds, with equal scores and equal boxes among them; none in the last image."""
    rng = np.random.default_rng(seed)
    found = np.zeros((batch, rows, 5 + classes), np.float32)
    found[..., :2] = rng.integers(0, 6, (batch, rows, 2)) * 40 + rng.uniform(-9, 9, (batch, rows, 2)) + 100
    found[..., 2:4] = rng.choice([40, 60, 80], (batch, rows, 2)) + rng.uniform(0, 8, (batch, rows, 2))
    found[..., 4] = rng.choice([0.1, 0.5, 0.75, 1], (batch, rows))
    found[..., 5:] = rng.choice([0.0, 0.25, 0.5, 0.75, 1], (batch, rows, classes), p=[0.9, 0.07, 0.01, 0.01, 0.01])
    found[:, rows // 2 :: 3] = found[:, : len(range(rows // 2, rows, 3))]
    found[-1, :, 4] = 0
    return found


def inside(given: np.ndarray, settings: NmsSettings, folder: Path, runtime: str, *, fixed: bool) -> list[np.ndarray]:
    """What the suppression in a file gives; ``fixed``: it knows how many predictions there are."""
    body, rows = OnnxBody(), given.shape[1] if fixed else None
    classes = given.shape[2] - 5
    names = write_suppression(body, "images", rows, settings, classes=classes, drops_equal=runtime == "openvino")
    outputs = {names[0]: (TensorProto.FLOAT, ("B", settings.max_det, 6)), names[1]: (TensorProto.INT64, ("B",))}
    sides = ("B", rows or "N", given.shape[2])
    return loaded(assemble(body, {"images": (TensorProto.FLOAT, sides)}, outputs, 13, {}), folder, runtime)(given)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("settings", "classes"),
    [
        (NmsSettings(0.25, 0.45, 300), CLASSES),
        (NmsSettings(0.1, 0.6, 20), CLASSES),
        (NmsSettings(0.25, 0.5, 300, agnostic=True), CLASSES),
        (NmsSettings(0.0, 0.0, 50, max_candidates=100), CLASSES),
        (NmsSettings(0.3, 1.0, 1000, max_candidates=200), CLASSES),
        (NmsSettings(0.25, 0.45, 300), 1),
    ],
)
@pytest.mark.parametrize("fixed", [True, False])
def test_the_same_rows_bit_for_bit(
    settings: NmsSettings, classes: int, fixed: bool, runtime: str, tmp_path: Path
) -> None:
    given = predictions(600, classes=classes)
    rows, counts = suppression(given.shape, settings)(given)
    their_rows, their_counts = inside(given, settings, tmp_path, runtime, fixed=fixed)
    np.testing.assert_array_equal(their_counts, counts)
    np.testing.assert_array_equal(their_rows, rows)
    assert counts[0] > 5 and counts[-1] == 0


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_overlap_equal_to_the_threshold_stays(runtime: str, tmp_path: Path) -> None:
    given = np.array([[[10, 10, 20, 10, 1, 0.9], [5, 10, 10, 10, 1, 0.8], [30, 30, 5, 5, 1, 0.25]]], np.float32)
    for iou, kept in ((0.5, 2), (0.49, 1)):
        settings = NmsSettings(0.25, iou, 10)  # the last score is the threshold's, so it is dropped
        rows, counts = inside(given, settings, tmp_path, runtime, fixed=True)
        assert counts.tolist() == [kept] == suppression(given.shape, settings)(given)[1].tolist()
        np.testing.assert_array_equal(rows[0, kept:], 0)


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("opset", [13, 17])
def test_what_comes_out_of_a_detector(dynamic: bool, opset: int, tmp_path: Path) -> None:
    portable, settings = small(), NmsSettings(0.25, 0.45, 50)
    shape = (2, 3, 32, 64) if dynamic else (2, 3, *portable.size)
    images = random_images(shape)
    found = {
        output: run_detector(portable, Layout(portable.size, 2, dynamic, output, opset, settings), images, tmp_path)
        for output in (HEADS, DECODED, DETECTIONS)
    }
    heads = CompiledNetwork(portable.program.graph).program(shape)(images)
    anchors, strides = portable.checkpoint.anchors, portable.spec.strides
    assert [head.shape for head in found[HEADS]] == [head.shape for head in heads]
    ours, theirs = decoded(heads, anchors, strides), found[DECODED][0]
    assert difference_of_predictions(ours, theirs, 96) <= 1e-6
    assert theirs.shape[1] == portable.spec.predictions(*shape[2:])
    own = suppression(theirs.shape, settings)(theirs)
    np.testing.assert_array_equal(found[DETECTIONS][0], own[0])
    for output in (HEADS, DECODED, DETECTIONS):
        rows, counts = detections_of(found[output], portable, Layout(portable.size, output=output), settings)
        np.testing.assert_array_equal(counts, own[1])
        np.testing.assert_allclose(rows, own[0], atol=1e-3)
    assert own[1].min() > 0

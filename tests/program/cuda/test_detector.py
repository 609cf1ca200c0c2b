"""A whole detector on a CUDA device finds what the CPU's finds."""

from __future__ import annotations

import cv2
import numpy as np
import oneflow as flow
import pytest

from tests.device import cuda_host
from tests.ops.operators import run
from tests.parity import PARITY, needs_parity
from tests.program.cuda.programs import target
from yolo import native
from yolo.models.weights.checkpoint import Checkpoint
from yolo.models.weights.load import load_weights
from yolo.program.compiled import CompiledNetwork
from yolo.program.detection import NmsSettings, detection_head, levels_of
from yolo.program.inference.constants import pack_weights
from yolo.program.inference.planner import plan_inference
from yolo.program.lower import lower
from yolo.program.passes import optimise

SETTINGS = NmsSettings(max_det=50)
SIDE = 256


def images() -> np.ndarray:
    """The two known images, squeezed: uint8 [2, 3, SIDE, SIDE]."""
    read = [cv2.imread(str(PARITY / "data" / f"{name}.jpg"))[..., ::-1] for name in ("bus", "zidane")]
    return np.stack(
        [cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA).transpose(2, 0, 1) for image in read]
    )


def on_cpu(checkpoint: Checkpoint, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    network = CompiledNetwork.of(checkpoint.spec, checkpoint.model)
    head = detection_head(network.graph.head_shapes(given.shape), checkpoint.anchors, checkpoint.strides, SETTINGS)
    return native.DetectorProgram(network.program(given.shape), head)(given)


def on_device(checkpoint: Checkpoint, shape: tuple[int, ...], precision: str):
    module = cuda_host()
    graph = optimise(lower(checkpoint.spec, checkpoint.model), precision)
    plan = plan_inference(graph, shape, target(precision))
    network = module.Executor(plan, constants=pack_weights(graph, 127, module.Constants()))
    levels = levels_of(plan.heads, checkpoint.anchors, checkpoint.strides)
    classes = len(checkpoint.names)
    return module.DetectorProgram(network, levels, classes, SETTINGS.native(classes))


@needs_parity
@pytest.mark.parity
@pytest.mark.parametrize("precision, pixels, score", [("fp32", 1e-2, 1e-4), ("fp16", 1.0, 0.01), ("bf16", 4.0, 0.05)])
def test_yolov5n(precision: str, pixels: float, score: float) -> None:
    checkpoint, given = load_weights(PARITY / "weights" / "yolov5n.pt"), images()
    expected, wanted = on_cpu(checkpoint, given)
    detector = on_device(checkpoint, given.shape, precision)
    found, counts = detector(given)
    assert wanted.min() >= 2
    for ours, many, theirs, count in zip(found, counts, expected, wanted):
        sure = theirs[:count][theirs[:count, 4] > SETTINGS.conf + score]
        for row in sure:  # in order of scores, which may change places
            near = np.abs(ours[:many, :4] - row[:4]).max(axis=1) + 1e6 * (ours[:many, 5] != row[5])
            best = near.argmin()
            assert near[best] <= pixels and abs(ours[best, 4] - row[4]) <= score, (row, ours[best])
        assert len(sure) <= many and (precision != "fp32" or many == count)
    again = detector(given)  # the recording
    np.testing.assert_array_equal(again[0], found)
    shapes = [((2, SETTINGS.max_det, 6), flow.float32), ((2,), flow.int32)]
    rows, numbers = run(detector, [given], shapes)
    np.testing.assert_array_equal(rows, found)
    np.testing.assert_array_equal(numbers, counts)


@needs_parity
@pytest.mark.parity
def test_a_head_of_another_network_is_refused() -> None:
    checkpoint, shape, module = load_weights(PARITY / "weights" / "yolov5n.pt"), (1, 3, 64, 64), cuda_host()
    graph = optimise(lower(checkpoint.spec, checkpoint.model))
    plan = plan_inference(graph, shape, target())
    network = module.Executor(plan, constants=pack_weights(graph, 127, module.Constants()))
    levels = levels_of(plan.heads, checkpoint.anchors, checkpoint.strides)
    for given, classes in ((levels[:2], 80), (levels, 79)):
        with pytest.raises(ValueError, match="the head is another network's"):
            module.DetectorProgram(network, given, classes, SETTINGS.native(classes))

#!/bin/sh
# OpenVINO 2026.4.1: NonMaxSuppression on the CPU drops what its documentation keeps: overlaps and scores equal to a
# threshold.
#
# The specification of the operation (NonMaxSuppression-5 and -9) keeps a box while iou <= iou_threshold and
# score >= score_threshold. The CPU plugin keeps iou < iou_threshold and score > score_threshold. So of boxes that do not
# even touch only the best one is left at iou_threshold 0, and a network with the suppression inside gives other detections
# than in runtimes that keep an overlap equal to the threshold. The next greater float as the threshold brings them back;
# behind 0 it must be a normal number (1.2e-38), since smaller ones are taken for 0.
#
# Prints: overlap 0.5 at threshold 0.5: 1 box, at the next float: 2
#         two boxes apart at threshold 0: 1 box, at 1.4e-45: 1, at 1.2e-38: 2
#         score 0.25 at threshold 0.25: 0 boxes, at 0.2499999: 1
# Fails when any of this changes.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.2.6 openvino==2026.4.1
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import openvino
from openvino import opset9, properties

HALF, NOTHING = [[0, 0, 2, 1], [0, 0, 1, 1]], [[0, 0, 1, 1], [5, 5, 6, 6]]  # two pairs of boxes: x1, y1, x2, y2


def after(value: float) -> np.float32:
    return np.nextafter(np.float32(value), np.float32(2))


def kept(boxes: list, scores: list, iou: float, score: float) -> int:
    """How many of the boxes are selected."""
    given = [np.array([values], np.float32) for values in (boxes, [scores])]
    inputs = [opset9.parameter(values.shape, np.float32) for values in given]
    limits = [opset9.constant(np.float32(limit)) for limit in (iou, score)]
    found = opset9.non_max_suppression(*inputs, opset9.constant(np.int64(10)), *limits)
    settings = {properties.hint.inference_precision(): openvino.Type.f32}
    model = openvino.Core().compile_model(openvino.Model(found.outputs(), inputs, "nms"), "CPU", settings)
    return int(model(given)[model.outputs[2]][0])


overlap = [kept(HALF, [0.9, 0.8], iou, 0.1) for iou in (0.5, after(0.5))]
apart = [kept(NOTHING, [0.9, 0.8], iou, 0.1) for iou in (0, after(0), np.finfo(np.float32).tiny)]
scores = [kept(HALF[:1], [0.25], 0.5, score) for score in (0.25, 0.2499999)]
print(f"OpenVINO {openvino.__version__}")
print(f"overlap 0.5 at threshold 0.5: {overlap[0]} box, at the next float: {overlap[1]}")
print(f"two boxes apart at threshold 0: {apart[0]} box, at 1.4e-45: {apart[1]}, at 1.2e-38: {apart[2]}")
print(f"score 0.25 at threshold 0.25: {scores[0]} boxes, at 0.2499999: {scores[1]}")
assert overlap == [1, 2] and apart == [1, 1, 2] and scores == [0, 1]
PYTHON

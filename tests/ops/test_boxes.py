"""Box conversions against plain NumPy, there and back, and in a letterbox."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.samples import any_floats
from tests.reference import boxes as reference
from yolo import ops

LETTERBOX = SimpleNamespace(original=(480, 640), ratio=(0.5, 0.5), pad=(0.0, 40.0), size=(320, 320))
CALLS = {
    "xywhn_to_xyxy": ((480, 640),),
    "xyxy_to_xywhn": ((480, 640),),
    "scale_boxes": (LETTERBOX,),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("shape", [(4,), (0, 4), (1, 4), (7, 4), (2, 5, 4), (3, 0, 4)])
def test_equals_the_reference(name, shape):
    boxes = np.random.default_rng(1).uniform(-50, 700, shape).astype(np.float32)
    before = boxes.copy()
    result = getattr(ops, name)(boxes, *CALLS[name])
    assert result.dtype == np.float32 and result.shape == shape
    np.testing.assert_array_equal(result, getattr(reference, name)(boxes, *CALLS[name]))
    np.testing.assert_array_equal(boxes, before)


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(CALLS)), boxes=any_floats((3, 4)))
def test_anything_at_all(name, boxes):
    with np.errstate(all="ignore"):
        found, expected = (getattr(module, name)(boxes, *CALLS[name]) for module in (ops, reference))
    np.testing.assert_array_equal(found, expected)


def test_there_and_back():
    boxes = np.random.default_rng(2).uniform(0.1, 0.9, (50, 4)).astype(np.float32)
    corners = ops.xywhn_to_xyxy(boxes, (480, 640))
    np.testing.assert_allclose(ops.xyxy_to_xywhn(corners, (480, 640)), boxes, atol=1e-6)


def test_known_values():
    np.testing.assert_array_equal(ops.xywhn_to_xyxy([[0.5, 0.5, 0.5, 1]], (100, 200)), [[50, 0, 150, 100]])
    np.testing.assert_array_equal(ops.xyxy_to_xywhn([[50, 0, 150, 100]], (100, 200)), [[0.5, 0.5, 0.5, 1]])
    np.testing.assert_array_equal(ops.scale_boxes([[10, 50, 400, 300]], LETTERBOX), [[20, 20, 640, 480]])
    np.testing.assert_array_equal(ops.scale_boxes([[-5, 30, 330, 300]], LETTERBOX), [[0, 0, 640, 480]])
    np.testing.assert_array_equal(ops.labels_to_xyxy([[3, 0.5, 0.5, 0.5, 1]], (100, 200)), [[3, 50, 0, 150, 100]])


def test_the_two_ratios_of_a_stretched_image():
    stretched = SimpleNamespace(original=(100, 400), ratio=(2.0, 0.5), pad=(4, 8), size=(216, 208))
    np.testing.assert_array_equal(ops.scale_boxes([[14, 28, 24, 48]], stretched), [[20, 10, 40, 20]])


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("boxes", [np.zeros((2, 5)), np.zeros(3), np.float32(1), np.array([["a"] * 4])])
def test_wrong_boxes_are_named(name, boxes):
    with pytest.raises(ValueError, match=r"boxes: expected float32 boxes of shape \[\.\.\., 4\], got"):
        getattr(ops, name)(boxes, *CALLS[name])


def test_wrong_sizes_are_named():
    with pytest.raises(ValueError, match="size: expected \\(height, width\\) above 0"):
        ops.xyxy_to_xywhn(np.zeros((1, 4)), (0, 640))
    with pytest.raises(ValueError, match=r"letterbox\.ratio"):
        ops.scale_boxes(np.zeros((1, 4)), SimpleNamespace(original=(4, 4), ratio=(0, 1), pad=(0, 0)))

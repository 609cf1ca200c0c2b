"""Images into maps, heads out of them and their gradients in."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from tests.device import cuda_host
from tests.program.cuda.map_steps import GARBAGE, PRECISIONS, MapSteps, rounded
from tests.program.cuda.programs import target
from yolo.program.plan import Plan, Step, TensorView

SHAPES = ((1, 1, 1, 1), (2, 3, 5, 7), (1, 8, 8, 8), (3, 12, 1, 65), (1, 33, 9, 8), (2, 255, 3, 4))
SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, 1e-30)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_images_come_out_as_a_head_divided(precision: str, shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    made = target(precision)
    pitch = 8 + made.whole(shape[1]) + 16
    view = TensorView(0, *shape[1:], made.element, "nhwc", 8, pitch)
    steps = (
        Step("load_images", "input", {"target": (view,)}, {"divisor": 255.0}),
        Step("store_head", "output", {"source": (view,)}, {"number": 0}),
    )
    arena = shape[0] * shape[2] * shape[3] * pitch * made.element
    executor = cuda_host().HostExecutor(Plan(made, shape, (shape,), arena, steps))
    (head,) = executor(images)
    np.testing.assert_array_equal(head, rounded(images / np.float32(255), precision))
    numbers = executor.maps().view(f"u{made.element}").reshape(-1, pitch)
    assert not numbers[:, :8].any()
    assert not numbers[:, 8 + shape[1] :].any()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("first", "behind"), [(0, 0), (8, 16)])
def test_gradient_of_a_head(precision: str, shape: tuple[int, ...], first: int, behind: int) -> None:
    values = np.random.default_rng(1).normal(0, 100, shape).astype(np.float32)
    values.flat[: len(SPECIAL)] = SPECIAL[: values.size]
    steps = MapSteps(precision, shape[0])
    view = steps.filled(values, first, behind)
    np.testing.assert_array_equal(steps.run().result(view), rounded(values, precision))


def test_garbage_is_no_number_that_steps_write() -> None:
    steps = MapSteps("fp32", 1)
    view = steps.map(3, (2, 2), first=8)
    np.testing.assert_array_equal(steps.run().buffer(view), GARBAGE)


@pytest.mark.parametrize(
    "instead, why",
    [
        ({"layout": "nchw"}, "takes a map of another device"),
        ({"offset": 2}, "target begins between what is loaded at once"),
        ({"offset": 8}, "target begins between what is loaded at once"),
    ],
)
def test_maps_of_other_devices_are_refused(instead: dict[str, Any], why: str) -> None:
    view = TensorView(0, 8, 2, 2, 2, "nhwc", 0, 8)
    steps = (
        Step("load_images", "input", {"target": (dataclasses.replace(view, **instead),)}, {"divisor": 255.0}),
        Step("load_images", "input", {"target": (dataclasses.replace(view, offset=256),)}, {"divisor": 255.0}),
        Step("store_head", "output", {"source": (dataclasses.replace(view, offset=256),)}, {"number": 0}),
    )
    shape = (1, 8, 2, 2)
    with pytest.raises(ValueError, match=f"input: {why}"):
        cuda_host().HostExecutor(Plan(target("fp16"), shape, (shape,), 512, steps))

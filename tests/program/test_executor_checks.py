"""What an executor refuses when a step is added: whoever plans, nothing is read or written outside a map."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from yolo.program._native import native
from yolo.program.detection import NmsSettings

VIEW = (0, 8, 4, 4)


def executor(arena: int = 4096, **limits: float) -> native.InferenceProgram:
    named = {"memory": 2**40, "work": 1e12} | limits
    return native.InferenceProgram(native.Weights(), arena, 1, 1, False, native.Limits(**named))


WHERE = "a map (lies outside the program's memory|has impossible sides|has more than 2 GiB)"
OUTSIDE = {
    "behind": (4096 - 124, 8, 4, 4),
    "before": (-512, 8, 4, 4),
    "far": (2**62, 8, 4, 4),
    "not on a number": (2, 8, 4, 4),
    "no channels": (0, 0, 4, 4),
    "negative side": (0, 8, -4, -4),
    "huge side": (0, 8, 2**40, 4),
    "product overflows": (0, 2**22, 2**22, 2**22),
    "part of a block": (4096 - 4 * 16 * 8 + 4, 1, 4, 4),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_view_outside_the_memory(name: str) -> None:
    view, inside = native.View(*OUTSIDE[name]), native.View(*VIEW)
    bytes_, inner = native.View(*OUTSIDE[name], last=True), native.View(*VIEW, last=True)
    floats = {
        "activate": (view, inside, "ReLU", 0.0),
        "add": (inside, view, inside),
        "upsample": (view, inside, 1),
        "bilinear": (inside, view, 1),
        "pool": (view, inside, 1, 1, 0, False),
        "copy": (inside, 0, view, 0, 1),
        "affine": (view, inside, "w"),
        "attention": (inside, view, inside, inside, 1),
        "pad": (view, inside, 0, 0),
        "space_to_depth": (view, inside, 1, False),
        "depth_to_space": (inside, view, 1),
        "quantise": (view, inner, native.Scale(1.0, 0)),
        "dequantise": (inner, view, native.Scale(1.0, 0)),
    }
    bytewise = {"copy_bytes": (bytes_, 0, inner, 0, 1), "upsample_bytes": (inner, bytes_, 1)}
    alike = name in ("part of a block", "not on a number")  # to bytes these are no fault
    for method, arguments in (floats if alike else floats | bytewise).items():
        with pytest.raises(ValueError, match=rf"^step: {WHERE}"):
            getattr(executor(), method)("step", *arguments)
    with pytest.raises(ValueError, match=rf"^output: {WHERE}"):
        executor().output(view)
    with pytest.raises(ValueError, match=rf"^input: {WHERE}"):
        executor(0 if alike else 4096).input(native.View(*OUTSIDE[name], plain=True), True)


def conv(program: native.InferenceProgram, **instead: Any) -> None:
    named = {"bias": False, "kernel": [1, 1], "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1}
    named |= {"transposed": False, "activation": "Identity", "value": 0.0, "residual": None, "float_output": False}
    named |= instead
    views = [named.pop(name, native.View(0, 8, 4, 4)) for name in ("source", "target")]
    program.conv("step", *views, "w", **named)


@pytest.mark.parametrize(
    "instead",
    [
        {"kernel": [1]},
        {"kernel": [0, 1]},
        {"stride": [-1, 1]},
        {"dilation": [2**40, 1]},
        {"padding": [1, 0]},
        {"groups": 0},
        {"groups": 3},
        {"transposed": True, "stride": [2, 2]},
        {"residual": native.View(0, 8, 2, 4)},
        {"residual": native.View(2**50, 8, 4, 4)},
        {"scales": [native.Scale(1.0, 0)] * 3},
        {"activation": "nothing"},
        {},
    ],
)
def test_no_convolution_that_does_not_fit(instead: dict[str, Any]) -> None:
    """The last has no weights."""
    with pytest.raises(ValueError):
        conv(executor(), **instead)


def test_weights_of_another_shape() -> None:
    weights = native.Weights()
    weights.set("w.weight", np.zeros((8, 8, 3, 3), np.float32))
    program = native.InferenceProgram(weights, 4096, 1, 1)
    with pytest.raises(ValueError, match="step: its weights are not there or have another shape"):
        conv(program)


def test_numbers_that_loops_would_follow_out_of_their_maps() -> None:
    small, large = native.View(0, 8, 2, 2), native.View(512, 8, 4, 4)
    for method, arguments in {
        "attention": (small, small, small, small, 0),
        "upsample": (small, large, 3),
        "bilinear": (small, large, 1),
        "pool": (large, small, 2, 2, 2, False),
        "pad": (small, large, 3, 0),
        "space_to_depth": (large, small, 2, False),
        "depth_to_space": (small, large, 2),
        "copy": (small, 8, small, 0, 1),
    }.items():
        with pytest.raises(ValueError, match=r"^step: "):
            getattr(executor(), method)("step", *arguments)


def test_memory_and_work_have_limits() -> None:
    with pytest.raises(ValueError, match="GB of memory"):
        native.InferenceProgram(native.Weights(), 2**60, 1, 1, False, native.Limits(2**40, 1e15))
    with pytest.raises(ValueError, match="GB of memory"):
        executor(-1)
    view = native.View(*VIEW)
    with pytest.raises(ValueError, match="needs more memory than there is"):
        executor(memory=5000).attention("step", view, view, view, view, 1)
    with pytest.raises(ValueError, match="more work"):
        executor(work=100).attention("step", view, view, view, view, 1)


def test_the_room_for_packed_weights_is_counted() -> None:
    """Groups of few channels take whole blocks each."""
    groups = 512
    weights = native.Weights()
    weights.set("w.weight", np.zeros((groups, 2, 2, 1, 1), np.float32))
    limits = native.Limits(2 * groups * 4 + 4 * groups * 4, 1e12)
    program = native.InferenceProgram(weights, 2 * groups * 4, 1, 1, False, limits)
    view = native.View(0, 2 * groups, 1, 1)
    with pytest.raises(ValueError, match="needs more memory than there is"):
        conv(program, source=view, target=view, groups=groups)


def test_an_unfinished_program_does_not_run() -> None:
    program = executor()
    with pytest.raises(ValueError, match="not finished"):
        program(np.zeros((1, 8, 4, 4), np.uint8))
    with pytest.raises(ValueError, match="no input or output"):
        program.finish()


def test_what_is_behind_the_last_channel_is_not_copied() -> None:
    """Kernels read whole blocks: behind the last channel there are zeros, whatever the source has there."""
    block = native.channel_block()
    weights = native.Weights()
    weights.set("w.weight", np.ones((block, 1, 1, 1), np.float32))
    size = 4 * 4 * block * 4
    program = native.InferenceProgram(weights, 3 * size, 1, 1)
    picture, whole, part = native.View(0, 1, 4, 4, True), native.View(size, block, 4, 4), native.View(2 * size, 4, 4, 4)
    program.input(picture, False)
    conv(program, source=picture, target=whole)
    program.copy("step", whole, 0, part, 0, 4)
    program.output(native.View(2 * size, block, 4, 4))
    program.finish()
    (found,) = program(np.full((1, 1, 4, 4), 7, np.uint8))
    assert (found[:, :4] == 7).all() and not found[:, 4:].any()


def test_a_head_that_fits_nothing() -> None:
    settings = NmsSettings().native(2)
    level = native.Level(4, 4, 8.0, [1.0, 2.0])
    huge = native.Level(2**20, 2**20, 8.0, [1.0, 2.0])
    for levels, classes, batch in (([], 2, 1), ([level], 0, 1), ([level], 2, 0), ([huge], 2, 1)):
        with pytest.raises(ValueError):
            native.DetectionHead(levels, classes, batch, settings)
    with pytest.raises(ValueError, match="wanted"):
        native.DetectionHead([level], 3, 1, NmsSettings(classes=(1,)).native(2))

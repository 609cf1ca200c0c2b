"""What holds of training programs over several runs: repeats, threads, accumulation, memory, refusals."""

from __future__ import annotations

import resource

import numpy as np
import oneflow as flow
import pytest

from graphs.base import synchronise
from tests.program.networks import random_images, two_levels
from tests.program.training_reference import Step, Subject, head_slopes, off
from yolo.models.network import build_network
from yolo.program.operator import call

SHAPE = (2, 3, 64, 96)


def step_with(subject: Subject, **options: object) -> Step:
    passes = subject.passes(SHAPE, **options)
    return subject.compiled(passes, random_images(SHAPE), head_slopes(passes))


def test_repeats_are_equal_in_every_bit() -> None:
    subject = Subject(build_network("yolov5n"))
    passes = subject.passes(SHAPE)
    runs = [subject.compiled(passes, random_images(SHAPE), head_slopes(passes)) for _ in range(3)]
    runs.append(step_with(subject))
    for run in runs[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(run.heads, runs[0].heads))
        for part in ("gradients", "statistics"):
            first = getattr(runs[0], part)
            assert all(np.array_equal(array, first[name]) for name, array in getattr(run, part).items())


def test_threads_change_roundings_only() -> None:
    subject = Subject(two_levels())
    one, two = (step_with(subject, threads=threads) for threads in (1, 2))
    for a, b in zip(one.heads, two.heads):
        assert np.abs(a - b).max() <= 1e-5 * np.abs(a).max()
    for name, gradient in one.gradients.items():
        assert off(two.gradients[name], gradient) <= 1e-5


def test_gradients_are_added() -> None:
    subject = Subject(two_levels())
    passes = subject.passes(SHAPE)
    slopes = head_slopes(passes)
    once, twice = (np.zeros(subject.vector.parameter_size, np.float32) for _ in range(2))
    images = random_images(SHAPE)
    for gradient in (once, twice, twice):
        values = subject.values.copy()
        passes.forward(images, values)
        passes.backward(slopes, values, gradient)
    np.testing.assert_array_equal(twice, 2 * once)


def test_statistics_move_with_every_forward() -> None:
    subject = Subject(two_levels())
    passes = subject.passes(SHAPE)
    values = subject.values.copy()
    parameters = slice(0, subject.vector.parameter_size)
    before = [values.copy() for _ in range(3) if passes.forward(random_images(SHAPE), values)]
    assert not np.array_equal(before[0], before[1]) and not np.array_equal(before[1], before[2])
    np.testing.assert_array_equal(values[parameters], subject.values[parameters])


def test_two_hundred_steps_take_no_more_memory() -> None:
    subject = Subject(two_levels())
    passes = subject.passes(SHAPE)
    images, slopes, values = random_images(SHAPE), head_slopes(passes), subject.values.copy()
    gradient = np.zeros(subject.vector.parameter_size, np.float32)

    def steps(number: int) -> int:
        for _ in range(number):
            passes.forward(images, values)
            passes.backward(slopes, values, gradient)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    first = steps(20)
    assert steps(200) - first < 2048  # KiB


def test_backward_belongs_to_one_forward() -> None:
    subject = Subject(two_levels())
    passes = subject.passes(SHAPE)
    gradient, values = np.zeros(subject.vector.parameter_size, np.float32), subject.values.copy()
    with pytest.raises(RuntimeError, match="without a forward"):
        passes.backward(head_slopes(passes), values, gradient)
    passes.forward(random_images(SHAPE), values)
    passes.backward(head_slopes(passes), values, gradient)
    with pytest.raises(RuntimeError, match="without a forward"):
        passes.backward(head_slopes(passes), values, gradient)


def test_the_forward_pass_runs_as_an_operator(mode) -> None:
    subject = Subject(two_levels())
    passes = subject.passes(SHAPE)
    slopes = head_slopes(passes)
    expected = subject.compiled(passes, random_images(SHAPE), slopes)
    heads_of = [(shape, flow.float32) for shape in passes.head_shapes]
    values, gradient = flow.tensor(subject.values), np.zeros(subject.vector.parameter_size, np.float32)
    forward = mode(lambda images: call(passes.executor, [images], heads_of, mutable=[values]))
    heads = forward(flow.tensor(random_images(SHAPE)))
    synchronise()
    passes.backward(slopes, values.numpy(), gradient)
    for head, right in zip(heads, expected.heads):
        np.testing.assert_array_equal(head.numpy(), right)
    for name, right in subject.vector.split(gradient).items():
        np.testing.assert_array_equal(right, expected.gradients[name])
    for name, right in expected.statistics.items():
        np.testing.assert_array_equal(subject.vector.split(values.numpy())[name], right)


def test_what_does_not_fit_is_refused() -> None:
    subject = Subject(two_levels())
    passes = subject.passes(SHAPE)
    with pytest.raises(ValueError, match="images"):
        passes.forward(random_images((2, 3, 96, 64)), subject.values)
    with pytest.raises(ValueError, match="images"):
        passes.forward(random_images(SHAPE).astype(np.float32), subject.values)
    with pytest.raises(TypeError):
        passes.forward(random_images(SHAPE), subject.values.astype(np.float64))
    with pytest.raises(ValueError, match="channels"):
        subject.passes((2, 4, 64, 64))
    with pytest.raises(ValueError, match="precision"):
        subject.passes(SHAPE, precision="fp8")
    with pytest.raises(ValueError, match="int8"):
        subject.passes(SHAPE, precision="int8")
    with pytest.raises(ValueError, match="nothing is left"):
        subject.passes((1, 3, 0, 0))


def test_profile_names_every_step() -> None:
    subject = Subject(two_levels())
    passes = subject.passes(SHAPE)
    passes.executor.profile()
    subject.compiled(passes, random_images(SHAPE), head_slopes(passes))
    steps = passes.executor.steps
    assert all(step.runs == 1 and step.milliseconds > 0 and step.where for step in steps)
    assert {"conv", "conv_data", "conv_weights", "norm", "norm_back"} <= {step.kind for step in steps}
    assert not [step for step in steps if "ref" in step.implementation]

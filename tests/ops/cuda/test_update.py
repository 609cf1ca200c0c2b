"""The update of a CUDA device against the CPU's operator, the formulas, and the rules of a loss scale."""

from __future__ import annotations

import numpy as np
import oneflow as flow
import pytest

from tests.device import cuda_host
from tests.ops.operators import run
from tests.ops.update_cases import DECAY, NORMS, RATES, SIZES, Reference, Vectors, each_optimizer, gradient_of_norm
from yolo import native

# Beside the CPU's sizes: packs of four that end, begin and lie within each group, and one more than a block adds up.
MORE = [(1, 2, 1, 0), (4, 8, 4, 4), (2, 3, 2, 1), (5, 6, 2, 7), (0, 2, 0, 9), (3, 8192, 0, 2)]


def step_on_device(vectors: Vectors, gradients, rates=RATES[:1], **options):
    """Moves the vectors by one gradient after the other; the norms, and the loss scale with its state."""
    sizes = (*vectors.groups, len(vectors.values) - sum(vectors.groups))
    gradients = np.atleast_2d(np.float32(gradients)).reshape(len(rates), sum(vectors.groups))
    numbers = np.stack([one.array() for one in rates])
    given = (vectors.optimizer, list(vectors.state().values()), sizes, numbers, gradients, DECAY)
    return cuda_host().update_parameters(*given, **options)


def step_on_cpu(vectors: Vectors, gradient, rates=RATES[0]):
    vectors.gradient[:] = gradient
    operator = native.UpdateStep(vectors.optimizer, vectors.groups, len(vectors.values) - sum(vectors.groups), DECAY)
    return run(operator, [rates.array()], [((1,), flow.float32)], list(vectors.state().values()))[0][0]


def assert_same(ours: Vectors, theirs: Vectors, **instead):
    for name, expected in {**theirs.state(), **instead}.items():
        np.testing.assert_array_equal(getattr(ours, name), expected, err_msg=name)


@each_optimizer
@pytest.mark.parametrize("sizes", SIZES + MORE)
def test_five_steps_equal_those_of_the_cpu(optimizer, sizes):
    """To the bit, since the norms are the same float32; one recording takes new rates each time."""
    ours, theirs, rng = Vectors.random(sizes, optimizer), Vectors.random(sizes, optimizer), np.random.default_rng(1)
    gradients = [gradient_of_norm(rng, len(ours.gradient), norm) for norm in NORMS]
    norms, _ = step_on_device(ours, gradients, RATES)
    assert norms == [step_on_cpu(theirs, *given) for given in zip(gradients, RATES)]
    assert_same(ours, theirs)
    assert not ours.gradient.any()


@each_optimizer
def test_against_the_formulas(optimizer):
    vectors = Vectors.random((7, 1001, 50, 13), optimizer)
    reference = Reference(vectors)
    for norm, rates in zip(NORMS, RATES):
        gradient = gradient_of_norm(np.random.default_rng(1), len(vectors.gradient), norm)
        ((found,), _) = step_on_device(vectors, gradient, [rates])
        assert found == np.float32(reference.update(np.float64(gradient), np.float64(rates.array())))
        for name in ("values", "first", "second", "ema"):
            ours, wanted = getattr(vectors, name), getattr(reference, name)
            assert np.linalg.norm(ours - wanted) <= 1e-6 * np.linalg.norm(wanted), name


def test_runs_agree_to_the_bit():
    gradient = np.random.default_rng(2).normal(size=40000)
    first, second = (Vectors.random((5, 30000, 9995, 3), "Adam") for _ in "ab")
    assert step_on_device(first, gradient) == step_on_device(second, gradient)
    assert_same(first, second)


@each_optimizer
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_no_number(optimizer, value):
    """Without a loss scale it spreads, as on the CPU."""
    ours, theirs = (Vectors.random((3, 401, 5, 2), optimizer) for _ in "ab")
    gradient = np.ones(409, np.float32)
    gradient[400] = value
    ((norm,), _) = step_on_device(ours, gradient)
    np.testing.assert_equal(norm, step_on_cpu(theirs, gradient))
    assert_same(ours, theirs)
    assert np.isnan(ours.values).sum() == (409 if np.isnan(value) else 1)


def test_a_weight_that_is_infinite():
    """Without decay none is added: 0 x inf is no number."""
    ours, theirs = (Vectors.random((2, 2, 2, 0), "SGD") for _ in "ab")
    for vectors in (ours, theirs):
        vectors.values[[1, 4]] = np.inf
    step_on_device(ours, np.ones(6))
    step_on_cpu(theirs, np.ones(6))
    assert_same(ours, theirs)
    assert not np.isnan(ours.values).any()


def test_a_norm_too_large_for_float32():
    vectors = Vectors.random((0, 100, 0, 0), "SGD")
    ((norm,), _) = step_on_device(vectors, np.full(100, 3e38))
    assert norm == np.inf
    assert np.linalg.norm(vectors.first) == pytest.approx(10, rel=0.1)


def test_nothing_at_all():
    assert step_on_device(Vectors.random((0, 0, 0, 0), "Adam"), np.zeros(0))[0] == [0.0]


@each_optimizer
def test_a_loss_scale_divides_the_gradient(optimizer):
    ours, theirs = (Vectors.random((3, 50, 6, 2), optimizer) for _ in "ab")
    gradient = np.random.default_rng(3).normal(0, 3, 59).astype(np.float32)
    ((norm,), state) = step_on_device(ours, gradient * 1024, loss_scale=(1024.0, 7, 1))
    assert norm == step_on_cpu(theirs, gradient)
    assert_same(ours, theirs)
    assert state == (1024.0, 8, 0)


@each_optimizer
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 3, 58])
def test_an_overflow_leaves_out_the_step(optimizer, value, place):
    """Parameters and moments stay, the scale is halved; the average moves, and the gradient is emptied."""
    before = Vectors.random((3, 50, 6, 2), optimizer)
    step_on_device(before, np.ones(59))
    after = Vectors(*(array.copy() for array in before.state().values()), before.groups, optimizer)
    gradient = np.ones(59)
    gradient[place] = value
    ((norm,), state) = step_on_device(after, gradient, RATES[1:2], loss_scale=(512.0, 1999, 0))
    assert not np.isfinite(norm)
    keep = np.float32(RATES[1].array()[4])
    assert_same(after, before, ema=before.ema * keep + before.values * (1 - keep))
    assert state == (256.0, 0, 1)


def test_the_scale_of_a_long_run():
    """Doubled after 2000 finite steps in a row, but never to infinity."""
    vectors = Vectors.random((0, 1, 0, 0), "SGD")
    gradients = np.ones((4003, 1))
    gradients[1] = np.inf
    _, state = step_on_device(vectors, gradients, RATES[:1] * 4003, loss_scale=(8.0, 5, 0))
    assert state == (16.0, 1, 0)
    _, state = step_on_device(vectors, np.ones(1), loss_scale=(2.0**127, 1999, 0))
    assert state == (2.0**127, 0, 0)

"""The compiled update against double-precision formulas and against the update graph."""

from __future__ import annotations

import numpy as np
import oneflow as flow
import pytest
from oneflow import nn

from graphs.base import synchronise
from graphs.train_state import TrainState
from graphs.update import UpdateGraph
from tests.ops.operators import run
from tests.ops.update_cases import DECAY, NORMS, RATES, SIZES, Reference, Vectors, each_optimizer, gradient_of_norm
from yolo import native

EXPECTED_NORMS = pytest.approx(NORMS, rel=1e-6)


class Compiled(Vectors):
    """Moved by the operator of the CPU."""

    def update(self, rates):
        """Moves the vectors; gives the gradient's norm before, a float32."""
        statistics = len(self.values) - sum(self.groups)
        operator = native.UpdateStep(self.optimizer, self.groups, statistics, DECAY)
        (norm,) = run(operator, [rates], [((1,), flow.float32)], list(self.state().values()))
        return norm[0]


@each_optimizer
@pytest.mark.parametrize("sizes", SIZES)
def test_five_steps_against_the_formulas(optimizer, sizes):
    vectors = Compiled.random(sizes, optimizer)
    reference, rng = Reference(vectors), np.random.default_rng(1)
    for step, (norm, rates) in enumerate(zip(NORMS, RATES)):
        vectors.gradient[:] = gradient_of_norm(rng, len(vectors.gradient), norm)
        numbers = rates.array()
        expected = reference.update(vectors.gradient.astype(np.float64), np.float64(numbers))
        assert vectors.update(numbers) == np.float32(expected), step
        for name in ("values", "first", "second", "ema"):
            ours, wanted = getattr(vectors, name), getattr(reference, name)
            assert np.linalg.norm(ours - wanted) <= 1e-6 * np.linalg.norm(wanted), (name, step)
            sure = reference.sure[: len(wanted)]
            np.testing.assert_allclose(ours[sure], wanted[sure], rtol=1e-5, atol=1e-6, err_msg=f"{name}, step {step}")
        assert not vectors.gradient.any()
    assert reference.sure.mean() > 0.95


class Small(nn.Module):
    """Parameters of every group, and statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(3, 7, 3), nn.BatchNorm2d(7), nn.Linear(5, 3)
        rng = np.random.default_rng(0)
        with flow.no_grad():
            for tensor in self.parameters():
                tensor.copy_(flow.tensor(rng.normal(0, 1, tuple(tensor.shape)).astype(np.float32)))


@each_optimizer
def test_equals_the_update_graph(optimizer):
    network = Small().train()
    state = TrainState(network, optimizer, in_vector=False)
    vector, graph = state.vector, UpdateGraph(state, optimizer, DECAY)
    arrays = [array.numpy().copy() for array in (state.gradient, state.first, state.second, state.ema)]
    vectors = Compiled(vector.gather(), *arrays, vector.group_sizes, optimizer)
    rng, norms = np.random.default_rng(1), []
    for norm, rates in zip(NORMS, RATES):
        gradient = gradient_of_norm(rng, vector.parameter_size, norm)
        vectors.gradient[:] = gradient
        state.gradient.copy_(flow.tensor(gradient))
        synchronise()  # a graph does not wait for what is written into the tensors it has captured
        expected = float(graph(flow.tensor(rates.array())).numpy()[0])
        synchronise()
        norms.append(vectors.update(rates.array()))
        assert norms[-1] == pytest.approx(expected, rel=1e-6)
        graphs = {name: getattr(state, name).numpy() for name in ("gradient", "first", "second", "ema")}
        for name, theirs in {"values": vector.gather(), **graphs}.items():
            ours = getattr(vectors, name)
            assert ours.shape == theirs.shape
            assert np.linalg.norm(ours - theirs) <= 1e-6 * np.linalg.norm(theirs), name
    assert norms == EXPECTED_NORMS


@each_optimizer
def test_runs_and_threads_agree_to_the_bit(optimizer):
    results = []
    for threads in (1, 1, 2, 2, 5):
        native.set_default_threads(threads)
        vectors = Compiled.random((5, 200003, 70001, 3), optimizer)
        vectors.gradient[:] = np.random.default_rng(2).normal(size=len(vectors.gradient))
        results.append((vectors.update(RATES[1].array()), vectors.state()))
    for norm, state in results[1:]:
        assert norm == results[0][0]
        for name, array in state.items():
            np.testing.assert_array_equal(array, results[0][1][name], err_msg=name)


def test_statistics_stay_and_their_average_moves():
    vectors = Compiled.random((3, 9, 2, 5), "SGD")
    values, ema = vectors.values.copy(), vectors.ema.copy()
    vectors.gradient[:] = 1
    vectors.update(RATES[1].array())
    np.testing.assert_array_equal(vectors.values[14:], values[14:])
    assert (vectors.values[:14] != values[:14]).all()
    np.testing.assert_allclose(vectors.ema[14:], 0.3 * ema[14:] + 0.7 * values[14:], rtol=1e-6, atol=1e-7)


@each_optimizer
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_no_number(optimizer, value):
    vectors = Compiled.random((3, 40001, 5, 2), optimizer)
    vectors.gradient[:] = 1
    vectors.gradient[40000] = value
    norm = vectors.update(RATES[0].array())
    assert np.isnan(norm) if np.isnan(value) else norm == np.inf
    assert np.isnan(vectors.values[40000])
    assert np.isnan(vectors.values[:-2]).sum() == (40009 if np.isnan(value) else 1)
    assert np.isfinite(vectors.values[-2:]).all()
    assert not vectors.gradient.any()


def test_a_norm_too_large_for_float32():
    """It is summed in double, so that the gradient is clipped all the same."""
    vectors = Compiled.random((0, 100, 0, 0), "SGD")
    vectors.gradient[:] = 3e38
    assert vectors.update(RATES[0].array()) == np.inf
    assert np.linalg.norm(vectors.first) == pytest.approx(10, rel=0.1)


def test_nothing_at_all():
    assert Compiled.random((0, 0, 0, 0), "Adam").update(RATES[0].array()) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"group_sizes": (3, -9, 20)}, "group_sizes"),
        ({"statistics": -1}, "statistics"),
        ({"frozen": 6}, "frozen"),
        ({"frozen": -1}, "frozen"),
        ({"weight_decay": -0.1}, "weight_decay: expected 0 or more"),
        ({"weight_decay": np.nan}, "weight_decay"),
        ({"optimizer": "adam"}, "unknown optimizer adam"),
        ({"ranks": 0}, "ranks"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(changes, message):
    right = {"optimizer": "Adam", "group_sizes": (3, 9, 2), "statistics": 5, "weight_decay": DECAY}
    native.UpdateStep(**right)
    with pytest.raises(ValueError, match=message):
        native.UpdateStep(**{**right, **changes})

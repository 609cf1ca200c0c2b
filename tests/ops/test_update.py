"""The compiled update against double-precision formulas and against the update graph."""

from __future__ import annotations

import dataclasses

import numpy as np
import oneflow as flow
import pytest
from oneflow import nn

from graphs.base import synchronise
from graphs.train_state import TrainState
from graphs.update import OPTIMIZERS, Rates, UpdateGraph
from tests.ops.operators import run
from yolo import native

DECAY = 0.05
# Norms of the gradient from step to step: below 10, above, exactly, none at all.
NORMS = (3.0, 200.0, 10.0, 0.0, 1e3)
RATES = [
    Rates(0.1, 0.01, 0.02, 0.8, 0.0, 1),
    Rates(0.08, 0.02, 0.02, 0.85, 0.3, 2),
    Rates(0.05, 0.03, 0.01, 0.9, 0.5, 3),
    Rates(0.04, 0.04, 0.04, 0.937, 0.9, 4),
    Rates(0.0, 0.03, 0.05, 0.937, 0.99, 5),
]
EXPECTED_NORMS = pytest.approx(NORMS, rel=1e-6)
# bias, weight, norm, statistics: odd numbers, groups that are empty, more than one piece of work a group.
SIZES = [(0, 1, 0, 0), (1, 1, 1, 0), (3, 9, 2, 3), (17, 0, 0, 1), (0, 0, 17, 5), (3, 100003, 40001, 17), (0, 0, 0, 3)]
each_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS)


@dataclasses.dataclass
class Vectors:
    """What one training run keeps, and the sizes that tell its parts apart."""

    values: np.ndarray
    gradient: np.ndarray
    first: np.ndarray
    second: np.ndarray
    ema: np.ndarray
    groups: tuple
    optimizer: str

    @classmethod
    def random(cls, sizes, optimizer, seed=0):
        rng = np.random.default_rng(seed)
        size, count = sum(sizes), sum(sizes[:3])
        values, ema = (rng.normal(0, 1, size).astype(np.float32) for _ in "ve")
        zeros = [np.zeros(n, np.float32) for n in (count, count, 1 if optimizer == "SGD" else count)]
        return cls(values, *zeros, ema, sizes[:3], optimizer)

    def update(self, rates):
        """Moves the vectors; gives the gradient's norm before, a float32."""
        statistics = len(self.values) - sum(self.groups)
        operator = native.UpdateStep(self.optimizer, self.groups, statistics, DECAY)
        (norm,) = run(operator, [rates], [((1,), flow.float32)], list(self.state().values()))
        return norm[0]

    def state(self):
        return {name: getattr(self, name) for name in ("values", "gradient", "first", "second", "ema")}


class Reference:
    """Clipping, PyTorch's SGD (Nesterov), Adam and AdamW and the EMA in double precision."""

    def __init__(self, vectors) -> None:
        self.optimizer, self.groups = vectors.optimizer, vectors.groups
        self.values, self.ema = vectors.values.astype(np.float64), vectors.ema.astype(np.float64)
        self.first, self.second = np.zeros(len(vectors.first)), np.zeros(len(vectors.second))
        # What float32 can settle: not where gradient and decay once cancelled and Adam divided by the rest.
        self.sure = np.ones(len(vectors.values), bool)

    def update(self, gradient, rates):
        norm = np.sqrt((gradient**2).sum())
        slope = gradient * min(1.0, 10.0 / (norm + 1e-6))
        rate = np.repeat(rates[:3], self.groups)
        decay = np.repeat([0.0, DECAY, 0.0], self.groups)
        count, momentum = len(gradient), rates[3]
        weights = self.values[:count]
        if self.optimizer == "AdamW":
            weights = weights * (1 - rate * decay)
        else:
            slope = slope + decay * weights
        if self.optimizer == "SGD":
            self.first = momentum * self.first + slope
            direction = slope + momentum * self.first
        else:
            self.first = momentum * self.first + (1 - momentum) * slope
            self.second = 0.999 * self.second + 0.001 * slope**2
            if self.optimizer == "Adam":
                self.sure[:count] &= self.second > 1e-10
            direction = self.first / rates[5] / (np.sqrt(self.second / rates[6]) + 1e-8)
        self.values[:count] = weights - rate * direction
        self.ema = self.ema * rates[4] + self.values * (1 - rates[4])
        return norm


def gradient_of_norm(rng, size, norm):
    gradient = rng.normal(size=size)
    return np.float32(gradient * norm / max(np.linalg.norm(gradient), 1e-9))


@each_optimizer
@pytest.mark.parametrize("sizes", SIZES)
def test_five_steps_against_the_formulas(optimizer, sizes):
    vectors = Vectors.random(sizes, optimizer)
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
    vectors = Vectors(vector.gather(), *arrays, vector.group_sizes, optimizer)
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
        vectors = Vectors.random((5, 200003, 70001, 3), optimizer)
        vectors.gradient[:] = np.random.default_rng(2).normal(size=len(vectors.gradient))
        results.append((vectors.update(RATES[1].array()), vectors.state()))
    for norm, state in results[1:]:
        assert norm == results[0][0]
        for name, array in state.items():
            np.testing.assert_array_equal(array, results[0][1][name], err_msg=name)


def test_statistics_stay_and_their_average_moves():
    vectors = Vectors.random((3, 9, 2, 5), "SGD")
    values, ema = vectors.values.copy(), vectors.ema.copy()
    vectors.gradient[:] = 1
    vectors.update(RATES[1].array())
    np.testing.assert_array_equal(vectors.values[14:], values[14:])
    assert (vectors.values[:14] != values[:14]).all()
    np.testing.assert_allclose(vectors.ema[14:], 0.3 * ema[14:] + 0.7 * values[14:], rtol=1e-6, atol=1e-7)


@each_optimizer
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_no_number(optimizer, value):
    vectors = Vectors.random((3, 40001, 5, 2), optimizer)
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
    vectors = Vectors.random((0, 100, 0, 0), "SGD")
    vectors.gradient[:] = 3e38
    assert vectors.update(RATES[0].array()) == np.inf
    assert np.linalg.norm(vectors.first) == pytest.approx(10, rel=0.1)


def test_nothing_at_all():
    assert Vectors.random((0, 0, 0, 0), "Adam").update(RATES[0].array()) == 0


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

"""One vector for all parameters; its update equals PyTorch's optimizers, written here in double precision."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import oneflow as flow
import pytest
from oneflow import nn

from graphs.base import synchronise
from graphs.parameters import ParameterVector
from graphs.train_state import TrainState
from graphs.update import OPTIMIZERS, Rates, UpdateGraph

DECAY = 0.05
# Norms of the gradient from step to step: below 10, above, exactly, none at all.
NORMS = (3.0, 200.0, 10.0, 0.0, 1e-4, 40.0)
RATES = [
    Rates(0.1, 0.01, 0.02, 0.8, 0.0, 1),
    Rates(0.08, 0.02, 0.02, 0.85, 0.3, 2),
    Rates(0.05, 0.03, 0.01, 0.9, 0.5, 3),
    Rates(0.04, 0.04, 0.04, 0.937, 0.9, 4),
    Rates(0.0, 0.03, 0.05, 0.937, 0.99, 5),
    Rates(0.03, 0.0, 0.0, 0.7, 1.0, 6),
]
BIASES = ["fc.bias", "norm.bias", "stem.1.bias"]
WEIGHTS = ["fc.weight", "scale", "stem.0.weight", "stem.1.weight"]
NORM_WEIGHTS = ["norm.weight"]


class Small(nn.Module):
    """A parameter of each kind, one directly on the network."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.Conv2d(4, 2, 1))
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(5, 2)
        self.scale = nn.Parameter(flow.ones(3))
        rng = np.random.default_rng(seed)
        with flow.no_grad():
            for tensor in self.parameters():
                tensor.copy_(flow.tensor(rng.normal(0, 1, tuple(tensor.shape)).astype(np.float32)))


@pytest.fixture(scope="module")
def vector():
    return ParameterVector(Small())


def test_groups_in_order(vector):
    names = [slot.name for slot in vector.parameters]
    assert sorted(names[:3]) == BIASES
    assert sorted(names[3:7]) == WEIGHTS
    assert names[7:] == NORM_WEIGHTS
    assert vector.group_sizes == (2 + 4 + 2, 10 + 3 + 108 + 8, 4)
    assert [slot.name for slot in vector.statistics] == ["norm.running_mean", "norm.running_var"]
    assert (vector.parameter_size, vector.size) == (141, 149)


def test_slots_lie_one_after_the_other(vector):
    slots = vector.parameters + vector.statistics
    assert [slot.start for slot in slots] == [0, *(slot.stop for slot in slots[:-1])]
    assert all(slot.size == slot.tensor.numpy().size for slot in slots)


@pytest.mark.parametrize("whole", [True, False])
def test_split_and_join(vector, whole):
    size = vector.size if whole else vector.parameter_size
    numbers = np.random.default_rng(0).normal(size=size).astype(np.float32)
    arrays = vector.split(numbers)
    assert len(arrays) == (10 if whole else 8)
    assert arrays["stem.0.weight"].shape == (4, 3, 3, 3)
    assert ("norm.running_var" in arrays) is whole
    np.testing.assert_array_equal(vector.join(arrays, size), numbers)
    arrays["fc.weight"][:] = 0
    assert numbers.all(), "the arrays are copies"


def test_gather_gives_what_the_network_holds(vector):
    arrays = vector.split(vector.gather())
    state = {name: tensor.numpy() for name, tensor in Small().state_dict().items() if "num_batches" not in name}
    assert arrays.keys() == state.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, state[name])


def test_join_refuses_what_does_not_fit(vector):
    arrays = vector.split(vector.gather())
    with pytest.raises(ValueError, match=r"fc\.weight has shape \(5, 2\), not \(2, 5\)"):
        vector.join({**arrays, "fc.weight": arrays["fc.weight"].T}, vector.size)
    missing = {name: array for name, array in arrays.items() if name != "norm.running_var"}
    with pytest.raises(KeyError, match=r"norm\.running_var"):
        vector.join(missing, vector.size)
    assert vector.join(missing, vector.parameter_size).size == vector.parameter_size


def test_by_group(vector):
    numbers = flow.arange(vector.parameter_size).to(flow.float32)
    result = vector.by_group(lambda a, b, group: a + b * group, numbers, flow.ones(vector.parameter_size)).numpy()
    np.testing.assert_array_equal(result, np.arange(141) + np.repeat([0, 1, 2], [8, 129, 4]))


def test_a_network_without_some_groups():
    vector = ParameterVector(nn.Conv2d(2, 3, 1, bias=False))
    assert (vector.group_sizes, vector.size) == ((0, 6, 0), 6)
    result = vector.by_group(lambda part, group: part * (group + 1), flow.ones(6))
    np.testing.assert_array_equal(result.numpy(), np.full(6, 2, np.float32))


class Reference:
    """PyTorch's SGD (Nesterov), Adam and AdamW, clipping and the EMA, as their documentation states them."""

    def __init__(self, optimizer, start, vector):
        self.optimizer, self.sizes, self.count = optimizer, vector.group_sizes, vector.parameter_size
        self.weights, self.ema = np.float64(start[: self.count]), np.float64(start)
        self.first, self.second = np.zeros(self.count), np.zeros(self.count)
        self.decay = np.repeat([0.0, DECAY, 0.0], self.sizes)

    def update(self, gradient, statistics, rates):
        norm = np.sqrt((gradient**2).sum())
        gradient = gradient * min(1.0, 10.0 / (norm + 1e-6))
        rate = np.repeat([rates.bias, rates.weight, rates.norm], self.sizes)
        getattr(self, self.optimizer)(gradient, rate, rates)
        self.ema = self.ema * rates.ema_decay + np.concatenate([self.weights, statistics]) * (1 - rates.ema_decay)
        return norm

    def SGD(self, gradient, rate, rates):
        gradient = gradient + self.decay * self.weights
        self.first = rates.momentum * self.first + gradient
        self.weights = self.weights - rate * (gradient + rates.momentum * self.first)

    def Adam(self, gradient, rate, rates):
        self._adam(gradient + self.decay * self.weights, rate, rates)

    def AdamW(self, gradient, rate, rates):
        self.weights = self.weights * (1 - rate * self.decay)
        self._adam(gradient, rate, rates)

    def _adam(self, gradient, rate, rates):
        self.first = rates.momentum * self.first + (1 - rates.momentum) * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        first = self.first / (1 - rates.momentum**rates.step)
        second = self.second / (1 - 0.999**rates.step)
        self.weights = self.weights - rate * first / (np.sqrt(second) + 1e-8)


@pytest.fixture(scope="module", params=OPTIMIZERS)
def steps(request):
    """What each update left behind: (ours, expected) by name."""
    network = Small().train()
    state = TrainState(network, request.param, in_vector=False)
    vector, graph = state.vector, UpdateGraph(state, request.param, DECAY)
    reference = Reference(request.param, vector.gather(), vector)
    rng = np.random.default_rng(1)
    results = []
    for norm, rates in zip(NORMS, RATES):
        gradient = rng.normal(size=vector.parameter_size)
        gradient = np.float32(gradient * norm / np.linalg.norm(gradient))
        statistics = rng.uniform(0.5, 2, 8).astype(np.float32)
        for slot, numbers in zip(vector.statistics, np.split(statistics, 2)):
            slot.tensor.copy_(flow.tensor(numbers))
        state.gradient.copy_(flow.tensor(gradient))
        synchronise()  # a graph does not wait for what is written into the tensors it has captured
        ours = float(graph(flow.tensor(rates.array())).numpy()[0])
        synchronise()
        expected = reference.update(np.float64(gradient), np.float64(statistics), rates)
        results.append(
            {
                "norm": (ours, expected),
                "weights": (vector.gather()[: vector.parameter_size], reference.weights),
                "statistics": (vector.gather()[vector.parameter_size :], statistics),
                "ema": (state.ema.numpy().copy(), reference.ema),
                "first": (state.first.numpy().copy(), reference.first),
                "second": (state.second.numpy().copy(), reference.second[: state.second.shape[0]]),
                "gradient": (state.gradient.numpy().copy(), np.zeros(vector.parameter_size)),
            }
        )
    return results


@pytest.mark.parametrize("number", range(len(NORMS)))
def test_update(steps, number):
    for name, (ours, expected) in steps[number].items():
        np.testing.assert_allclose(ours, expected, rtol=2e-5, atol=2e-6, err_msg=name)


def test_every_update_moved_something(steps):
    """So that the comparison above compares."""
    weights = [step["weights"][1] for step in steps]
    biases = [np.abs(b[:8] - a[:8]).max() for a, b in pairwise(weights)]
    others = [np.abs(b[8:] - a[8:]).max() for a, b in pairwise(weights)]
    assert [moved > 1e-3 for moved in biases] == [True, True, True, False, True]
    assert [moved > 1e-3 for moved in others] == [True, True, True, True, False]


def test_rates_as_the_graph_reads_them():
    numbers = Rates(0.1, 0.2, 0.3, 0.9, 0.99, 3).array()
    np.testing.assert_allclose(numbers, [0.1, 0.2, 0.3, 0.9, 0.99, 1 - 0.9**3, 1 - 0.999**3], rtol=1e-6)
    assert numbers.dtype == np.float32

"""Batch normalisation against its formula in float64, and against the stock layer where that one is not exact."""

from __future__ import annotations

import numpy as np
import oneflow as flow
import pytest
from oneflow import nn

from graphs.base import StaticGraph, synchronise
from yolo.models.layers.normalisation import MOST_SUMMED, BatchNorm2d

EPS, MOMENTUM, CHANNELS = 1e-3, 0.03, 3
SHAPES = {
    "one": (1, CHANNELS, 1, 1),
    "few": (2, CHANNELS, 5, 7),
    "most summed": (4, CHANNELS, 16, 16),
    "one more": (1, CHANNELS, 5, 205),
    "many": (4, CHANNELS, 160, 160),
}


def sample(shape, seed=0):
    """Values away from zero, as activations are; what the loss weighs each output with; weights and biases."""
    rng = np.random.default_rng(seed)
    x = rng.normal(2, 1.5, shape).astype(np.float32)
    seeds = (rng.normal(0.3, 1, shape) + x / 2).astype(np.float32)  # gradients of weights are not near zero then
    return x, seeds, rng.normal(1, 0.3, CHANNELS).astype(np.float32), rng.normal(0, 1, CHANNELS).astype(np.float32)


def expected(x, seeds, weight, bias):
    """Training's output, gradients and statistics, in float64."""
    x, seeds, weight, bias = (array.astype(np.float64) for array in (x, seeds, weight, bias))
    axes, count = (0, 2, 3), x.size / CHANNELS
    wide = weight.reshape(1, -1, 1, 1)
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    deviation = np.sqrt(variance + EPS)
    normal = (x - mean) / deviation
    to_normal = seeds * wide
    inner = to_normal - to_normal.mean(axes, keepdims=True) - normal * (to_normal * normal).mean(axes, keepdims=True)
    return {
        "y": normal * wide + bias.reshape(1, -1, 1, 1),
        "x": inner / deviation,
        "weight": (seeds * normal).sum(axes),
        "bias": seeds.sum(axes),
        "running_mean": mean.reshape(-1) * MOMENTUM,
        "running_var": (1 - MOMENTUM) + variance.reshape(-1) * count / max(count - 1, 1) * MOMENTUM,
    }


def layer(kind, weight, bias):
    norm = kind(CHANNELS, eps=EPS, momentum=MOMENTUM)
    with flow.no_grad():
        norm.weight.copy_(flow.tensor(weight))
        norm.bias.copy_(flow.tensor(bias))
    return norm.train()


class Before(nn.Module):
    """A learnt shift (of zero) ahead of the layer: a graph's input takes no gradient, a parameter's shows it."""

    def __init__(self, norm, shape):
        super().__init__()
        self.shift = nn.Parameter(flow.zeros(*shape))
        self.norm = norm

    def forward(self, x):
        return self.norm(x + self.shift)


class Graph(StaticGraph):
    """x, seeds -> y and the gradients of x, weight, bias."""

    def __init__(self, module):
        super().__init__()
        self.config._train(True)
        self.module = module
        self._parameters_of = (module.shift, module.norm.weight, module.norm.bias)

    def build(self, x, seeds):
        y = self.module(x)
        (y * seeds).sum().backward()
        gradients = [parameter.grad for parameter in self._parameters_of]
        for parameter in self._parameters_of:
            parameter.grad = None
        return (y, *gradients)


def eager(kind, x, seeds, weight, bias):
    norm, x = layer(kind, weight, bias), flow.tensor(x, requires_grad=True)
    y = norm(x)
    (y * flow.tensor(seeds)).sum().backward()
    return _found(norm, y, x.grad, norm.weight.grad, norm.bias.grad)


def _found(norm, *outputs):
    synchronise()
    values = dict(zip(("y", "x", "weight", "bias"), (output.numpy() for output in outputs)))
    return values | {name: getattr(norm, name).numpy() for name in ("running_mean", "running_var")}


def error(found, wanted):
    """The largest difference by name, as a share of the largest value."""
    scale = {name: np.abs(wanted[name]).max() or 1.0 for name in wanted}
    return {name: np.abs(found[name] - wanted[name]).max() / scale[name] for name in wanted}


@pytest.mark.parametrize("size", SHAPES)
def test_training(size):
    arrays = sample(SHAPES[size])
    errors = error(eager(BatchNorm2d, *arrays), expected(*arrays))
    assert all(value < 3e-6 for value in errors.values()), errors  # NaN is not


def test_the_sizes_lie_on_both_sides_of_the_limit():
    counts = [shape[0] * shape[2] * shape[3] for shape in SHAPES.values()]
    assert 1 == counts[0] < counts[1] < counts[2] == MOST_SUMMED == counts[3] - 1 < 100_000 < counts[4]


def test_the_stock_layer_is_not_as_exact():
    """Why the class exists; when this fails, OneFlow adds up better and the class can go."""
    arrays = sample(SHAPES["many"])
    ours, stock = (error(eager(kind, *arrays), expected(*arrays)) for kind in (BatchNorm2d, nn.BatchNorm2d))
    assert max(stock.values()) > 1e-5 > 3e-6 > max(ours.values()), stock
    assert stock["running_var"] > 5 * ours["running_var"]


@pytest.mark.parametrize("size", ["one", "few", "one more", "many"])
def test_a_graph_gives_the_same(size):
    x, seeds, weight, bias = sample(SHAPES[size], seed=1)
    norm = layer(BatchNorm2d, weight, bias)
    outputs = Graph(Before(norm, x.shape).train())(flow.tensor(x), flow.tensor(seeds))
    found, wanted = _found(norm, *outputs), expected(x, seeds, weight, bias)
    errors = error(found, wanted)
    assert all(value < 3e-6 for value in errors.values()), errors  # NaN is not


@pytest.mark.parametrize("size", ["one", "few", "many"])
def test_statistics_move_from_where_they_are(size):
    x, _, weight, bias = sample(SHAPES[size])
    norm = layer(BatchNorm2d, weight, bias)
    mean, variance = np.zeros(CHANNELS), np.ones(CHANNELS)
    for factor in (1, 3, 0.5):
        norm(flow.tensor(x * np.float32(factor)))
        seen = (x * np.float32(factor)).astype(np.float64)
        mean += MOMENTUM * (seen.mean((0, 2, 3)) - mean)
        variance += MOMENTUM * (seen.var((0, 2, 3), ddof=size != "one") - variance)
    synchronise()
    np.testing.assert_allclose(norm.running_mean.numpy(), mean, rtol=2e-6)
    np.testing.assert_allclose(norm.running_var.numpy(), variance, rtol=2e-6)


@pytest.mark.parametrize("size", ["few", "many"])
def test_evaluation_uses_statistics_and_leaves_them(size):
    x, _, weight, bias = sample(SHAPES[size])
    norm = layer(BatchNorm2d, weight, bias)
    norm(flow.tensor(x))
    norm.eval()
    before = [norm.running_mean.numpy().copy(), norm.running_var.numpy().copy()]
    found = norm(flow.tensor(2 * x)).numpy()
    mean, variance, weight, bias = (np.float64(a).reshape(1, -1, 1, 1) for a in (*before, weight, bias))
    wanted = (2 * x.astype(np.float64) - mean) / np.sqrt(variance + EPS) * weight + bias
    assert np.abs(found - wanted).max() / np.abs(wanted).max() < 2e-6
    np.testing.assert_array_equal([norm.running_mean.numpy(), norm.running_var.numpy()], before)

"""Batch norm, activation and residual sum, forwards and backwards, against float64."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.device import cuda_host
from tests.program.cuda.activations import ACTIVATIONS, VALUE
from tests.program.cuda.numbers import NEAR, PRECISIONS, MapShape, off, rounded

EPS, MOMENTUM = np.float32(1e-3), np.float32(0.03)
SHAPES = {
    "one pixel": MapShape(1, 1, 1, 24),
    "one channel": MapShape(2, 9, 7, 1),
    "two pixels": MapShape(2, 1, 1, 8),
    "part of a buffer": MapShape(2, 5, 6, 13, first=8, pitch=40),
    "several strips": MapShape(3, 21, 20, 8),
    "rows that fill no block": MapShape(2, 13, 5, 48),
    "several groups": MapShape(2, 8, 8, 300, first=16, pitch=320),
}


@dataclasses.dataclass
class Case:
    """Arguments of a step; arrays are maps [images, height, width, channels], exact in the type of numbers."""

    shape: MapShape
    precision: str
    source: np.ndarray
    values: np.ndarray
    activation: str = "SiLU"
    residual: np.ndarray | None = None
    gradients: tuple[np.ndarray, ...] = ()
    targets: int = 1
    over: bool = False

    def run(self) -> dict[str, np.ndarray]:
        """What the kernels make of it."""
        buffer = self.shape.buffer
        found = cuda_host().norm_act_add(
            self.precision,
            self.shape.first,
            self.shape.channels,
            buffer(self.source),
            self.values,
            self.activation,
            VALUE,
            [] if self.residual is None else [buffer(self.residual)],
            [buffer()] * self.targets,
            [buffer(gradient) for gradient in self.gradients],
            self.over,
        )
        found["targets"] = [self.shape.read(target) for target in found["targets"]]
        found["source_gradient"] = self.shape.read(found["source_gradient"])
        return found


def case(shape: MapShape, precision: str, rows: int, seed: int = 0, gradients: int = 1, **others: object) -> Case:
    """Random numbers; ``rows`` of values: 4 of a batch norm, 1 of a bias, 0 of neither."""
    rng = np.random.default_rng(seed)
    channels = shape.channels
    values = np.stack([rng.uniform(0.5, 2, channels), *rng.normal(0, 1, (3, channels))]).astype(np.float32)
    values[3] = np.abs(values[3]) + 0.1
    if rows == 1:
        values = values[1:2]
    maps = [rounded(rng.normal(0.3, 2, shape.size), precision) for _ in range(gradients + 1)]
    return Case(shape, precision, maps[0], values[:rows], gradients=tuple(maps[1:]), **others)


def reference(given: Case) -> dict[str, np.ndarray]:
    """The same in float64."""
    x = given.source.reshape(-1, given.shape.channels).astype(np.float64)
    count, values = len(x), given.values.astype(np.float64)
    after, inverse, mean, scale, shift = values.copy(), 1.0, 0.0, 1.0, 0.0
    if len(values) == 4:
        mean, variance = x.mean(0), x.var(0)
        after[2] += MOMENTUM * (mean - after[2])
        after[3] += MOMENTUM * (variance * count / max(count - 1, 1) - after[3])
        inverse = 1 / np.sqrt(variance + EPS)
        scale, shift = values[0] * inverse, values[1]
    elif len(values) == 1:
        shift = values[0]
    function, derivative = ACTIVATIONS[given.activation]
    u = (x - mean) * scale + shift
    target = function(u, VALUE) + (0 if given.residual is None else given.residual.reshape(x.shape))
    total = np.sum(given.gradients, axis=0, dtype=np.float64).reshape(x.shape)
    g, normal = total * derivative(u, VALUE), (x - mean) * inverse
    to_bias, to_weight = g.sum(0), (g * normal).sum(0)
    source_gradient = g * scale
    gradient = np.zeros_like(values)
    if len(values) == 4:
        gradient[0], gradient[1] = to_weight, to_bias
        source_gradient = scale * (g - to_bias / count - normal * to_weight / count)
    elif len(values) == 1:
        gradient[0] = to_bias
    sizes = np.stack([np.abs(g * normal).sum(0).max(), np.abs(g).sum(0).max()])
    return {
        "target": target,
        "values": after,
        "gradient": gradient,
        "sum": total,
        "source_gradient": source_gradient,
        "sizes": sizes,
    }


def check(given: Case, near: float | None = None) -> dict[str, np.ndarray]:
    """The kernels' results, which equal the reference's."""
    found, right = given.run(), reference(given)
    near = near or NEAR[given.precision]
    for target in found["targets"]:
        assert off(target, right["target"]) <= near
        np.testing.assert_array_equal(target, found["targets"][0])
    if len(given.values):
        assert off(found["values"], right["values"]) <= 1e-5
        assert off(found["gradient"], right["gradient"], right["sizes"].max()) <= 1e-5
    size = np.abs(right["source_gradient"]).max() if given.shape.images > 1 else 1.0
    assert off(found["source_gradient"], right["source_gradient"], size) <= near
    return found


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", SHAPES)
def test_batch_norms(name: str, precision: str) -> None:
    check(case(SHAPES[name], precision, 4))


@pytest.mark.parametrize("rows", [0, 1, 4])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str, rows: int) -> None:
    check(case(MapShape(2, 5, 6, 13, first=8, pitch=40), "fp32", rows, activation=name))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_of_large_numbers(name: str) -> None:
    given = case(MapShape(2, 4, 4, 8), "fp32", 0, activation=name)
    given.source = np.linspace(-40, 40, given.source.size, dtype=np.float32).reshape(given.source.shape)
    check(given)
    given.source = np.where(given.source > 0, 90, -90).astype(np.float32)
    check(given)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("rows", [0, 1, 4])
@pytest.mark.parametrize("targets", [1, 3, 9])
def test_targets_and_residual(targets: int, rows: int, precision: str) -> None:
    shape = MapShape(2, 5, 6, 13, first=8, pitch=40)
    residual = rounded(np.random.default_rng(1).normal(0, 2, shape.size), precision)
    check(case(shape, precision, rows, activation="Sigmoid", targets=targets, residual=residual))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("rows", [0, 1, 4])
@pytest.mark.parametrize("gradients", [2, 5, 16])
def test_several_gradients_and_in_place(gradients: int, rows: int, precision: str) -> None:
    shape = MapShape(2, 5, 6, 13, first=8, pitch=40)
    given = case(shape, precision, rows, gradients=gradients)
    apart = check(given)
    given.over = True
    over = check(given)
    np.testing.assert_array_equal(apart["source_gradient"], over["source_gradient"])
    if rows:
        total = np.sum(given.gradients, axis=0, dtype=np.float64).reshape(-1, shape.channels)
        assert off(shape.read(over["sum"]), total) <= NEAR[precision]


def test_more_gradients_than_a_step_takes() -> None:
    with pytest.raises(ValueError, match="too many"):
        case(MapShape(1, 1, 1, 8), "fp32", 1, gradients=17).run()


@pytest.mark.parametrize("shape", [MapShape(4, 40, 40, 8), MapShape(3, 3, 3, 264)])
def test_large_means_of_small_variance(shape: MapShape) -> None:
    """In float32 a mean of squares has no digit of this variance: 2.6e5 and 0.25."""
    given = case(shape, "fp32", 4)
    given.source = (512 + np.random.default_rng(2).normal(0, 0.5, shape.size)).astype(np.float32)
    found, right = given.run(), reference(given)
    moved = (found["values"] - given.values)[2:], (right["values"] - given.values)[2:]
    assert off(found["values"][3], right["values"][3]) <= 1e-6 and off(*moved) <= 1e-5
    # The mean itself, rounded to float32, is off by up to 2^-16 of 0.5.
    assert off(found["targets"][0], right["target"]) <= 4e-5


def test_one_far_number_among_many() -> None:
    given = case(MapShape(2, 40, 40, 8), "fp32", 4)
    given.source = np.full_like(given.source, 1000)
    given.source[0, 0, 0] = -3000
    found, right = given.run(), reference(given)
    assert off(found["values"], right["values"]) <= 1e-6


def test_constant_channels() -> None:
    given = case(MapShape(2, 20, 20, 8), "fp32", 4)
    given.source[...] = np.arange(8, dtype=np.float32) / 3
    found = check(given)
    variance = (1 - np.float64(MOMENTUM)) * given.values[3]
    np.testing.assert_allclose(found["values"][3], variance, rtol=1e-6)


def test_unknown_activation() -> None:
    with pytest.raises(ValueError, match="unknown activation Softmax"):
        case(MapShape(1, 1, 1, 8), "fp32", 0, activation="Softmax").run()

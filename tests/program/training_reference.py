"""The plain network in float64: heads, gradients of all parameters and running statistics of one training step."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import oneflow as flow
from oneflow import nn

from graphs.parameters import ParameterVector
from tests.program.networks import channels_first
from yolo import native
from yolo.models.layers.transformer import MultiheadAttention
from yolo.models.network import Network
from yolo.models.weights.transfer import state_to_numpy
from yolo.program.lower import lower
from yolo.program.plan import Plan
from yolo.program.target import Target
from yolo.program.training.program import plan_training


@dataclasses.dataclass
class Step:
    """One step: ``heads`` [B, na * (5 + nc), h, w] a level, ``gradients`` and ``statistics`` by name.

    ``summed`` has, for biases, the norm of what their gradients would be if all that is summed had one sign.
    """

    heads: list[np.ndarray]
    gradients: dict[str, np.ndarray]
    statistics: dict[str, np.ndarray]
    summed: dict[str, float] = dataclasses.field(default_factory=dict)


class Passes:
    """The passes of a plan, as ``GradientStep`` runs them: ``forward`` and ``backward``; ``executor`` has all else."""

    def __init__(self, plan: Plan) -> None:
        self.head_shapes, self.executor = plan.heads, native.Executor(plan)
        self.forward, self.backward = self.executor, self.executor.backward


class Subject:
    """A network, its vector of values, and the training program that must equal it."""

    def __init__(self, network: Network) -> None:
        self.network = network.train()
        self.vector = ParameterVector(network)
        self.values = self.vector.gather()
        self.offsets = {slot.name: slot.start for slot in self.vector.parameters + self.vector.statistics}
        self.graph = lower(network.spec, state_to_numpy(network))

    def passes(self, shape: tuple[int, ...], *, threads: int = 2, precision: str = "fp32", **options: object) -> Passes:
        """Its program for images of this shape."""
        plan = plan_training(self.graph, shape, self.offsets, Target.of("cpu", precision, threads), **options)
        return Passes(plan)

    def compiled(self, passes: Passes, images: np.ndarray, slopes: list[np.ndarray]) -> Step:
        """A step of the program from the first values."""
        values, gradient = self.values.copy(), np.zeros(self.vector.parameter_size, np.float32)
        heads = passes.forward(images, values)
        passes.backward(slopes, values, gradient)
        after = self.vector.split(values)
        statistics = {slot.name: after[slot.name] for slot in self.vector.statistics}
        return Step(heads, self.vector.split(gradient), statistics)

    def plain(self, images: np.ndarray, slopes: list[np.ndarray], number: type = np.float64) -> Step:
        """A step of the plain network in this number format, which changes it: call it once."""
        network = self.network.double() if number is np.float64 else self.network
        summed = watch_biases(network)
        given = flow.tensor((images / number(255.0 if images.dtype == np.uint8 else 1.0)).astype(number))
        heads = network(given)
        slopes = [anchors_first(slope, head.shape).astype(number) for slope, head in zip(slopes, heads)]
        sum((head * flow.tensor(slope)).sum() for head, slope in zip(heads, slopes)).backward()
        named = dict(network.named_parameters())
        gradients = {slot.name: named[slot.name].grad.numpy() for slot in self.vector.parameters}
        buffers = dict(network.named_buffers())
        statistics = {slot.name: buffers[slot.name].numpy() for slot in self.vector.statistics}
        return Step([channels_first(head.numpy()) for head in heads], gradients, statistics, summed)


def watch_biases(network: Network) -> dict[str, float]:
    """Give a dict that the next backward pass fills: biases of linear layers and convolutions -> ``Step.summed``."""
    summed: dict[str, float] = {}

    def add(name: str, gradients: np.ndarray) -> None:
        """``gradients`` [n, channels] of what a bias is added to."""
        summed[name] = summed.get(name, 0.0) + float(np.linalg.norm(np.abs(gradients).sum(axis=0)))

    def watch(name: str, axis: int, tensor: flow.Tensor, weight: np.ndarray | None = None) -> None:
        def keep(gradient: flow.Tensor) -> None:
            rows = np.moveaxis(gradient.numpy(), axis, -1).reshape(-1, gradient.shape[axis])
            add(name, rows if weight is None else np.linalg.solve(weight.T, rows.T).T)

        tensor.register_hook(keep)

    def watch_attention(name: str, module: MultiheadAttention, inputs: tuple[flow.Tensor, ...]) -> None:
        # A projection's output is nowhere to be had; its gradient follows from its input's, x W' having W square.
        for tensor, weight in zip(inputs, np.split(module.in_proj_weight.numpy(), 3)):
            watch(name, -1, tensor, weight)

    for name, module in network.named_modules():
        if isinstance(module, MultiheadAttention):
            module.register_forward_pre_hook(functools.partial(watch_attention, f"{name}.in_proj_bias"))
        elif isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)) and module.bias is not None:
            axis = -1 if isinstance(module, nn.Linear) else 1
            module.register_forward_hook(
                lambda module, inputs, output, name=f"{name}.bias", axis=axis: watch(name, axis, output)
            )
    return summed


def anchors_first(slope: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """[B, na * no, h, w] -> [B, na, h, w, no]."""
    batch, anchors, height, width, columns = shape
    slope = slope.reshape(batch, anchors, columns, height, width).transpose(0, 1, 3, 4, 2)
    return np.ascontiguousarray(slope)


def head_slopes(passes: Passes, seed: int = 1) -> list[np.ndarray]:
    """Random gradients of the heads, float32."""
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 0.01, shape).astype(np.float32) for shape in passes.head_shapes]


def off(got: np.ndarray, expected: np.ndarray, unit: float = 1e-30) -> float:
    """The norm of the difference, relative to the expected one's or to ``unit``, whichever is larger."""
    return float(np.linalg.norm(np.asarray(got, np.float64) - expected) / max(np.linalg.norm(expected), unit))


def assert_equal(got: Step, expected: Step, *singles: Step, rounding: float = 1.0) -> None:
    """Heads within 1e-5 of their largest value, every gradient and statistic within 1e-4 of its norm.

    ``singles``: the plain network's step in float32. Deep networks of random weights amplify roundings; where the worst
    error of these steps is larger than those limits, twice that error is allowed. ``rounding``: how many times as much
    as these a step may round.
    """
    seen = [errors(single, expected) for single in singles]
    for part, found in errors(got, expected).items():
        allowed = max((each[part] for each in seen), default=0.0)
        assert found <= rounding * max(LIMITS[part], 2 * allowed), (part, found, allowed)


LIMITS = {"heads": 1e-5, "gradients": 1e-4, "statistics": 1e-4}

RESOLUTION = 2e-6
"""What a bias's gradient may be off, relative to the sum of sizes: 32 roundings of float32.

A batch norm takes away what a bias before it adds, so that the bias's gradient is a difference of sums up to 60,000
times as large (C3TR): relative to itself it has only two or three digits in float32, whoever computes it. In 20 draws
ours was off by at most 5e-7 of the sums, and the plain float32 step by as much; relative to itself now the one, now the
other was more exact, by up to three times, so that a float32 step is no yardstick.
"""


def errors(got: Step, expected: Step) -> dict[str, float]:
    """The worst error of each part of a step.

    Gradients that are zero but for roundings (of a shift before a batch norm) are taken in units of the largest one.
    """
    largest = max(np.abs(gradient).max() for gradient in expected.gradients.values())
    gradients = [
        off(got.gradients[name], right, expected.summed.get(name, 0.0) * RESOLUTION / LIMITS["gradients"] + 1e-30)
        if np.abs(right).max() > 1e-9 * largest
        else float(np.abs(got.gradients[name]).max() / largest)
        for name, right in expected.gradients.items()
    ]
    heads = [np.abs(head - right).max() / np.abs(right).max() for head, right in zip(got.heads, expected.heads)]
    statistics = [off(got.statistics[name], right) for name, right in expected.statistics.items()]
    return {"heads": max(heads), "gradients": max(gradients), "statistics": max(statistics, default=0.0)}

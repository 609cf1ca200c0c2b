"""Steps of batch norms, activations and residual sums: one plan for the CPU and for the device."""

from __future__ import annotations

import numpy as np
import pytest

from tests.device import cuda_host
from tests.program.cuda.numbers import NEAR, PRECISIONS, off
from tests.program.cuda.programs import target
from yolo import native
from yolo.program.plan import Plan
from yolo.program.plan_builder import BufferView, PlanBuilder
from yolo.program.target import Target

IMAGES, DIVISOR = (2, 13, 5, 6), 37.0
CHANNELS, SIZE = IMAGES[1], IMAGES[2:]


def norm(number: int) -> dict[str, float]:
    """Where a batch norm has its values: the first, the second, a third step's bias; then the statistics of both."""
    at = 2 * number * CHANNELS
    mean = (5 + 2 * number) * CHANNELS
    return {
        "weight": at,
        "bias": at + CHANNELS,
        "mean": mean,
        "variance": mean + CHANNELS,
        "eps": 1e-3,
        "momentum": 0.1,
    }


def activated(name: str) -> dict[str, object]:
    return {"activation": name, "value": 0.1}


def training_plan(made_for: Target, *, over: bool) -> Plan:
    """A norm with two targets, a second one with a residual, a bias, and a backward pass that adds gradients up."""
    builder = PlanBuilder(made_for, IMAGES[0])

    def buffer(channels: int = CHANNELS) -> BufferView:
        return builder.buffer(channels, SIZE)

    images, first, second, third, again = (buffer() for _ in range(5))
    wide = buffer(3 * 16).part(16, CHANNELS)
    builder.forward("load_images", "images", {"target": images}, divisor=DIVISOR)
    one = builder.forward(
        "norm_act_add", "one", {"source": images, "targets": [first, wide]}, **activated("SiLU"), **norm(0)
    )
    views = {"source": first, "targets": second, "residual": wide}
    two = builder.forward("norm_act_add", "two", views, **activated("LeakyReLU"), **norm(1))
    three = builder.forward(
        "norm_act_add", "three", {"source": second, "targets": third}, **activated("GELU"), bias=4 * CHANNELS
    )
    for number, view in enumerate((second, third)):
        builder.forward("store_head", "head", {"source": view}, number=number)
    heads, to_second, total = [buffer(), buffer()], buffer(), buffer()
    for number, view in enumerate(heads):
        builder.backward("load_head_gradient", "head", {"target": view}, number=number)
    back = "norm_act_add_backward"
    builder.backward(back, "three", {"source": second, "gradients": heads[1], "source_gradient": to_second}, of=three)
    builder.backward("norm_act_add_recompute", "one", {"source": images, "targets": again}, of=one)
    to_first = first if over else buffer()
    views = {"source": first, "gradients": [heads[0], to_second, again], "sum": total, "source_gradient": to_first}
    builder.backward(back, "two", views, of=two)
    builder.backward(back, "one", {"source": images, "gradients": [to_first, total]}, of=one)
    head = (IMAGES[0], CHANNELS, *SIZE)
    return builder.build(IMAGES, [head, head], values=9 * CHANNELS, gradient=5 * CHANNELS)


def images() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, IMAGES, np.uint8)


def step(executor: object) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Heads, values and gradient of a step."""
    rng = np.random.default_rng(4)
    values = rng.uniform(0.5, 1.5, 9 * CHANNELS).astype(np.float32)
    gradient = np.zeros(5 * CHANNELS, np.float32)
    heads = executor(images(), values)
    slopes = [rng.normal(0, 1, head.shape).astype(np.float32) for head in heads]
    executor.backward(slopes, values, gradient)
    return heads, values, gradient


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("over", [False, True])
def test_training_equals_the_cpu(over: bool, precision: str) -> None:
    expected = step(native.Executor(training_plan(Target.of("cpu", threads=1), over=over)))
    found = step(cuda_host().HostExecutor(training_plan(target(precision), over=over)))
    # Of halves, what one step writes is the next one's source: three roundings one behind the other.
    near = NEAR[precision] * (1 if precision == "fp32" else 3)
    for head, right in zip(found[0], expected[0]):
        assert off(head, right) <= near
    assert off(found[1], expected[1]) <= near
    assert off(found[2], expected[2]) <= near


def inference_plan(made_for: Target, constants: str | None, activation: str) -> Plan:
    builder = PlanBuilder(made_for, IMAGES[0])
    first, second, third = (builder.buffer(CHANNELS, SIZE) for _ in range(3))
    named = {} if constants is None else {"constants": constants}
    builder.forward("load_images", "images", {"target": first}, divisor=DIVISOR)
    views = {"source": first, "targets": second}
    builder.forward("norm_act_add", "norm", views, **activated(activation), **named)
    views = {"source": second, "targets": third, "residual": first}
    builder.forward("norm_act_add", "add", views, **activated("Identity"))
    builder.forward("store_head", "head", {"source": third}, number=0)
    return builder.build(IMAGES, [(IMAGES[0], CHANNELS, *SIZE)])


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("constants", [None, "bn"])
@pytest.mark.parametrize("activation", ["Identity", "Sigmoid", "Hardswish"])
def test_inference_equals_the_cpu(activation: str, constants: str | None, precision: str) -> None:
    module = cuda_host()
    rng = np.random.default_rng(5)
    parts = {f"bn.{part}": rng.normal(0, 1, CHANNELS).astype(np.float32) for part in ("scale", "shift")}
    cpu, device = native.Weights(), module.Constants()
    for kept in (cpu, device):
        for name, values in parts.items():
            kept.set(name, values)
    expected = native.Executor(inference_plan(Target.of("cpu", threads=1), constants, activation), weights=cpu)
    executor = module.HostExecutor(inference_plan(target(precision), constants, activation), constants=device)
    for _ in range(2):  # the second time with other constants, which the same executors take
        found, (right,) = executor(images()), expected(images())
        assert off(found[0], right) <= NEAR[precision]
        for kept in (cpu, device):
            for name, values in parts.items():
                kept.set(name, values * 2 + 1)


def test_constants_that_are_not_there() -> None:
    module = cuda_host()
    plan = inference_plan(target(), "bn", "SiLU")
    with pytest.raises(ValueError, match=r"norm: no constant bn\.scale of its shape"):
        module.HostExecutor(plan, constants=module.Constants())
    with pytest.raises(ValueError, match=r"norm: no constant bn\.scale of its shape"):
        module.HostExecutor(plan)

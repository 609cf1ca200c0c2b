"""Ranks with a device each, threads of this process here, train as one rank does with the whole batch."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import oneflow as flow
import pytest

from graphs.parameters import ParameterVector
from graphs.update import Rates
from tests.device import cuda_host
from tests.distributed.rendezvous.meetings import exchanges, together
from tests.ops.operators import run
from tests.program.cuda.programs import staged, target
from tests.program.networks import network_with, random_images, state_of
from yolo import native
from yolo.loss.settings import LossSettings
from yolo.models.network import Network
from yolo.program.detection import detection_loss
from yolo.program.ir import Shape
from yolo.program.lower import lower
from yolo.program.target import Target
from yolo.program.training.program import plan_training

ROWS = [[-1, 1, "Conv", [16, 6, 4, 2]], [-1, 1, "C3", [24]]]
IMAGES, PLACES, DECAY = 6, 8, 5e-4
SHAPE = (IMAGES, 3, 32, 48)
VECTORS = ("values", "gradient", "first", "second", "ema")
SETTINGS = LossSettings(0.05, 1.0, 0.5, 1.0, 1.0, 4.0, 0.0, 0.0, (4.0,))
UPDATES, ACCUMULATED = 2, 2
ROOM = 1_200_000
"""Parameters for whose gradient the exchange takes more than one turn."""


@dataclasses.dataclass
class Found:
    """Losses [batches, 4], norms [updates], gradients [updates, parameters], and the vectors after all updates."""

    losses: list[np.ndarray]
    norms: list[float]
    gradients: list[np.ndarray]
    vectors: dict[str, np.ndarray]


@dataclasses.dataclass
class Subject:
    """A network in training, and its vectors as they start."""

    network: Network

    def __post_init__(self) -> None:
        self.vector = ParameterVector(self.network.train())
        self.graph = lower(self.network.spec, state_of(self.network))
        start, count = self.vector.gather(), self.vector.parameter_size
        self.start = dict(zip(VECTORS, [start, *(np.zeros(count, np.float32) for _ in "gfs"), start]))
        self.rest = self.vector.size - count

    def plan(self, shape: Shape, made_for: Target):
        offsets = {slot.name: slot.start for slot in self.vector.slots}
        return plan_training(self.graph, shape, offsets, made_for)

    def loss(self, shape: Shape) -> native.DetectionLoss:
        return detection_loss(self.graph.head_shapes(shape), self.network.anchors, self.network.strides, SETTINGS)

    def matches(self, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """A level's, float64 [1]."""
        counter = native.MatchCount(self.loss((len(counts), *SHAPE[1:])), len(counts), PLACES)
        return run(counter, [labels, counts], [((1,), flow.float64)])[0]


@pytest.fixture(scope="module")
def subject() -> Subject:
    return Subject(network_with(ROWS, "ranks"))


def batch(number: int, part: slice = slice(None)) -> list[np.ndarray]:
    """Images, labels, counts; images have labels of different number, one has none."""
    rng = np.random.default_rng(number)
    labels = rng.uniform(0.2, 0.8, (IMAGES, PLACES, 5)).astype(np.float32)
    labels[..., 0] = rng.integers(0, 3, (IMAGES, PLACES))
    counts = np.array([PLACES, 3, 5, 0, 1, 2], np.int32)
    return [array[part] for array in (random_images(SHAPE, number), labels, counts)]


def part_of(rank: int, ranks: int) -> slice:
    images = IMAGES // ranks
    return slice(rank * images, (rank + 1) * images)


def rates(step: int) -> np.ndarray:
    return Rates(0.02, 0.01, 0.01, 0.9, 0.5, step).array()


def train(subject: Subject, matches: list[np.ndarray], rank: int, exchange: Any, sync: bool, precision: str) -> Found:
    """What a rank has after some updates; without an exchange it is alone, with the whole batch."""
    module = cuda_host()
    group = None if exchange is None else module.Group(exchange)
    ranks = 1 if group is None else group.ranks
    vectors = module.TrainVectors([len(subject.start[name]) for name in VECTORS], scaled=precision == "fp16")
    for name, values in subject.start.items():
        vectors.write(name, values)
    shape = (IMAGES // ranks, *SHAPE[1:])
    executor = module.Executor(subject.plan(shape, target(precision)), group=group if sync else None)
    gradient = module.GradientStep(executor, subject.loss(shape), PLACES, vectors, ranks)
    update = module.UpdateStep("SGD", subject.vector.group_sizes, subject.rest, DECAY, vectors, group)
    found = Found([], [], [], {})
    for number in range(UPDATES * ACCUMULATED):
        images, *labels = batch(number, part_of(rank, ranks))
        gradient.take(staged(images))
        found.losses.append(gradient(*labels, *([matches[number]] if ranks > 1 else [])))
        if (number + 1) % ACCUMULATED == 0:
            found.gradients.append(vectors.read("gradient"))
            found.norms.append(update(rates(len(found.norms) + 1)))
    found.vectors = {name: vectors.read(name) for name in VECTORS}
    return found


def ranked(subject: Subject, ranks: int, sync: bool, precision: str = "fp32") -> list[Found]:
    matches = [subject.matches(*batch(number)[1:]) for number in range(UPDATES * ACCUMULATED)]
    if ranks == 1:
        return [train(subject, matches, 0, None, False, precision)]
    linked = exchanges(ranks)
    calls = [functools.partial(train, subject, matches, rank, linked[rank], sync, precision) for rank in range(ranks)]
    return together(calls)


def cpu_ranks(subject: Subject, ranks: int) -> list[Found]:
    """The CPU's ranks with batch norms of their own, one after the other."""
    shape, size = (IMAGES // ranks, *SHAPE[1:]), subject.vector.size
    executors = [native.Executor(subject.plan(shape, Target.of())) for _ in range(ranks)]
    steps = [native.GradientStep(executor, subject.loss(shape), PLACES, ranks) for executor in executors]
    contribution = native.Contribution(subject.vector.parameter_size, 0, size, ranks)
    update = native.UpdateStep("SGD", subject.vector.group_sizes, subject.rest, DECAY, ranks)
    found = [Found([], [], [], {name: v.copy() for name, v in subject.start.items()}) for _ in range(ranks)]
    for number in range(UPDATES * ACCUMULATED):
        matches = subject.matches(*batch(number)[1:])
        for rank, own in enumerate(found):
            given = [*batch(number, part_of(rank, ranks)), matches]
            moved = [own.vectors["values"], own.vectors["gradient"]]
            own.losses += run(steps[rank], given, [((4,), flow.float32)], moved)
        if (number + 1) % ACCUMULATED:
            continue
        told = []
        for own in found:
            own.gradients.append(own.vectors["gradient"].copy())
            given = [own.vectors["gradient"], own.vectors["values"]]
            told += run(contribution, given, [((size,), flow.float32)])
        for own in found:
            given = [rates(len(own.norms) + 1), sum(told)]
            own.norms.append(float(run(update, given, [((1,), flow.float32)], list(own.vectors.values()))[0][0]))
    return found


def off(found: np.ndarray, right: np.ndarray) -> float:
    return float(np.linalg.norm(np.float64(found) - right) / max(np.linalg.norm(right), 1e-30))


def assert_same_everywhere(found: list[Found]) -> None:
    """But for what each has of its own."""
    for other in found[1:]:
        assert other.norms == found[0].norms
        for name, values in found[0].vectors.items():
            np.testing.assert_array_equal(other.vectors[name], values, err_msg=name)


def assert_sums_to(found: list[Found], alone: Found, near: float, start: dict[str, np.ndarray]) -> None:
    """The ranks have done what one rank did with the whole batch."""
    np.testing.assert_allclose(np.sum([own.losses for own in found], axis=0), alone.losses, rtol=near)
    np.testing.assert_allclose(found[0].norms, alone.norms, rtol=10 * near)
    for number, gradient in enumerate(alone.gradients):
        assert off(np.sum([own.gradients[number] for own in found], axis=0), gradient) <= 10 * near
    for name in ("values", "first", "ema"):
        moved = alone.vectors[name] - start[name]
        assert off(found[0].vectors[name] - start[name], moved) <= 10 * near, name


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_with_one_batch_norm_equal_one_rank_with_the_whole_batch(subject: Subject, ranks: int) -> None:
    found, (alone,) = ranked(subject, ranks, sync=True), ranked(subject, 1, sync=False)
    assert_same_everywhere(found)
    assert_sums_to(found, alone, 1e-5, subject.start)
    for other in found[1:]:
        assert off(other.gradients[0], found[0].gradients[0]) > 0.1  # summands of different images


def test_ranks_with_batch_norms_of_their_own_equal_the_cpu_s(subject: Subject) -> None:
    found, expected = ranked(subject, 2, sync=False), cpu_ranks(subject, 2)
    assert_same_everywhere(found)
    for own, right in zip(found, expected):
        np.testing.assert_allclose(own.losses, right.losses, rtol=1e-4)
        np.testing.assert_allclose(own.norms, right.norms, rtol=1e-3)
        for gradients in zip(own.gradients, right.gradients):
            assert off(*gradients) <= 1e-3
        for name in ("values", "first", "ema"):
            start = subject.start[name]
            assert off(own.vectors[name] - start, right.vectors[name] - start) <= 1e-3, name


def test_float16_s_scale_stays_out_of_what_ranks_learn(subject: Subject) -> None:
    found = ranked(subject, 2, sync=True, precision="fp16")
    (alone,) = ranked(subject, 1, sync=False, precision="fp16")
    assert_same_everywhere(found)
    assert found[0].norms == pytest.approx(alone.norms, rel=0.02)
    assert off(found[0].vectors["values"], alone.vectors["values"]) <= 0.01


@dataclasses.dataclass
class Vectors:
    """One rank's vectors alone, of which the update makes something; without statistics."""

    exchange: Any
    values: np.ndarray
    frozen: int = 0
    statistics: int = 0
    scaled: bool = False

    def __post_init__(self) -> None:
        module, size = cuda_host(), len(self.values)
        parameters = size - self.frozen - self.statistics
        self.on_device = module.TrainVectors([size, *[parameters] * 3, size], scaled=self.scaled)
        self.on_device.write("values", self.values)
        group = module.Group(self.exchange)
        rest = self.frozen + self.statistics
        self.step = module.UpdateStep("SGD", (parameters, 0, 0), rest, 0.0, self.on_device, group, self.frozen)

    def update(self, gradient: np.ndarray, rate: float = 0.0) -> float:
        self.on_device.write("gradient", gradient)
        return self.step(np.array([rate, 0, 0, 0, 1, 1, 1], np.float32))

    def read(self, name: str) -> np.ndarray:
        return self.on_device.read(name)


def each(ranks: list[Vectors], call: Callable[[int, Vectors], Any]) -> list[Any]:
    return together([functools.partial(call, number, rank) for number, rank in enumerate(ranks)])


def test_a_large_gradient_is_added_up_in_the_order_of_ranks_and_rounded_once() -> None:
    rng = np.random.default_rng(0)
    gradients = [(rng.normal(0, 1e-4, ROOM) * 10.0 ** rng.integers(-3, 1)).astype(np.float32) for _ in range(3)]
    ranks = [Vectors(exchange, np.zeros(ROOM, np.float32)) for exchange in exchanges(3)]
    norms = each(ranks, lambda number, rank: rank.update(gradients[number]))
    expected = np.sum(gradients, axis=0, dtype=np.float64)
    assert norms == pytest.approx([np.linalg.norm(expected)] * 3) and norms[0] < 10  # nothing is clipped
    for rank in ranks:
        np.testing.assert_array_equal(rank.read("first"), expected.astype(np.float32))
        assert not rank.read("gradient").any()


def test_statistics_become_their_mean_and_what_is_frozen_stays() -> None:
    values = [np.array([0, 7, 7, *own], np.float32) for own in ((1, 2), (3, 8), (5, -4))]
    ranks = [Vectors(exchange, own, frozen=2, statistics=2) for exchange, own in zip(exchanges(3), values, strict=True)]
    each(ranks, lambda number, rank: rank.update(np.zeros(1, np.float32)))
    for rank in ranks:
        np.testing.assert_allclose(rank.read("values"), [0, 7, 7, 3, 2], rtol=1e-6)
        assert rank.read("values")[1] == 7


def test_an_overflow_of_one_rank_is_one_of_all() -> None:
    """The scale is halved on all ranks: a gradient that is scaled by 32768 comes out as it is."""
    ranks = [Vectors(exchange, np.ones(4, np.float32), scaled=True) for exchange in exchanges(2)]
    gradients = np.array([[1, 2, 1, 0], [1, np.inf, 0, 0]], np.float32)
    norms = each(ranks, lambda number, rank: rank.update(gradients[number], rate=1.0))
    assert norms == [np.inf, np.inf]
    for rank in ranks:
        np.testing.assert_array_equal(rank.read("values"), np.ones(4))
        np.testing.assert_array_equal(rank.read("first"), np.zeros(4))
        assert rank.on_device.loss_scale == (32768, 0)
    each(ranks, lambda number, rank: rank.update(gradients[0] * 32768, rate=1.0))
    for rank in ranks:
        np.testing.assert_array_equal(rank.read("first"), 2 * gradients[0])


def test_a_lost_rank_is_named(subject: Subject) -> None:
    """In an update, and in a batch norm of a forward pass."""
    for sync in (False, True):
        linked = exchanges(2)
        matches = [subject.matches(*batch(number)[1:]) for number in range(UPDATES * ACCUMULATED)]
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(train, subject, matches, 0, linked[0], sync, "fp32")
            del linked[1]
            with pytest.raises(RuntimeError, match=r"^rank 0 lost its connection to rank 1$"):
                waiting.result(timeout=60)


def test_nccl_is_for_gpus() -> None:
    with pytest.raises(RuntimeError, match=r"^NCCL adds up what is on GPUs, and this device is the host's processor$"):
        cuda_host().Group(exchanges(1)[0], nccl="")


def test_matches_are_needed_on_several_ranks_and_there_alone(subject: Subject) -> None:
    module, shape = cuda_host(), (2, *SHAPE[1:])
    vectors = module.TrainVectors([len(subject.start[name]) for name in VECTORS])
    given = batch(0, slice(0, 2))
    for ranks, matches in ((1, [np.ones(1)]), (2, []), (2, [np.ones(2)])):
        step = module.GradientStep(
            module.Executor(subject.plan(shape, target())), subject.loss(shape), PLACES, vectors, ranks
        )
        with pytest.raises(ValueError, match=r"^matches: "):
            step(*given[1:], *matches)

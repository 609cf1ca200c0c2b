"""Convolutions that train by kernels of our own: all three passes against sums in double precision."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.program.networks import random_images
from tests.program.training_reference import Passes as TrainingPasses
from tests.program.training_reference import Subject, assert_equal, head_slopes
from yolo import native
from yolo.models.network import build_network
from yolo.program.plan import Plan, Step, TensorView
from yolo.program.target import Target
from yolo.program.training.program import plan_training

BLOCK = Target.of().block
needs_fast = pytest.mark.skipif(not Target.of().instructions.startswith("avx"), reason="plans are direct without AVX2")
ERRORS = {"head": 2e-5, "source": 2e-5, "weights": 1e-5}
"""Of the largest number, against double precision; a direct convolution is allowed a fifth."""
CASES = (
    *((4, 4, 1, 1, 1), (5, 5, 2, 1, 2), (7, 7, 1, 3, 3), (15, 13, 2, 4, 2), (16, 16, 3, 2, 1), (21, 21, 2, 5, 1)),
    *((10, 10, 8, 8, 3), (1, 9, 2, 2, 2), (30, 3, 2, 3, 2), (13, 17, 4, 6, 1), (2, 2, 1, 1, 5)),
    *((40, 40, 2, 2, 1), (20, 20, 8, 8, 2)),
)
"""Height, width, source and target channels in blocks of 16, images."""
STRIDED = (
    *((8, 8, 1, 1, 1), (5, 5, 2, 1, 2), (7, 9, 1, 3, 3), (16, 30, 2, 4, 1), (21, 22, 3, 2, 1), (40, 40, 2, 4, 1)),
    *((20, 20, 8, 16, 2), (1, 9, 2, 2, 2), (13, 2, 2, 3, 2), (2, 2, 1, 1, 3)),
)


@dataclasses.dataclass
class Passes:
    """``head`` [B, K, H, W], and what the backward pass gives: ``source`` [B, C, H, W], ``weights`` [K, C, 3, 3]."""

    head: np.ndarray
    source: np.ndarray
    weights: np.ndarray


@dataclasses.dataclass
class Layer:
    """A convolution of any float source.

    A channel of the images for each pixel of the source, 1 there and else 0, makes it of a 1x1 convolution's weights,
    and of its gradient theirs, without roundings.
    """

    height: int
    width: int
    channels: int
    made: int
    images: int = 1
    stride: int = 1

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        size = (self.height, self.width)
        made = tuple(-(-side // self.stride) for side in size)
        self.weight = rng.normal(0, (2 / (9 * self.channels)) ** 0.5, (self.made, self.channels, 3, 3))
        self.source = rng.normal(0.2, 1, (self.images, self.channels, *size))
        self.slope = rng.normal(0, 1, (self.images, self.made, *made))
        self.weight, self.source, self.slope = (x.astype(np.float32) for x in (self.weight, self.source, self.slope))

    @property
    def pixels(self) -> int:
        return self.images * self.height * self.width

    def plan(self, algorithm: str = "winograd", threads: int = 1, pieces: int = 1) -> Plan:
        """``pieces``: of the weights, which lie in the values one after the other, the last first."""
        size, whole = (self.height, self.width), -(-self.pixels // BLOCK) * BLOCK
        bytes_ = self.pixels * max(self.channels, self.made, whole) * 4
        places = dict(zip(("image", "source", "target", "slope", "back"), range(0, 5 * bytes_, bytes_)))
        counts = (self.pixels, self.channels, self.made, self.made, self.channels)
        sizes = (size, size, self.slope.shape[2:], self.slope.shape[2:], size)
        view = {
            name: TensorView(place, count, *sides, 4, "blocked", 0, -(-count // BLOCK) * BLOCK)
            for (name, place), count, sides in zip(places.items(), counts, sizes)
        }
        one = {name: (side, side) for name, side in {"kernel": 1, "stride": 1, "padding": 0, "dilation": 1}.items()}
        three = {**one, "kernel": (3, 3), "padding": (1, 1), "stride": (self.stride, self.stride)}
        plain = {"groups": 1, "transposed": False}
        maps, numbers = self.source.size, self.weight.size // pieces
        rows = [(maps + (pieces - 1 - piece) * numbers, numbers) for piece in range(pieces)]
        by = {"algorithm": algorithm, "weights": tuple(number for row in rows for number in row)}
        forward = (
            Step("load_images", "input", {"target": (view["image"],)}, {"divisor": 1.0}),
            _conv(view, "image", "source", {**one, **plain, "algorithm": "direct", "weights": (0, maps)}),
            _conv(view, "source", "target", {**three, **plain, **by}),
            Step("store_head", "output", {"source": (view["target"],)}, {"number": 0}),
        )
        backward = (
            Step("load_head_gradient", "output", {"target": (view["slope"],)}, {"number": 0}),
            _back(view, "source", "slope", {"of": 2, "algorithm": algorithm}, "back"),
            _back(view, "image", "back", {"of": 1, "algorithm": "direct"}),
        )
        images, heads = (self.images, self.pixels, *size), (self.slope.shape,)
        total = maps + self.weight.size
        ends = {"values": total, "gradient": total}
        return Plan(Target.of(threads=threads), images, heads, 5 * bytes_, forward, backward, **ends)

    def run(self, algorithm: str = "winograd", threads: int = 1, pieces: int = 1, times: int = 1) -> Passes:
        """``times``: so often the gradient is added up."""
        executor = native.Executor(self.plan(algorithm, threads, pieces))
        pixels = np.eye(self.pixels, dtype=np.uint8).reshape(self.images, -1, self.pixels)
        images = np.ascontiguousarray(pixels.transpose(0, 2, 1)).reshape(self.images, -1, self.height, self.width)
        maps = self.source.transpose(1, 0, 2, 3).ravel()
        values = np.concatenate([maps, *np.split(self.weight.ravel(), pieces)[::-1]])
        gradient = np.zeros_like(values)
        for _ in range(times):
            (head,) = executor(images, values)
            executor.backward([self.slope], values, gradient)
        shape = (self.channels, self.images, self.height, self.width)
        back = gradient[: maps.size].reshape(shape).transpose(1, 0, 2, 3)
        weights = np.concatenate(np.split(gradient[maps.size :], pieces)[::-1]).reshape(self.weight.shape)
        return Passes(head, back, weights)

    def in_double(self) -> Passes:
        height, width = self.height, self.width
        step = self.stride
        padded = np.pad(self.source.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
        slope, weight = self.slope.astype(np.float64), self.weight.astype(np.float64)
        head, back, weights = np.zeros_like(slope), np.zeros_like(padded), np.zeros_like(weight)
        for y in range(3):
            for x in range(3):
                at = (slice(None), slice(None), slice(y, y + height, step), slice(x, x + width, step))
                head += np.einsum("kc,bchw->bkhw", weight[:, :, y, x], padded[at], optimize=True)
                back[at] += np.einsum("kc,bkhw->bchw", weight[:, :, y, x], slope, optimize=True)
                weights[:, :, y, x] = np.einsum("bkhw,bchw->kc", slope, padded[at], optimize=True)
        return Passes(head, back[:, :, 1:-1, 1:-1], weights)


def _conv(view: dict[str, TensorView], source: str, target: str, named: dict) -> Step:
    return Step("conv_forward", target, {"source": (view[source],), "target": (view[target],)}, named)


def _back(view: dict[str, TensorView], source: str, gradient: str, named: dict, to: str = "") -> Step:
    views = {"source": (view[source],), "gradient": (view[gradient],)}
    return Step("conv_backward", source, views | ({"source_gradient": (view[to],)} if to else {}), named)


def assert_near(found: Passes, expected: Passes, part: float = 1.0) -> None:
    for name, limit in ERRORS.items():
        got, right = getattr(found, name), getattr(expected, name)
        assert got.shape == right.shape
        assert np.abs(got - right).max() <= part * limit * np.abs(right).max(), name


def assert_same(found: Passes, expected: Passes) -> None:
    for name in ERRORS:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize("case", CASES, ids=lambda case: "x".join(map(str, case)))
def test_shapes(case: tuple[int, ...]) -> None:
    height, width, source, target, images = case
    layer = Layer(height, width, 16 * source, 16 * target, images)
    expected = layer.in_double()
    for threads in (1, 2, 3):
        found = layer.run(threads=threads)
        assert_near(found, expected)
        assert_same(layer.run(threads=threads), found)
    assert_near(layer.run("direct"), expected, 0.2)


@pytest.mark.parametrize("algorithm", ["winograd", "winograd_2x2"])
@pytest.mark.parametrize("case", STRIDED, ids=lambda case: "x".join(map(str, case)))
def test_shapes_of_stride_2(case: tuple[int, ...], algorithm: str) -> None:
    height, width, source, target, images = case
    layer = Layer(height, width, 16 * source, 16 * target, images, stride=2)
    expected = layer.in_double()
    for threads in (1, 3):
        found = layer.run(algorithm, threads)
        assert_near(found, expected)
        assert_same(layer.run(algorithm, threads), found)
    assert_near(layer.run("direct"), expected, 0.2)


@pytest.mark.parametrize("blocks", [(1, 1), (3, 1), (2, 7), (5, 4)])
def test_any_number_of_blocks(blocks: tuple[int, int]) -> None:
    layer = Layer(6, 9, BLOCK * blocks[0], BLOCK * blocks[1], 2)
    assert_near(layer.run(threads=2), layer.in_double())


def test_weights_in_pieces() -> None:
    """Of siblings that run as one."""
    layer = Layer(6, 9, 16, 48)
    assert_same(layer.run(pieces=3), layer.run())


def test_gradients_add_up() -> None:
    layer = Layer(9, 9, 16, 32)
    once, twice = layer.run(), layer.run(times=2)
    np.testing.assert_array_equal(twice.weights, 2 * once.weights)
    np.testing.assert_array_equal(twice.source, 2 * once.source)


def chosen(plan: Plan) -> list[Step]:
    return [
        step for step in (*plan.forward, *plan.backward) if step.attributes.get("algorithm", "").startswith("winograd")
    ]


@needs_fast
def test_exact_programs_are_direct() -> None:
    subject = Subject(build_network("yolov5n"))
    images = random_images((2, 3, 192, 192))
    fast, exact = (planned(subject, images.shape, exact=exact) for exact in (False, True))
    assert [len(chosen(plan)) for plan in (fast, exact)] == [2 * 5, 0]
    slopes = head_slopes(TrainingPasses(fast))
    ours, theirs = (subject.compiled(TrainingPasses(plan), images, slopes) for plan in (fast, exact))
    largest = max(np.abs(head).max() for head in theirs.heads)
    assert 0 < max(np.abs(a - b).max() for a, b in zip(ours.heads, theirs.heads)) < 1e-4 * largest
    single = Subject(build_network("yolov5n")).plain(images, slopes, np.float32)
    assert_equal(ours, subject.plain(images, slopes), single)


def planned(subject: Subject, shape: tuple[int, ...], **options: bool) -> Plan:
    return plan_training(subject.graph, shape, subject.offsets, Target.of(threads=2), **options)


@needs_fast
def test_few_tiles_are_direct() -> None:
    """Of a batch: the weights are transformed in each step."""
    subject = Subject(build_network("yolov5n"))
    found = [len(chosen(planned(subject, (batch, 3, 128, 128)))) // 2 for batch in (1, 4, 16)]
    assert found == [1, 5, 12]

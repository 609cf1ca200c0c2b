"""Training programs equal the plain network: heads, gradients of every parameter, running statistics."""

from __future__ import annotations

import numpy as np
import pytest

from tests.program.networks import ROWS, network_of, network_with, random_images, two_levels
from tests.program.training_reference import Subject, assert_equal, head_slopes
from yolo.models.network import build_network

SHAPE = (2, 3, 64, 96)

SUPPORTED = sorted(set(ROWS) - {"transformer"})  # which test_every_layer compares

HEAD = [-1, 1, "Conv", [16, 3, 4]]
MORE_ROWS = {
    "many_readers": [
        HEAD,
        *([[0], 1, "Conv", [16, 1]] for _ in range(3)),
        [[0, 1, 2, 3], 1, "Concat", [1]],
        [[0, 4, 0, 1, 1], 1, "Concat", [1]],
        [[4, 5, 0], 1, "Concat", [1]],
        [-1, 1, "C3", [32]],
    ],
    "input_read_twice": [
        [-1, 1, "nn.AvgPool2d", [3, 1, 1]],
        [[-1], 1, "nn.MaxPool2d", [4, 4]],
        [-1, 1, "Conv", [16, 1]],
    ],
    "norm_of_images": [[-1, 1, "nn.BatchNorm2d", []], [-1, 1, "Conv", [16, 3, 4]]],
    "strided_pools": [HEAD, [-1, 1, "nn.MaxPool2d", [3, 1, 1]], [-1, 1, "nn.AvgPool2d", [5, 1, 2]]],
    "depthwise_transposed": [[-1, 1, "Conv", [32, 3, 8]], [-1, 1, "DWConvTranspose2d", [32, 4, 2, 1]]],
    "bare": [HEAD, [-1, 1, "nn.Conv2d", [32, 3, 1, 1]], [-1, 1, "nn.ReLU", []], [-1, 1, "nn.Conv2d", [24, 1]]],
    "sigmoid_of_part_of_a_block": [HEAD, [-1, 1, "Conv", [12, 3, 1, None, 1, 1, "nn.Sigmoid()"]]],
    "other_activations": [
        HEAD,
        *([-1, 1, "Conv", [16, 3, 1, None, 1, 1, f"nn.{name}"]] for name in ("ReLU6()", "GELU()", "Tanh()")),
        [-1, 1, "Conv", [16, 3, 1, None, 1, 1, "nn.LeakyReLU(0.3)"]],
    ],
    "deep_residuals": [HEAD, [-1, 6, "C3", [32]], [-1, 3, "Bottleneck", [32]]],
    "unaligned_everywhere": [
        [-1, 1, "Conv", [12, 3, 4]],
        [-1, 1, "GhostConv", [20, 3]],
        [[-1, 0], 1, "Concat", [1]],
        [[-1, 1, 0], 1, "Concat", [1]],
        [-1, 1, "C3Ghost", [28]],
    ],
}


def check(network, shape=SHAPE, **options) -> None:
    subject = Subject(network)
    images = random_images(shape)
    passes = subject.passes(shape, **options)
    slopes = head_slopes(passes)
    assert_equal(subject.compiled(passes, images, slopes), subject.plain(images, slopes))


@pytest.mark.parametrize("name", SUPPORTED)
def test_every_layer(name: str) -> None:
    check(network_of(name))


@pytest.mark.parametrize("name", sorted(MORE_ROWS))
def test_unusual_ways_through_a_network(name: str) -> None:
    check(network_with(MORE_ROWS[name], name))


def test_two_levels_of_eight_channels() -> None:
    check(two_levels())


@pytest.mark.parametrize("shape", [(2, 3, 64, 96), (1, 3, 128, 64), (3, 3, 96, 96)])
def test_yolov5n(shape: tuple[int, ...]) -> None:
    check(build_network("yolov5n"), shape)


def test_images_of_six_channels() -> None:
    subject, single = (Subject(build_network("yolov5n", channels=6)) for _ in range(2))
    images = random_images((2, 6, 64, 96))
    passes = subject.passes(images.shape)
    slopes = head_slopes(passes)
    expected, rounded = subject.plain(images, slopes), single.plain(images, slopes, np.float32)
    assert_equal(subject.compiled(passes, images, slopes), expected, rounded)

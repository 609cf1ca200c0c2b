"""Graphs around compiled programs give what graphs of plain modules give."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from graphs.detect import DetectGraphs
from tests.program.networks import network_of, random_images, state_of, two_levels
from yolo.inference.compile import compile_network
from yolo.inference.graph_runner import PlainRunner, ValRunner
from yolo.inference.runner import CompiledRunner
from yolo.loss.settings import LossSettings
from yolo.models.network import Network
from yolo.program.detection import NmsSettings

LOSS = LossSettings(0.05, 1.0, 0.5, 1.0, 1.0, 4.0, 0.0, 0.0, (4.0, 1.0))
SETTINGS = NmsSettings(conf=0.0001, iou=0.6, max_det=30, multi_label=True)
LABELS = (
    np.array([[0, 0.5, 0.5, 0.2, 0.3], [1, 0.2, 0.7, 0.3, 0.1]], np.float32),
    np.zeros((0, 5), np.float32),
    np.array([[1, 0.99, 0.01, 0.1, 0.1]], np.float32),
)


@pytest.fixture(scope="module")
def network() -> Network:
    network = two_levels()
    for head in network.model[-1].m:  # confidences far enough apart that rounding changes no order
        head.weight.copy_(head.weight * 30)
    return network


def compiled(network: Network):
    return compile_network(network.spec, state_of(network))


@pytest.mark.parametrize("size", [(64, 64), (32, 96)])
def test_detections(network: Network, size: tuple[int, int]) -> None:
    images = random_images((3, 3, *size))
    given = (compiled(network), network.anchors, network.strides, SETTINGS)
    plain = PlainRunner(network, SETTINGS).detect(images)
    for run in (None, DetectGraphs(SETTINGS), DetectGraphs(SETTINGS, graphs=False)):
        found = CompiledRunner(*given, run).detect(images)
        np.testing.assert_array_equal(found.counts, plain.counts)
        np.testing.assert_allclose(found.rows[..., :4], plain.rows[..., :4], atol=0.01)
        np.testing.assert_allclose(found.rows[..., 4:], plain.rows[..., 4:], atol=1e-6)
        assert found.rows.shape == (3, 30, 6) and found.counts.min() > 0
        assert found.network_seconds > 0 and found.nms_seconds > 0


def test_loss_sums(network: Network) -> None:
    images = random_images((3, 3, 64, 64), seed=3)
    runners = [ValRunner(network, SETTINGS, LOSS, compiled=how) for how in (compiled(network), None)]
    (found, terms), (plain_found, plain) = (runner.validate(images, LABELS, 8) for runner in runners)
    np.testing.assert_allclose(terms, plain, rtol=2e-5)
    np.testing.assert_array_equal(found.counts, plain_found.counts)
    assert terms[:, 1].sum() > 0


def test_new_weights_reach_the_graph() -> None:
    network, images = network_of("joined"), random_images((1, 3, 64, 64))
    labels = (np.zeros((0, 5), np.float32),)
    runner = ValRunner(network, SETTINGS, dataclasses.replace(LOSS, balance=(4.0,)), compiled=compiled(network))
    before, _ = runner.validate(images, labels, 8)
    state = {name: tensor.numpy().copy() for name, tensor in network.state_dict().items()}
    state["model.0.conv.weight"] *= 1.5
    runner.load(state)
    after, _ = runner.validate(images, labels, 8)
    assert np.abs(after.rows - before.rows).max() > 1e-3
    assert before.nms_seconds > 0 and runner.compile_seconds > 0

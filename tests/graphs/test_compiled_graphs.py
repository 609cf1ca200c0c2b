"""Graphs around compiled programs give what graphs of plain modules give."""

from __future__ import annotations

import numpy as np
import pytest

from tests.program.networks import network_of, pictures, two_levels
from yolo.inference.forward import Forward, compile_network
from yolo.loss.settings import LossSettings
from yolo.program.detection import NmsSettings

LOSS = LossSettings(0.05, 1.0, 0.5, 1.0, 1.0, 4.0, 0.0, 0.0, (4.0, 1.0))
SETTINGS = NmsSettings(conf=0.0001, iou=0.6, max_det=30, multi_label=True)
LABELS = (
    np.array([[0, 0.5, 0.5, 0.2, 0.3], [1, 0.2, 0.7, 0.3, 0.1]], np.float32),
    np.zeros((0, 5), np.float32),
    np.array([[1, 0.99, 0.01, 0.1, 0.1]], np.float32),
)


@pytest.fixture(scope="module")
def pair() -> tuple[Forward, Forward]:
    network = two_levels()
    for head in network.model[-1].m:  # confidences far enough apart that rounding changes no order
        head.weight.copy_(head.weight * 30)
    return tuple(
        Forward(network, SETTINGS, compiled=compile_network(network, mode=mode), loss=LOSS)
        for mode in ("program", "off")
    )


@pytest.mark.parametrize("size", [(64, 64), (32, 96)])
def test_detections(pair, size) -> None:
    images = pictures((3, 3, *size))
    (rows, counts), (plain, plain_counts) = (forward.detect(images) for forward in pair)
    assert pair[0].compiled is not None and pair[1].compiled is None
    np.testing.assert_array_equal(counts, plain_counts)
    np.testing.assert_allclose(rows[..., :4], plain[..., :4], atol=0.01)
    np.testing.assert_allclose(rows[..., 4:], plain[..., 4:], atol=1e-6)
    assert rows.shape == (3, 30, 6) and counts.min() > 0


def test_loss_sums(pair) -> None:
    images = pictures((3, 3, 64, 64), seed=3)
    (found, terms), (plain_found, plain) = (forward.validate(images, LABELS, 8) for forward in pair)
    np.testing.assert_allclose(terms, plain, rtol=2e-5)
    np.testing.assert_array_equal(found[1], plain_found[1])
    assert terms[:, 1].sum() > 0


def test_new_weights_reach_the_graph() -> None:
    network, images = network_of("joined"), pictures((1, 3, 64, 64))
    forward = Forward(network, SETTINGS, compiled=compile_network(network))
    before = forward.detect(images)[0]
    state = {name: tensor.numpy().copy() for name, tensor in network.state_dict().items()}
    state["model.0.conv.weight"] *= 1.5
    forward.load(state)
    after = forward.detect(images)[0]
    assert np.abs(after - before).max() > 1e-3
    assert forward.nms_seconds > 0 and forward.compile_seconds > 0

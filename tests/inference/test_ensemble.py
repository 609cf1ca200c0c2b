"""Ensembles, augmentation and known boxes, against predictions decoded and joined by the rules of YOLOv5."""

from __future__ import annotations

import numpy as np
import oneflow as flow
import pytest

from tests.ops.operators import suppress
from tests.program.networks import state_of, two_levels
from yolo.inference.compile import compile_network
from yolo.inference.ensemble import CompiledHeads, EnsembleRunner, RawHeadRunner
from yolo.inference.graph_runner import PlainHeads
from yolo.inference.runner import CompiledRunner, Detections
from yolo.inference.views import AUGMENTED, seen
from yolo.models.decode import decode
from yolo.models.init import assign
from yolo.models.network import Network
from yolo.program.compiled import CompiledNetwork
from yolo.program.detection import NmsSettings

SETTINGS = NmsSettings(conf=0.001, iou=0.5, max_det=40, multi_label=True)
SIZE = (64, 96)


@pytest.fixture(scope="module")
def networks() -> list[Network]:
    return [lively(two_levels(seed)) for seed in (0, 1)]


def lively(network: Network) -> Network:
    """The same with detections in many places: heads that vary more, and objects taken for likely."""
    for head in network.model[-1].m:
        bias = head.bias.numpy().reshape(2, 7)  # anchors; x, y, w, h, objectness, classes
        bias[:, 4:] = [-1, 0, 0.01]
        assign(head.bias, bias.reshape(-1))
        assign(head.weight, 20 * head.weight.numpy())
    return network


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 3, *SIZE), dtype=np.uint8)


def compiled(network: Network) -> CompiledNetwork:
    return compile_network(network.spec, state_of(network))


def heads_of(network: Network) -> CompiledHeads:
    return CompiledHeads(compiled(network), network.anchors, network.strides)


def decoded(network: Network, images: np.ndarray) -> np.ndarray:
    heads = network(flow.tensor(images).to(flow.float32) / 255.0)
    return decode(heads, network.anchors, network.strides).numpy()


def augmented(network: Network, images: np.ndarray) -> np.ndarray:
    """Predictions of the three views in pixels of ``images``: scaled back, mirrored back, two tails cut off."""
    parts = []
    for view in AUGMENTED:
        rows = decoded(network, seen(images, view, max(network.strides)))
        rows[..., :4] /= view.scale
        if view.mirrored:
            rows[..., 0] = images.shape[3] - rows[..., 0]
        parts.append(rows)
    whole = sum(4**level for level in range(len(network.strides)))
    parts[0] = parts[0][:, : -(parts[0].shape[1] // whole)]
    parts[2] = parts[2][:, parts[2].shape[1] // whole * 4 ** (len(network.strides) - 1) :]
    return np.concatenate(parts, 1)


def check(found: Detections, predictions: np.ndarray, settings: NmsSettings = SETTINGS) -> None:
    rows, counts = suppress(np.ascontiguousarray(predictions), settings)
    np.testing.assert_array_equal(found.counts, counts)
    assert counts.min() > 3
    np.testing.assert_allclose(found.rows, rows, rtol=1e-4, atol=2e-3)


@pytest.mark.parametrize("kind", [heads_of, PlainHeads])
def test_augmentation(networks: list[Network], images: np.ndarray, kind: type[RawHeadRunner]) -> None:
    joint = EnsembleRunner([kind(networks[0])], SETTINGS, augment=True)
    found = joint.detect(images)
    check(found, augmented(networks[0], images))
    assert found.nms_seconds > 0 and found.network_seconds > 0 and joint.compile_seconds > 0


def test_an_ensemble(networks: list[Network], images: np.ndarray) -> None:
    joint = EnsembleRunner([heads_of(network) for network in networks], SETTINGS)
    check(joint.detect(images), np.concatenate([decoded(network, images) for network in networks], 1))


def test_an_augmented_ensemble(networks: list[Network], images: np.ndarray) -> None:
    joint = EnsembleRunner([heads_of(network) for network in networks], SETTINGS, augment=True)
    check(joint.detect(images), np.concatenate([augmented(network, images) for network in networks], 1))


def test_one_network_alone_is_what_it_always_was(networks: list[Network], images: np.ndarray) -> None:
    network = networks[0]
    alone = CompiledRunner(compiled(network), network.anchors, network.strides, SETTINGS).detect(images)
    joint = EnsembleRunner([heads_of(network)], SETTINGS).detect(images)
    np.testing.assert_array_equal(joint.rows, alone.rows)
    np.testing.assert_array_equal(joint.counts, alone.counts)


def test_known_boxes_take_part(networks: list[Network], images: np.ndarray) -> None:
    labels = (np.array([[1, 0.5, 0.5, 0.25, 0.5], [0, 0.2, 0.3, 0.1, 0.1]], np.float32), np.zeros((0, 5), np.float32))
    found = EnsembleRunner([heads_of(networks[0])], SETTINGS).detect(images, labels)
    predictions = decoded(networks[0], images)
    extra = np.zeros((2, 2, predictions.shape[2]), np.float32)
    extra[0, :, :4] = labels[0][:, 1:] * [SIZE[1], SIZE[0], SIZE[1], SIZE[0]]
    extra[0, :, 4] = extra[0, 0, 6] = extra[0, 1, 5] = 1
    check(found, np.concatenate([predictions, extra], 1))
    assert (found.rows[0, :2, 4] == 1).all() and found.rows[1, 0, 4] < 1


def test_large_batches_are_taken_in_parts(networks: list[Network], monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(1).integers(0, 256, (5, 3, 32, 32), dtype=np.uint8)
    labels = tuple(np.array([[0, 0.5, 0.5, 0.1 * (i + 1), 0.5]], np.float32) for i in range(5))
    joint = EnsembleRunner([heads_of(networks[0])], SETTINGS)
    whole = joint.detect(images, labels)
    monkeypatch.setattr(joint, "pixels_at_once", 2 * 32 * 32)
    parts = joint.detect(images, labels)
    np.testing.assert_array_equal(parts.rows, whole.rows)
    np.testing.assert_array_equal(parts.counts, whole.counts)

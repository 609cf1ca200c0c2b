"""Three training steps of YOLOv5n equal those of the published code: losses, gradients, weights, statistics, EMA."""

from __future__ import annotations

import numpy as np
import oneflow as flow
import pytest

from graphs.base import synchronise, to_unit_range
from graphs.update import Rates
from tests.parity import PARITY, needs_parity
from yolo.config.hyp import Hyperparameters
from yolo.data.batch import Batch, pad_labels
from yolo.engine.schedule import ema_decay
from yolo.engine.train_step import TrainStep
from yolo.loss.reference import combine_terms, loss_terms
from yolo.loss.settings import LossSettings
from yolo.models.weights.load import load_weights
from yolo.models.weights.transfer import network_from_checkpoint, state_to_numpy

pytestmark = [needs_parity, pytest.mark.parity]


@pytest.fixture(scope="module")
def reference():
    return np.load(PARITY / "reference" / "train_steps_yolov5n.npz")


@pytest.fixture(scope="module")
def settings(reference):
    hyp = Hyperparameters().scaled(levels=3, classes=80, imgsz=320)
    assert (hyp.box, hyp.obj, hyp.cls) == pytest.approx([float(reference[f"hyp_{k}"]) for k in ("box", "obj", "cls")])
    return LossSettings.of(hyp, 3)


def _network():
    return network_from_checkpoint(load_weights(PARITY / "weights" / "yolov5n.pt"))


@pytest.fixture(scope="module", params=["program", pytest.param("off", marks=pytest.mark.stress)])
def steps(reference, settings, request):
    """Three steps run as the reference's note says, compiled and plain: what each left behind."""
    step = TrainStep(_network(), settings, optimizer="SGD", weight_decay=5e-4, compile=request.param)
    batch = _batch(reference)
    results = []
    for number in range(3):
        parts = step.backward(batch)
        synchronise()
        gradient = step.state.vector.split(step.state.gradient.numpy().copy())
        norm = step.update(Rates(0.01, 0.01, 0.01, 0.937, ema_decay(number + 1), number + 1))
        state = step.state.snapshot()
        results.append((parts, gradient, norm, state.weights, state.ema))
    return results


def _batch(reference) -> Batch:
    targets = reference["targets"]
    labels = tuple(targets[targets[:, 0] == image][:, 1:] for image in range(4))
    return Batch(reference["images"], labels, np.arange(4), ("",) * 4)


@pytest.mark.parametrize("number", range(3))
def test_losses(steps, reference, number):
    parts = steps[number][0]
    np.testing.assert_allclose(parts[0], reference[f"loss_step{number}"], rtol=1e-5)
    np.testing.assert_allclose(parts[1:], reference[f"items_step{number}"], rtol=1e-5)


@pytest.mark.parametrize("number", range(3))
def test_gradients(steps, reference, number):
    _, gradient, norm, _, _ = steps[number]
    for key in _keys(reference, f"grad_step{number}/"):
        assert _relative(gradient[key.split("/")[1]], reference[key]) <= 1e-4, key
    np.testing.assert_allclose(norm, reference[f"gradnorm_step{number}"], rtol=1e-4)


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize(("kind", "place"), [("param", 3), ("ema", 4)])
def test_weights_statistics_and_ema(steps, reference, number, kind, place):
    for key in _keys(reference, f"{kind}_after_step{number}/"):
        assert _relative(steps[number][place][key.split("/")[1]], reference[key]) <= 1e-5, key


def test_plain_modules_without_a_graph(reference, settings):
    """The first step. Its graph takes most of a minute to compile; test_train_graph.py has that both give the same."""
    network, batch = _network().train(), _batch(reference)
    images, labels, counts = map(flow.tensor, (batch.images, *pad_labels(batch.labels, 16)))
    heads = network(to_unit_range(images))
    terms = loss_terms(heads, labels, counts, network.anchors, network.strides, settings)
    parts = combine_terms(terms, settings)
    (sum(parts) * len(images)).backward()
    np.testing.assert_allclose([part.numpy() for part in parts], reference["items_step0"], rtol=1e-5)
    gradients = {name: parameter.grad.numpy() for name, parameter in network.named_parameters()}
    for key in _keys(reference, "grad_step0/"):
        assert _relative(gradients[key.split("/")[1]], reference[key]) <= 1e-4, key
    norm = np.linalg.norm([np.linalg.norm(gradient) for gradient in gradients.values()])
    np.testing.assert_allclose(norm, reference["gradnorm_step0"], rtol=1e-4)
    state = state_to_numpy(network)
    for key in _keys(reference, "param_after_step0/model.0.bn.running_"):
        assert _relative(state[key.split("/")[1]], reference[key]) <= 1e-5, key


def _keys(reference, prefix: str) -> list[str]:
    keys = [key for key in reference.files if key.startswith(prefix)]
    assert keys
    return keys


def _relative(ours, theirs) -> float:
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))

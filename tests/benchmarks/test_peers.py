"""The networks and the loss that the peers are given, against the project's own."""

from __future__ import annotations

import os
import subprocess

import numpy as np
import oneflow as flow
import pytest

from benchmarks.places import PEERS_PYTHON, ROOT
from yolo.config.hyp import load_hyperparameters
from yolo.loss.settings import LossSettings
from yolo.models.network import build_network
from yolo.models.weights.transfer import state_to_numpy
from yolo.program.detection import detection_loss

SIDE = 64
LABELS = np.array([[0, 1, 0.4, 0.5, 0.3, 0.4], [0, 2, 0.43, 0.52, 0.2, 0.6], [0, 0, 0.9, 0.1, 0.1, 0.1]], np.float32)

pytestmark = pytest.mark.skipif(
    not PEERS_PYTHON.exists(), reason="the other frameworks are not installed: make bench-peers"
)


def peer_arrays(model: str, network, folder) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The images, and what ``peer_heads`` gives for them."""
    images = np.random.default_rng(0).integers(0, 256, (1, 3, SIDE, SIDE), np.uint8)
    cells = network.anchors / np.asarray(network.strides, np.float32).reshape(-1, 1, 1)
    given = {"images": images, "labels": LABELS, "anchors": cells.astype(np.float32)}
    np.savez(folder / "in.npz", **state_to_numpy(network), **given)
    command = [PEERS_PYTHON, "-m", "tests.benchmarks.peer_heads", model, folder / "in.npz", folder / "out.npz"]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, timeout=120)
    return images, dict(np.load(folder / "out.npz"))


def lively(model: str):
    """A network whose batch norms have statistics to fold."""
    network, rng = build_network(model, nc=3), np.random.default_rng(1)
    for name, buffer in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            shape = tuple(buffer.shape)
            values = rng.normal(0, 0.1, shape) if name.endswith("mean") else rng.uniform(0.5, 2, shape)
            buffer.copy_(flow.tensor(values.astype(np.float32)))
    return network.eval()


@pytest.mark.parametrize("model", ["yolov5n", "focus", "hub/yolov3-tiny"])
def test_heads_by_pytorch_and_onnx_equal_the_plain_network(model, tmp_path):
    if model == "focus":
        model = focus_model(tmp_path)
    network = lively(model)
    images, found = peer_arrays(model, network, tmp_path)
    with flow.no_grad():
        heads = network(flow.tensor(images.astype(np.float32) / 255))
    for level, head in enumerate(heads):
        expected = head.numpy().transpose(0, 1, 4, 2, 3).reshape(found[f"torch{level}"].shape)
        for name in ("torch", "folded", "onnx"):
            given = found[f"{name}{level}"]
            assert np.linalg.norm(given - expected) <= 1e-5 * np.linalg.norm(expected), (name, level)


def focus_model(folder) -> str:
    """A model file whose layers the presets leave out: Focus, Contract, Expand, a transposed convolution."""
    path = folder / "focus.yaml"
    path.write_text(
        """
nc: 3
depth_multiple: 1.0
width_multiple: 1.0
anchors: [[10, 13, 16, 30], [30, 61, 62, 45]]
backbone:
  - [-1, 1, Focus, [16, 3]]
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, 1, Contract, [2]]
  - [-1, 1, Conv, [32, 3, 2]]
head:
  - [2, 1, Expand, [2]]
  - [-1, 1, nn.MaxPool2d, [2, 2]]
  - [3, 1, nn.ConvTranspose2d, [16, 2, 2]]
  - [[-1, -2], 1, Concat, [1]]
  - [[7, 3], 1, Detect, [nc, anchors]]
""",
        encoding="utf-8",
    )
    return str(path)


def test_the_loss_and_its_gradient_equal_the_operator(tmp_path):
    network = lively("yolov5n")
    _, found = peer_arrays("yolov5n", network, tmp_path)
    heads = [found[f"folded{level}"] for level in range(3)]
    recipe = load_hyperparameters("hyp.scratch-low.yaml")
    settings = LossSettings.of(recipe, 3)
    counts = np.array([len(LABELS)], np.int32)
    loss = detection_loss([head.shape for head in heads], network.anchors, network.strides, settings)
    _, parts, gradients = loss(heads, LABELS[None, :, 1:].copy(), counts)
    assert found["parts"] == pytest.approx(parts[1:], rel=1e-5)
    for level, gradient in enumerate(gradients):
        given = found[f"gradient{level}"].reshape(gradient.shape)
        assert np.linalg.norm(given - gradient) <= 1e-5 * np.linalg.norm(gradient)

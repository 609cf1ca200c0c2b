"""Networks: equal to the published ones in counts and outputs, reproducible, the same in graphs."""

from __future__ import annotations

import json
import math

import numpy as np
import oneflow as flow
import pytest

from tests.models.small import small_mapping
from tests.parity import PARITY, needs_parity
from yolo.errors import ModelError
from yolo.models.config import PRESETS, ModelConfig, load_model_config, parse_model_config
from yolo.models.decode import decode
from yolo.models.network import Network, build_network
from yolo.models.parser import parse_network
from yolo.models.summary import describe, gflops
from yolo.models.weights.load import load_weights
from yolo.models.weights.transfer import network_from_checkpoint, state_to_numpy

PRESET_NAMES = sorted(path.stem for path in PRESETS.glob("*.yaml"))
PLAIN_TYPES = {"BatchNorm2d", "Conv2d", "ConvTranspose2d", "Linear", "MultiheadAttention"}  # torch's own there


class DecodeGraph(flow.nn.Graph):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network, self.anchors, self.strides = network, network.anchors, network.strides

    def build(self, x: flow.Tensor) -> flow.Tensor:
        return decode(self.network(x), self.anchors, self.strides)


def small_config(**instead: object) -> ModelConfig:
    return parse_model_config(small_mapping(**instead), name="small.yaml")


def predict(network: Network, x: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    network.eval()
    with flow.no_grad():
        heads = network(flow.tensor(np.asarray(x, np.float32)))
        return [head.numpy() for head in heads], decode(heads, network.anchors, network.strides).numpy()


def test_every_preset_is_in_the_reference_list() -> None:
    assert len(PRESET_NAMES) == 23


@needs_parity
@pytest.mark.parity
@pytest.mark.parametrize("name", PRESET_NAMES)
def test_zoo_equals_the_published_models(name: str) -> None:
    expected = json.loads((PARITY / "reference" / "model_zoo.json").read_text())[name]
    network = build_network(name, init=False)
    parameters = list(network.parameters())
    own = [type(m).__name__ for m in network.modules() if type(m).__module__.startswith("yolo.models.layers")]
    assert sum(layer.least_weights for layer in network.spec.layers) <= sum(p.numel() for p in parameters)
    assert {
        "parameters": sum(p.numel() for p in parameters),
        "parameter_tensors": len(parameters),
        "strides": list(network.strides),
        "anchors_per_level": network.spec.anchors_per_level,
        "predictions_at_256": network.spec.predictions(256, 256),
        "module_types": sorted({"DetectionModel", *own} - PLAIN_TYPES),
    } == expected


@needs_parity
@pytest.mark.parity
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("name", ["yolov5n", "yolov5s"])
def test_forward_equals_the_published_numbers(name: str, fused: bool) -> None:
    reference = np.load(PARITY / "reference" / f"forward_{name}.npz")
    network = network_from_checkpoint(load_weights(PARITY / "weights" / f"{name}.pt"), fused=fused)
    for case in ("bus_rect", "rand_2x3x256x320"):
        x = reference[f"{case}/input"]
        heads, decoded = predict(network, x / np.float32(255) if x.dtype == np.uint8 else x)
        pairs = {
            "decoded_first500": decoded[:, :500],
            "decoded_box_obj": decoded[..., :5],
            "head2": heads[2],
        }
        for key, got in pairs.items():
            expected = reference[f"{case}/{key}"]
            assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max(), (case, key)
        for level, head in enumerate(heads):
            assert head.shape == tuple(reference[f"{case}/head{level}_shape"])
            assert head.sum(dtype=np.float64) == pytest.approx(float(reference[f"{case}/head{level}_sum"]), rel=1e-5)
        scores = reference[f"{case}/decoded_box_obj"][..., 4]
        assert np.abs(decoded[..., 4] - scores).max() < 1e-4


SAME_LAYERS = [pytest.param(name, marks=pytest.mark.stress) for name in ("yolov5-p34", "yolov5s-LeakyReLU")]


@pytest.mark.parametrize("name", ["yolov5s-ghost", "yolov5s-transformer", "yolov3-tiny", *SAME_LAYERS])
def test_graph_equals_eager(name: str) -> None:
    network = build_network(name, nc=3)
    x = np.random.default_rng(1).random((2, 3, 64, 96), np.float32)
    heads, decoded = predict(network, x)
    assert decoded.shape == (2, network.spec.predictions(64, 96), 8)
    assert np.isfinite(decoded).all()
    assert all(head.shape[1:2] + head.shape[4:] == (3, 8) for head in heads)
    assert np.array_equal(DecodeGraph(network)(flow.tensor(x)).numpy(), decoded)


def test_odd_layers_run() -> None:
    rows = [
        [-1, 1, "Focus", [16, 3]],
        [-1, 1, "Contract", [2]],
        [-1, 1, "Expand", [2]],
        [-1, 2, "BottleneckCSP", [16]],
        [-1, 2, "C3x", [16]],
        [-1, 1, "C3SPP", [16, [3, 5]]],
        [-1, 1, "CrossConv", [16, 3, 2]],
        [-1, 1, "GhostBottleneck", [16, 3, 2]],
        [-1, 1, "DWConv", [32, 3, 1]],
        [-1, 1, "DWConvTranspose2d", [32, 4, 2, 1]],
        [-1, 1, "nn.ConvTranspose2d", [16, 2, 2]],
        [-1, 1, "nn.Conv2d", [16, 3, 1, 1]],
        [-1, 1, "nn.BatchNorm2d", []],
        [-1, 1, "nn.LeakyReLU", [0.1]],
        [-1, 1, "nn.AvgPool2d", [3, 1, 1]],
        [-1, 1, "Conv", [16, [3, 5], [2, 2], None, 2, [1, 2], "nn.Hardswish()"]],
    ]
    config = small_config(backbone=rows, head=[[[14, 15], 1, "Detect", ["nc", "anchors"]]])
    network = build_network(config)
    heads, _ = predict(network, np.random.default_rng(0).random((1, 3, 64, 64)))
    assert network.strides == (2, 4)
    assert sum(s.least_weights for s in network.spec.layers) <= sum(p.numel() for p in network.parameters())
    assert [head.shape[2] for head in heads] == [32, 16]
    assert gflops(network, 64) > 0
    fused = build_network(config, fused=True)
    assert not any(".cv1.bn." in name for name in fused.state_dict())


def test_seed_decides_the_weights() -> None:
    first, second, other = (state_to_numpy(build_network(small_config(), rng=seed)) for seed in (3, 3, 4))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.array_equal(first["model.0.conv.weight"], other["model.0.conv.weight"])


def test_first_weights_are_those_of_the_field() -> None:
    network = build_network("yolov5n", nc=3)
    state = state_to_numpy(network)
    weight = state["model.7.conv.weight"]
    bound = 1 / math.sqrt(weight[0].size)
    assert np.abs(weight).max() <= bound and weight.std() == pytest.approx(bound / math.sqrt(3), rel=0.01)
    bias = state["model.24.m.1.bias"].reshape(3, 8)
    spread = 1 / math.sqrt(state["model.24.m.1.weight"].shape[1])
    assert np.abs(bias[:, 4] - math.log(8 / (640 / 16) ** 2)).max() <= spread
    assert np.abs(bias[:, 5:] - math.log(0.6 / (3 - 0.99999))).max() <= spread
    assert np.allclose(state["model.24.anchors"][1] * 16, network.anchors[1])


def test_anchors_follow_every_way_of_writing_them() -> None:
    network = build_network(small_config())
    state = state_to_numpy(network)
    network.set_anchors(network.anchors * 2)
    assert np.allclose(network.model[-1].anchors.numpy()[0, 0], [10 / 4, 12 / 4])
    network.load_state_dict(state)
    assert network.anchors[0, 0].tolist() == [5, 6]


def test_overrides_of_classes_and_channels() -> None:
    network = build_network(small_config(ch=1), nc=7)
    heads, _ = predict(network, np.zeros((1, 1, 32, 32)))
    assert network.nc == 7 and heads[0].shape[-1] == 12
    assert build_network(small_config(), channels=4).spec.channels == 4


def test_what_cannot_be_built_names_its_row() -> None:
    mapping = small_mapping()
    mapping["backbone"][2] = [-1, 1, "C3TR", [8, True, 1, 0.75]]  # 6 channels, 4 heads
    with pytest.raises(ModelError, match=r"small\.yaml: backbone row 3: C3TR"):
        build_network(parse_model_config(mapping, name="small.yaml"))


def test_decode_by_hand() -> None:
    heads = [flow.tensor(np.random.default_rng(5).normal(size=(2, 2, 3, 4, 7)).astype(np.float32))]
    anchors = np.asarray([[[10, 20], [30, 5]]], np.float32)
    rows = decode(heads, anchors, (8,)).numpy()
    t = 1 / (1 + np.exp(-heads[0].numpy().astype(np.float64)))
    image, anchor, row, column = 1, 1, 2, 3
    x, y, w, h, *scores = t[image, anchor, row, column]
    expected = [(2 * x - 0.5 + column) * 8, (2 * y - 0.5 + row) * 8, (2 * w) ** 2 * 30, (2 * h) ** 2 * 5, *scores]
    assert rows.shape == (2, 24, 7)
    assert np.allclose(rows[image, (anchor * 3 + row) * 4 + column], expected, atol=1e-4)


def test_summary_line() -> None:
    line = "YOLOv5n summary: 270 layers, 1872157 parameters, 1872157 gradients, 4.5 GFLOPs"
    network = build_network("yolov5n", init=False)
    assert describe(network) == line and describe(network, 64).endswith(" gradients, 0.045 GFLOPs")
    assert gflops(build_network("yolov5s", init=False, fused=True)) == pytest.approx(16.4, abs=0.1)


def test_spec_needs_no_network() -> None:
    spec = parse_network(load_model_config("yolov5x6"))
    assert spec.strides == (8, 16, 32, 64) and spec.layers[-1].module == "Detect"

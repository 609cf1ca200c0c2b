"""Networks as ONNX files give in onnxruntime and OpenVINO what the compiled programs give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.formats.detectors import graph_model, loaded, portable_of, run_detector
from tests.program.layer_cases import cases
from tests.program.networks import narrow_zoo_network, network_of, network_with, random_images, state_of, stirred
from yolo.formats.agreement import decoded, difference_of_heads, difference_of_predictions
from yolo.formats.portable import Layout
from yolo.models.config import PRESETS
from yolo.program import ir
from yolo.program.compiled import CompiledNetwork
from yolo.program.lower import lower
from yolo.program.passes import optimise
from yolo.program.passes.fold import fold_batch_norm

CASES = cases()
ZOO = sorted(path.stem for path in PRESETS.glob("*.yaml"))
IN_OPENVINO = ("yolov5n", "yolov5s-transformer", "yolov5s-ghost", "yolov3-tiny", "yolov5-bifpn")
"""One of each kind of layer."""
SHAPE = (2, 3, 48, 80)


@pytest.mark.parametrize("name", CASES)
def test_every_layer_equals_the_compiled_one(name: str, tmp_path: Path) -> None:
    network, images = network_with(CASES[name], name), random_images(SHAPE)
    state = state_of(network)
    ours = CompiledNetwork.of(network.spec, state).program(SHAPE)(images)
    model = graph_model(fold_batch_norm(lower(network.spec, state)), SHAPE)
    theirs = loaded(model, tmp_path)(images.astype(np.float32) / np.float32(255))
    assert difference_of_heads(ours, theirs) <= 1e-5


@pytest.mark.parametrize("name", ["transformer", "joined", "activations", "sppf"])
def test_graphs_behind_all_passes(name: str, tmp_path: Path) -> None:
    """Activations and sums inside convolutions, merged ones and their parts."""
    network, images = network_of(name), random_images(SHAPE)
    graph = optimise(lower(network.spec, state_of(network)))
    assert (name == "transformer") == any(isinstance(node, ir.Split) for node in graph.nodes)
    theirs = loaded(graph_model(graph, SHAPE, 13), tmp_path)(images.astype(np.float32) / np.float32(255))
    assert difference_of_heads(CompiledNetwork(graph).program(SHAPE)(images), theirs) <= 1e-5


def test_graphs_of_other_precisions_are_refused() -> None:
    network = network_of("sppf")
    graph = optimise(lower(network.spec, state_of(network)), "bf16")
    assert graph.whole_pixels
    with pytest.raises(ValueError, match="in float32"):
        graph_model(graph, SHAPE)


@pytest.mark.parametrize("name", ZOO)
def test_every_model_of_the_zoo_in_any_size_and_batch(name: str, tmp_path: Path) -> None:
    portable = portable_of(stirred(narrow_zoo_network(name, 0.25, 0.33), 0), (128, 128))
    compiled = CompiledNetwork(portable.program.graph)
    runtimes = ("onnxruntime", "openvino") if name in IN_OPENVINO else ("onnxruntime",)
    for runtime in runtimes:
        limit = {"onnxruntime": 1e-4, "openvino": 1e-3}[runtime]
        for shape in ((1, 3, 128, 256), (2, 3, 128, 128)):
            images = random_images(shape)
            (theirs,) = run_detector(portable, Layout(portable.size, dynamic=True), images, tmp_path, runtime)
            ours = decoded(compiled.program(shape)(images), portable.checkpoint.anchors, portable.spec.strides)
            assert difference_of_predictions(ours, theirs, max(shape)) <= limit


def test_a_padding_of_zeros_before_a_max_pool_stays_one(tmp_path: Path) -> None:
    """onnxruntime 1.23 makes one of -inf of it, in the pool, where the zero is a plain one."""
    nodes = (
        ir.Pad((0,), 1, "pad", (0, 1, 0, 1)),
        ir.Pool((1,), 2, "pool", 2, 1, 0),
        ir.Conv((2,), 3, "conv", "conv", 1, (1, 1)),
    )
    graph = ir.Graph(nodes, (3,), (1, 1, 1, 1), {"conv.weight": np.ones((1, 1, 1, 1), np.float32)})
    (found,) = loaded(graph_model(graph, (1, 1, 2, 2)), tmp_path)(-np.ones((1, 1, 2, 2), np.float32))
    np.testing.assert_array_equal(found, [[[[-1, 0], [0, 0]]]])

"""Small detectors to be exported, and files of them in the runtimes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import oneflow as flow
import onnx

from tests.program.networks import two_levels
from yolo.formats.onnx_body import OnnxBody
from yolo.formats.onnx_model import assemble, detector_model
from yolo.formats.portable import Layout, Portable
from yolo.formats.runtimes import OnnxRuntime, OpenVino, Runtime
from yolo.models.network import Network
from yolo.models.weights.transfer import checkpoint_of

RUNTIMES = {"onnxruntime": OnnxRuntime, "openvino": OpenVino}


def portable_of(network: Network, size: tuple[int, int] = (64, 96)) -> Portable:
    """A network as a detector of classes ``class 0``, ``class 1``, …"""
    names = tuple(f"class {number}" for number in range(network.spec.nc))
    checkpoint = checkpoint_of(network, names)
    return Portable(Path("random.pt"), checkpoint, size, checkpoint)


def small() -> Portable:
    """Two levels, two classes, strides 4 and 8; see ``lively``."""
    return portable_of(lively(two_levels()))


def lively(network: Network) -> Network:
    """The network with heads that are sure of much and unsure of much, in no two cells alike."""
    rng, last = np.random.default_rng(0), f"model.{len(network.spec.layers) - 1}.m."
    for name, tensor in network.state_dict().items():
        if name.startswith(last):
            values = tensor.numpy() * 30 if name.endswith("weight") else rng.normal(0, 2, tuple(tensor.shape))
            tensor.copy_(flow.tensor(values.astype(np.float32)))
    return network


def loaded(model: onnx.ModelProto, folder: Path, runtime: str = "onnxruntime") -> Runtime:
    """A model in a runtime, by way of a file."""
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return RUNTIMES[runtime](path)


def run_detector(
    portable: Portable, layout: Layout, images: np.ndarray, folder: Path, runtime: str = "onnxruntime"
) -> list[np.ndarray]:
    """The outputs for images uint8."""
    model = detector_model(portable, layout, drops_equal=runtime == "openvino")
    return loaded(model, folder, runtime)(images.astype(np.float32) / np.float32(255))


def graph_model(graph, shape: tuple[int, ...], opset: int = 17) -> onnx.ModelProto:
    """The raw heads of a graph for images of this shape, whatever passes it went through."""
    from yolo.formats.onnx_network import write_network

    body = OnnxBody()
    heads = write_network(body, graph, "images")
    ends = {name: (onnx.TensorProto.FLOAT, shape) for name, shape in zip(heads, graph.head_shapes(shape))}
    return assemble(body, {"images": (onnx.TensorProto.FLOAT, shape)}, ends, opset, {})

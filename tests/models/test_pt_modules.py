"""What a `.pt` file's modules compute: taken where a model YAML can say it, else refused by name."""

from __future__ import annotations

import copy
import logging
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import oneflow as flow
import pytest

from tests.models.pt_files import module_parts
from tests.models.small import small_mapping
from tests.program.layer_cases import ARGUMENTS, STEM
from yolo.errors import WeightsError
from yolo.models.activation import Activation
from yolo.models.config import parse_model_config
from yolo.models.network import build_network
from yolo.models.parser import parse_network
from yolo.models.spec import NetworkSpec
from yolo.models.weights.adopt import adopt
from yolo.models.weights.agreement import check_modules, value_of
from yolo.models.weights.checkpoint import Checkpoint
from yolo.models.weights.load import load_weights
from yolo.models.weights.modules import modules_of
from yolo.models.weights.rebuild import Global, Instance, Method
from yolo.models.weights.safetensors_io import save_checkpoint
from yolo.models.weights.transfer import is_fused, network_from_checkpoint, transfer
from yolo.models.weights.tree import activation_of
from yolo.program.compiled import CompiledNetwork
from yolo.program.lower import lower
from yolo.program.passes import optimise

IMAGES = np.random.default_rng(0).random((1, 3, 16, 16), np.float32)
COMPUTED = (
    *("plain", "legacy", "fused", "legacy_fused", "ema_tuple", "norms"),
    *("relu", "hardswish", "leaky", "one_relu", "bilinear"),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that PyTorch wrote (make_pt_fixtures.py)."""
    folder = tmp_path_factory.mktemp("pt")
    with tarfile.open(Path(__file__).with_name("fixtures") / "pt.tar.xz") as archive:
        archive.extractall(folder)
    return folder


def heads(checkpoint: Checkpoint) -> np.ndarray:
    network = network_from_checkpoint(checkpoint).eval()
    with flow.no_grad():
        return network(flow.tensor(IMAGES))[0].numpy()


@pytest.mark.parametrize("name", COMPUTED)
def test_files_of_pytorch_compute_what_they_did(files: Path, name: str, tmp_path: Path) -> None:
    expected = np.load(files / "heads.npz")[name]
    checkpoint = load_weights(files / f"{name}.pt")
    assert np.allclose(heads(checkpoint), expected, rtol=1e-4, atol=1e-5)
    again = load_weights(save_checkpoint(tmp_path / "x.safetensors", checkpoint))
    assert np.array_equal(heads(again), heads(checkpoint))
    assert is_fused(checkpoint.model) == name.endswith("fused")
    assert checkpoint.names == ("thing",) and checkpoint.meta["epoch"] == 3


@pytest.mark.parametrize("name", COMPUTED)
def test_their_compiled_programs_do_too(files: Path, name: str) -> None:
    checkpoint = load_weights(files / f"{name}.pt")
    spec = parse_network(parse_model_config(checkpoint.config, name=name))
    graph = optimise(lower(spec, checkpoint.model), "fp32")
    pixels = np.random.default_rng(1).integers(0, 256, (1, 3, 16, 16), np.uint8)
    (head,) = CompiledNetwork(graph).program(pixels.shape)(pixels)
    with flow.no_grad():
        plain = network_from_checkpoint(checkpoint).eval()(flow.tensor(pixels.astype(np.float32) / 255))[0].numpy()
    assert np.allclose(head.reshape(plain.transpose(0, 1, 4, 2, 3).shape), plain.transpose(0, 1, 4, 2, 3), atol=1e-4)


def test_fused_weights_are_a_start_for_training(files: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Their biases went lost, as the network that trains has batch norms in their place."""
    checkpoint = load_weights(files / "fused.pt")
    network = build_network(parse_model_config(checkpoint.config, name="fused"), init=False).eval()
    moved = transfer(network, checkpoint)
    assert all(name.endswith("num_batches_tracked") for name in moved.skipped) and "fused" in caplog.text
    with flow.no_grad():
        found = network(flow.tensor(IMAGES))[0].numpy()
    assert np.allclose(found, np.load(files / "heads.npz")["fused"], rtol=1e-4, atol=1e-5)


def test_all_files_are_tried_and_differ(files: Path) -> None:
    stored = np.load(files / "heads.npz")
    assert set(stored.files) == set(COMPUTED)
    assert {file.stem for file in files.glob("*.pt")} == {*COMPUTED, *REFUSED}
    for name in ("norms", "relu", "hardswish", "leaky", "one_relu", "bilinear"):
        assert np.abs(stored[name] - stored["plain"]).max() > 0.01, name


def test_what_was_taken_is_said(files: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "yolo")
    said = {}
    for name in COMPUTED:
        caplog.clear()
        load_weights(files / f"{name}.pt")
        said[name] = caplog.messages
    at = {name: f"{files / name}.pt: its modules have" for name in COMPUTED}
    assert {name: lines for name, lines in said.items() if lines} == {
        "relu": [f"{at['relu']} activation nn.ReLU() (its YAML: nn.SiLU())"],
        "hardswish": [f"{at['hardswish']} activation nn.Hardswish() (its YAML: nn.SiLU())"],
        "leaky": [f"{at['leaky']} activation nn.LeakyReLU(0.1) (its YAML: nn.SiLU())"],
        "one_relu": [f"{at['one_relu']} in layer 0 (Conv) act nn.ReLU() (its YAML: nn.SiLU())"],
        "bilinear": [f"{at['bilinear']} in layer 4 (nn.Upsample) mode bilinear (its YAML: nearest)"],
        "norms": [
            f"{at['norms']} batch norms with eps 1e-05, their weights brought to 0.001",
            f"{files / 'norms'}.pt: its batch norms have momentum 0.1; training goes on with 0.03",
        ],
    }


def test_the_first_releases_keep_the_updates_beside_the_ema(files: Path) -> None:
    assert load_weights(files / "ema_tuple.pt").meta == {"epoch": 3, "updates": 77}


REFUSED = {
    "gelu_tanh": "model.0.act is GELU(approximate=tanh), its YAML builds nn.SiLU()",
    "softplus": "model.0.act is Softplus(beta=1.0), its YAML builds nn.SiLU()",
    "deep_relu": "model.1.cv2.act is nn.ReLU(), its YAML builds nn.SiLU()",
    "corners": "model.4: align_corners is True, its YAML builds None",
    "bicubic": "model.4: mode is bicubic, its YAML builds nearest",
    "concat_rows": "model.5: d is 2, its YAML builds 1",
    "other_source": "model.5: f (layers it reads) is [4, 2], its YAML builds [4, 1]",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_yaml_can_say_is_named(files: Path, name: str) -> None:
    with pytest.raises(WeightsError) as caught:
        load_weights(files / f"{name}.pt")
    assert REFUSED[name] in str(caught.value) and "\n" not in str(caught.value)
    assert str(files / f"{name}.pt") in str(caught.value)


def one_layer(module: str, args: list[Any]) -> dict[str, Any]:
    """A model file with a layer that nothing reads, so that its size does not matter."""
    sources = [-1, -1] if module == "Concat" else -1
    backbone = [[-1, 1, "Focus", [8, 3]], STEM, [sources, 1, module, args], [1, 1, "Conv", [16]]]
    head = [[[3], 1, "Detect", ["nc", "anchors"]]]
    return small_mapping(anchors=[[8, 8, 16, 16]], backbone=backbone, head=head)


CASES = [(module, args) for module, cases in ARGUMENTS.items() for args in cases]


@pytest.mark.parametrize(("module", "args"), CASES, ids=str)
def test_the_modules_are_those_that_are_built(module: str, args: list[Any]) -> None:
    assert_alike(build_network(parse_model_config(one_layer(module, args), name="one.yaml"), init=False))


@pytest.mark.parametrize("model", ["yolov5n", "yolov3-tiny", "yolov5s-ghost"])
def test_the_modules_of_presets(model: str) -> None:
    assert_alike(build_network(model, init=False))


def assert_alike(network: Any) -> None:
    """Every OneFlow module has its description, and every description its module."""
    built = {f"model.{path}" if path else "model": module for path, module in network.model.named_modules()}
    described = modules_of(network.spec)
    assert set(built) == set(described)
    own_names = {"num_heads": "heads"}
    for path, module in described.items():
        if module.kind == "activation":
            assert_same_activation(built[path], module.activation or network.spec.activation)
            continue
        assert type(built[path]).__name__ == module.kind, path
        for name in set(module.attributes) - {"d", "nc", "nl"}:
            own = getattr(built[path], own_names.get(name, name))
            assert value_of(Instance(Global("x", module.kind), state={name: own}), name) == module.attributes[name]


def assert_same_activation(built: Any, activation: Activation) -> None:
    assert type(built).__name__ == activation.name
    if activation.value is not None:
        assert getattr(built, "negative_slope", getattr(built, "alpha", None)) == activation.value


def instances(spec: NetworkSpec) -> dict[str, Instance]:
    """The modules of a file that computes what ``spec`` says."""
    found = {"": Instance(Global("models.yolo", "DetectionModel"), state={})}
    for path, module in modules_of(spec).items():
        place, kind, attributes = module_parts(module, spec)
        found[path] = Instance(Global(place, kind), state=attributes)
    return found


def torch_module(kind: str, **attributes: Any) -> Instance:
    return Instance(Global("torch.nn.modules.any", kind), state=attributes)


Change = Callable[[dict[str, Instance]], object]


def changed(path: str, **attributes: Any) -> Change:
    return lambda found: found[path].state.update(attributes)


def replaced(path: str, module: Instance) -> Change:
    return lambda found: found.update({path: module})


def bound(path: str, name: str, owner: str | None = None) -> Change:
    return lambda found: found[path].state.update(forward=Method(found[owner or path], name))


FOREIGN: list[tuple[Change, str]] = [
    (changed("model.2.cv1.conv", padding=(1, 1)), "model.2.cv1.conv: padding is (1, 1), its YAML builds (0, 0)"),
    (changed("model.2.cv1.conv", stride=2), "model.2.cv1.conv: stride is (2, 2), its YAML builds (1, 1)"),
    (changed("model.2.cv1.conv", dilation=(2, 2)), "model.2.cv1.conv: dilation is (2, 2), its YAML builds (1, 1)"),
    (changed("model.2.cv1.conv", groups=2), "model.2.cv1.conv: groups is 2, its YAML builds 1"),
    (changed("model.2.cv1.conv", padding="same"), "model.2.cv1.conv: padding is same, its YAML builds (0, 0)"),
    (changed("model.0.conv", padding_mode="reflect"), "model.0.conv: padding_mode is reflect, its YAML builds zeros"),
    (changed("model.0.conv", stride=(1, 1)), "model.8: stride is (4, 8), its YAML builds (2, 4)"),
    (changed("model.2.m.0", add=False), "model.2.m.0: add is False, its YAML builds True"),
    (changed("model.4.m", stride=2), "model.4.m: stride is (2, 2), its YAML builds (1, 1)"),
    (changed("model.4.m", ceil_mode=True), "model.4.m: ceil_mode is True, its YAML builds False"),
    (changed("model.5", size=[16, 16]), "model.5: size is (16, 16), its YAML builds None"),
    (changed("model.6", d=3), "model.6: d is 3, its YAML builds 1"),
    (changed("model.6", f=[-1, 3]), "model.6: f (layers it reads) is [5, 3], its YAML builds [5, 2]"),
    (changed("model.1", f=[-1, "x"]), "model.1: f (layers it reads) is a list, its YAML builds [0]"),
    (changed("model.8", na=3), "model.8: na is 3, its YAML builds 2"),
    (changed("model.0.bn", affine=False), "model.0.bn: affine is False, its YAML builds True"),
    (changed("model.0", _forward_hooks={1: "x"}), "model.0: _forward_hooks holds 1, its YAML builds none"),
    (replaced("model.2", Instance(Global("models.common", "C3x"), state={})), "model.2 is models.common.C3x()"),
    (replaced("model.0.conv", Instance(Global("models.common", "Conv2d"), state={})), "is models.common.Conv2d()"),
    (replaced("model.0.act", torch_module("LeakyReLU", negative_slope="x")), "model.0.act is LeakyReLU()"),
    (replaced("model.0.act", torch_module("ReLU6", max_val=1)), "model.0.act is ReLU6()"),
    (replaced("model.0.act", Instance(Global("models.common", "ReLU"), state={})), "model.0.act is models.common.ReLU"),
    (replaced("model.0.gate", torch_module("Sigmoid")), "model.0.gate is nn.Sigmoid(), its YAML builds nothing there"),
    (replaced("head", torch_module("Linear")), "head is Linear(), its YAML builds nothing there"),
    (lambda found: found.pop("model.2.cv1.bn"), "model.2.cv1.bn is absent, its YAML builds BatchNorm2d"),
    (lambda found: found.pop("model.1.act"), "model.1.act is absent, its YAML builds nn.SiLU()"),
    (bound("model.0", "forward_fuse"), "model.0: forward is Conv.forward_fuse, its YAML builds the class's own"),
    (bound("model.2", "forward_fuse"), "model.2: forward is C3.forward_fuse"),
    (bound("model.0", "forward", "model.1"), "model.0: forward is Conv.forward, its YAML"),
    (changed("model.0", forward="x"), "model.0: forward is x"),
]


@pytest.mark.parametrize(("change", "says"), FOREIGN, ids=[says[:40] for _, says in FOREIGN])
def test_every_difference_is_named(change: Change, says: str) -> None:
    config = small_mapping()
    spec = parse_network(parse_model_config(config, name="x"))
    found = instances(spec)
    check_modules(found, spec, (4, 8), "x.pt")
    change(found)
    config, _ = adopt(config, found)
    with pytest.raises(WeightsError) as caught:
        check_modules(found, parse_network(parse_model_config(config, name="x")), (4, 8), "x.pt")
    assert says in str(caught.value)


def test_strides_of_the_head_are_compared() -> None:
    spec = parse_network(parse_model_config(small_mapping(), name="x"))
    with pytest.raises(WeightsError, match=r"model\.8: stride is \(8, 16\), its YAML builds \(4, 8\)"):
        check_modules(instances(spec), spec, (8, 16), "x.pt")


NO_ACT, NAMED_ACT = [16, 3, 1, None, 1, 1, False], [16, 3, 1, None, 1, 1, "nn.LeakyReLU(0.1)"]
POOLED = {"kernel_size": 5, "padding": 2}
LEAKY = torch_module("LeakyReLU", negative_slope=0.1)
TAKEN: list[tuple[str, list[Any], Change, list[Any]]] = [
    ("nn.MaxPool2d", [3, 1, 1], changed("model.2", **POOLED), [5, 1, 2]),
    ("nn.MaxPool2d", [2], changed("model.2", stride=1), [2, 1]),
    ("nn.AvgPool2d", [3, 1, 1], changed("model.2", **POOLED), [5, 1, 2]),
    ("SPPF", [16], changed("model.2.m", kernel_size=3, padding=1), [16, 3]),
    ("Conv", [16, 3], changed("model.2.conv", padding=(2, 2), dilation=(2, 2)), [16, 3, 1, 2, 1, 2]),
    ("Conv", [16, 3], changed("model.2.conv", stride=(1, 2)), [16, 3, [1, 2]]),
    (
        "Conv",
        [16, 3, 1, None, 1, 1, False],
        replaced("model.2.act", LEAKY),
        [16, 3, 1, None, 1, 1, "nn.LeakyReLU(0.1)"],
    ),
    ("Focus", [16, 3], changed("model.2.conv.conv", groups=4), [16, 3, 1, None, 4]),
    ("nn.Conv2d", [16, 3, 1, 1], changed("model.2", groups=4), [16, 3, 1, 1, 1, 4]),
    ("nn.Upsample", [None, 2], changed("model.2", scale_factor=3.0), [None, 3]),
    ("nn.Upsample", [None, 2], changed("model.2", mode="bilinear", scale_factor=(3, 3)), [None, 3, "bilinear"]),
    ("nn.Upsample", [None, 2, "bilinear"], changed("model.2", mode="nearest-exact"), [None, 2, "nearest"]),
    ("Contract", [2], changed("model.2", gain=4), [4]),
    ("BottleneckCSP", [16], replaced("model.2.act", LEAKY), [16, True, 1, 0.5, "nn.LeakyReLU(0.1)"]),
]


@pytest.mark.parametrize(("module", "args", "change", "becomes"), TAKEN, ids=lambda value: str(value)[:30])
def test_what_a_row_can_say_is_taken(module: str, args: list[Any], change: Change, becomes: list[Any]) -> None:
    config = one_layer(module, args)
    before = copy.deepcopy(config)
    found = instances(parse_network(parse_model_config(config, name="x")))
    change(found)
    taken, notes = adopt(config, found)
    assert taken["backbone"][2][3] == becomes and notes and config == before
    spec = parse_network(parse_model_config(taken, name="x"))
    check_modules(found, spec, spec.strides, "x.pt")


def test_modules_of_older_releases_are_known() -> None:
    """Names that YOLOv5 gave up, and what it computed with under them."""
    for kind, activation in (("Hardswish", "Hardswish"), ("Swish", "SiLU"), ("MemoryEfficientMish", "Mish")):
        module = Instance(Global("utils.activations", kind), state={})
        assert activation_of(module) == Activation(activation)
    spec = parse_network(parse_model_config(one_layer("DWConv", [16, 3]), name="x"))
    found = instances(spec)
    found["model.2"].kind = Global("models.common", "Conv")
    found["model.2.bn"].kind = Global("torch.nn.modules.batchnorm", "SyncBatchNorm")
    check_modules(found, spec, None, "x.pt")

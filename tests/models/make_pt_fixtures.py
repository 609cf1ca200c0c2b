"""Writes tests/models/fixtures/pt.tar.xz: `.pt` files by PyTorch itself, with what PyTorch computes from each.

Run once, from the repository's root, by a Python that has PyTorch: python tests/models/make_pt_fixtures.py. The files
in the repository are from PyTorch 2.13.0. The classes are this project's own; their names and the names of their parts
are those that a YOLOv5 checkpoint holds.
"""

from __future__ import annotations

import copy
import io
import sys
import tarfile
import types
from pathlib import Path

import numpy as np
import torch
from torch import nn

ARCHIVE = Path("tests/models/fixtures/pt.tar.xz")
SIDE = 16
CONFIG = {
    "nc": 1,
    "depth_multiple": 1.0,
    "width_multiple": 1.0,
    "anchors": [[5, 6]],
    "backbone": [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Bottleneck", [8]], [-1, 1, "SPPF", [8, 5]]],
    "head": [
        [-1, 1, "nn.MaxPool2d", [2, 2]],
        [-1, 1, "nn.Upsample", ["None", 2, "nearest"]],
        [[-1, 1], 1, "Concat", [1]],
        [[5], 1, "Detect", ["nc", "anchors"]],
    ],
}


class Conv(nn.Module):
    def __init__(self, c1: int, c2: int, k: int, s: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c1, c2, k, s, k // 2, bias=False)
        self.bn = nn.BatchNorm2d(c2, eps=1e-3, momentum=0.03)
        self.act = nn.SiLU()

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))

    def forward_fuse(self, x):
        return self.act(self.conv(x))


class Bottleneck(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.cv1, self.cv2 = Conv(c, c // 2, 1, 1), Conv(c // 2, c, 3, 1)
        self.add = True

    def forward(self, x):
        return x + self.cv2(self.cv1(x))


class SPPF(nn.Module):
    def __init__(self, c: int, k: int) -> None:
        super().__init__()
        self.cv1, self.cv2 = Conv(c, c // 2, 1, 1), Conv(2 * c, c, 1, 1)
        self.m = nn.MaxPool2d(k, 1, k // 2)

    def forward(self, x):
        pools = [self.cv1(x)]
        for _ in range(3):
            pools.append(self.m(pools[-1]))
        return self.cv2(torch.cat(pools, 1))


class Concat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.d = 1

    def forward(self, x):
        return torch.cat(x, self.d)


class Detect(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.nc, self.no, self.nl, self.na = 1, 6, 1, 1
        self.stride = torch.tensor([2.0])
        self.register_buffer("anchors", torch.tensor([[[2.5, 3.0]]]))
        self.m = nn.ModuleList([nn.Conv2d(channels, 6, 1)])

    def forward(self, x):
        y = self.m[0](x[0])
        return y.reshape(len(y), self.na, self.no, *y.shape[2:]).permute(0, 1, 3, 4, 2)


class DetectionModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        rows = CONFIG["backbone"] + CONFIG["head"]
        up, pool = nn.Upsample(scale_factor=2.0, mode="nearest"), nn.MaxPool2d(2, 2)
        layers = [Conv(3, 8, 3, 2), Bottleneck(8), SPPF(8, 5), pool, up, Concat(), Detect(16)]
        self.model = nn.Sequential(*layers)
        for index, (layer, row) in enumerate(zip(layers, rows)):
            layer.i, layer.f, layer.type = index, row[0], row[2]
        self.yaml, self.names, self.stride = copy.deepcopy(CONFIG), {0: "thing"}, torch.tensor([2.0])

    def forward(self, x):
        kept = []
        for layer in self.model:
            given = layer.f if isinstance(layer.f, list) else [layer.f]
            inputs = [kept[source] if kept else x for source in given]
            kept.append(layer(inputs if isinstance(layer.f, list) else inputs[0]))
        return kept[-1]


def fake_modules() -> None:
    """The classes under the names of YOLOv5's modules."""
    places = {"models.common": (Conv, Bottleneck, SPPF, Concat), "models.yolo": (Detect, DetectionModel)}
    sys.modules["models"] = types.ModuleType("models")
    for name, classes in places.items():
        module = sys.modules[name] = types.ModuleType(name)
        for kind in classes:
            kind.__module__ = name
            setattr(module, kind.__name__, kind)


def new_model() -> DetectionModel:
    """Weights that two bytes hold exactly; statistics as after a training."""
    torch.manual_seed(0)
    model = DetectionModel().eval()
    for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, 0, 0.3)
        nn.init.normal_(norm.running_mean, 0, 0.1)
        nn.init.uniform_(norm.running_var, 0.001, 0.05)
    return model.half().float()


def with_activation(make) -> DetectionModel:
    model = new_model()
    for block in model.modules():
        if isinstance(block, Conv):
            block.act = make()
    return model


def fused() -> DetectionModel:
    """Batch norms folded into the convolutions, `forward` bound to the short way, as the user's `fuse()` leaves it."""
    model = new_model()
    for block in [module for module in model.modules() if isinstance(module, Conv)]:
        block.conv = torch.nn.utils.fusion.fuse_conv_bn_eval(block.conv, block.bn)
        del block.bn
        block.forward = block.forward_fuse
    return model


def with_norms(**changes: float) -> DetectionModel:
    model = new_model()
    for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
        vars(norm).update(changes)
    return model


def with_layer(index: int, **changes: object) -> DetectionModel:
    model = new_model()
    vars(model.model[index]).update(changes)
    return model


def one_relu() -> DetectionModel:
    model = new_model()
    model.model[0].act = nn.ReLU()
    return model


def deep_relu() -> DetectionModel:
    model = new_model()
    model.model[1].cv2.act = nn.ReLU()
    return model


def computed() -> dict[str, DetectionModel]:
    """Those whose function this project can compute."""
    return {
        "plain": new_model(),
        "legacy": new_model(),
        "fused": fused(),
        "legacy_fused": fused(),
        "ema_tuple": new_model(),
        "relu": with_activation(nn.ReLU),
        "hardswish": with_activation(nn.Hardswish),
        "leaky": with_activation(lambda: nn.LeakyReLU(0.1, inplace=True)),
        "one_relu": one_relu(),
        "norms": with_norms(eps=1e-5, momentum=0.1),
        "bilinear": with_layer(4, mode="bilinear", align_corners=False),
    }


def refused() -> dict[str, DetectionModel]:
    """Those whose function its model YAML cannot say."""
    return {
        "gelu_tanh": with_activation(lambda: nn.GELU(approximate="tanh")),
        "softplus": with_activation(nn.Softplus),
        "deep_relu": deep_relu(),
        "corners": with_layer(4, mode="bilinear", align_corners=True),
        "bicubic": with_layer(4, mode="bicubic"),
        "concat_rows": with_layer(5, d=2),
        "other_source": with_layer(5, f=[-1, 2]),
    }


def main() -> None:
    fake_modules()
    # torch.save's old form writes the classes' sources; a short text in their place keeps other people's code out
    torch.serialization.get_source_lines_and_file = lambda kind: ([f"class {kind.__name__}:\n", "    ...\n"], 1, "a.py")
    images = np.random.default_rng(0).random((1, 3, SIDE, SIDE), np.float32)
    heads, files = {}, {}
    for name, model in {**computed(), **refused()}.items():
        model.half().float()
        if name in computed():
            with torch.no_grad():
                heads[name] = model(torch.from_numpy(images)).numpy()
        content = {"epoch": 3, "model": model.half(), "ema": None, "optimizer": None}
        if name == "ema_tuple":
            other = new_model().half()
            nn.init.zeros_(other.model[0].conv.weight)
            content.update(model=other, ema=(model, 77))
        files[f"{name}.pt"] = written(content, legacy=name.startswith("legacy"))
    stream = io.BytesIO()
    np.savez(stream, **heads)
    files["heads.npz"] = stream.getvalue()
    with tarfile.open(ARCHIVE, "w:xz", preset=9) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def written(content: object, legacy: bool) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


if __name__ == "__main__":
    main()

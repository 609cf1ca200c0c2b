"""Every module that a model YAML may name, with its arguments varied: one small backbone each."""

from __future__ import annotations

from yolo.models.activation import NAMES

STEM = [-1, 1, "Conv", [16, 3, 4]]
"""What most modules stand behind: 16 channels at a quarter of the size."""

ARGUMENTS: dict[str, list[list]] = {
    "Conv": [
        [24],
        [12, 3],
        [16, 4, 2],
        [16, [1, 5], [1, 2]],
        [16, 3, 1, 0],
        [16, 3, 1, [2, 0]],
        [16, 3, 1, None, 1, 3],
        [24, 5, 2, 2, 8],
        [16, 3, 1, None, 16],
        [24, 3, 1, None, 2, 1, False],
        [16, 7, 4, 3],
        [16, 3, 1, None, 1, [1, 2]],
    ],
    "DWConv": [[16, 3], [32, 5, 2], [24, 3, 1, 2], [8, 3, 1, 1, False]],
    "GhostConv": [[32, 1], [24, 3, 2], [16, 3, 1, 4]],
    "Focus": [[16, 3], [24, 1, 2], [16, 3, 1, None, 4]],
    "CrossConv": [[16, 3, 1, 1, 1.0, True], [24, 5, 2], [16, 3, 1, 4, 0.5]],
    "Bottleneck": [[16], [24, False], [16, True, 4, 1.0]],
    "GhostBottleneck": [[16], [32, 5, 2], [24, 3, 2]],
    "SPP": [[24], [16, [3]]],
    "SPPF": [[24], [16, 3]],
    "BottleneckCSP": [[16], [24, False, 1, 0.25], [16, True, 1, 0.5, "nn.LeakyReLU(0.1)"]],
    "C3": [[24], [16, False], [32, True, 2, 0.25]],
    "C3x": [[16], [24, True, 2, 1.0]],
    "C3TR": [[16], [40], [32, True, 1, 0.75]],
    "C3Ghost": [[16], [24]],
    "C3SPP": [[16], [24, [3, 7]]],
    "DWConvTranspose2d": [[16, 2, 2], [24, 4, 2, 1], [8, 3, 2, 1, 1]],
    "nn.ConvTranspose2d": [
        [16, 2, 2],
        [24, 4, 2, 1, 0, 1, False],
        [16, 3, 2, 1, 1, 4],
        [24, 3, 3, 0, 0, 8, False],
        [12, 2, 2],
    ],
    "nn.Conv2d": [[24], [16, 3, 2, 1], [16, 3, 1, 2, 2, 4, False], [12, [3, 1], 1, [1, 0]]],
    "nn.BatchNorm2d": [[]],
    "nn.MaxPool2d": [[2], [3, 1, 1], [3, 2, 1], [2, 4], [17, 1, 8], [13, 2, 6]],
    "nn.AvgPool2d": [[2], [3, 1, 1], [5, 2, 2], [2, 4], [17, 1, 8]],
    "nn.ZeroPad2d": [[2], [[0, 1, 2, 3]]],
    "nn.Upsample": [[None, scale, mode] for scale in (1, 2, 3) for mode in ("nearest", "bilinear")],
    "nn.Identity": [[]],
    "nn.SiLU": [[]],
    "nn.ReLU": [[]],
    "nn.Hardswish": [[]],
    "nn.LeakyReLU": [[], [0.3]],
    "Contract": [[2], [4]],
    "Expand": [[2], [4]],
    "Concat": [[1]],
}
"""Arguments by module; their first is the output channels where the module has such."""

WHOLE_AGAIN: dict[str, list] = {
    "Conv[16,4,2]": ["Conv", [16, 2, 1, 0]],
    "Conv[16,3,1,0]": ["Conv", [16, 3, 1, 2]],
    "Conv[16,3,1,[2,0]]": ["Conv", [16, 3, 1, 0]],
    "nn.ConvTranspose2d[24,3,3,0,0,8,False]": ["nn.MaxPool2d", [3]],
    "nn.ZeroPad2d[2]": ["Conv", [16, 5, 1, 0]],
    "nn.ZeroPad2d[[0,1,2,3]]": ["nn.Conv2d", [16, 6]],
    "nn.Upsample[None,3,'nearest']": ["nn.AvgPool2d", [3]],
    "nn.Upsample[None,3,'bilinear']": ["nn.MaxPool2d", [3]],
}
"""What brings the size back to one of which the image's is a multiple; a head stands on no other."""

FIRST = ("nn.BatchNorm2d", "nn.MaxPool2d", "nn.AvgPool2d", "nn.ZeroPad2d", "nn.SiLU", "Contract", "Concat")
"""Modules that are tried as the first layer too."""


def _behind(module: str, args: list) -> list:
    last = [-1, 1, "Conv", [16, 3]]
    if module == "Concat":
        return [STEM, [-1, 1, "Conv", [12, 1]], [[0, -1, 0], 1, module, args], last]
    after = WHOLE_AGAIN.get(_name(module, args))
    return [STEM, [-1, 1, module, args], *([[-1, 1, *after]] if after else []), last]


def _name(module: str, args: list) -> str:
    return f"{module}{args}".replace(" ", "")


def _first(module: str, args: list) -> list:
    if module == "nn.ZeroPad2d":
        return [[-1, 1, module, args], [-1, 1, "Conv", [16, 8, 4, 0]]]
    return [[[-1] if module == "Concat" else -1, 1, module, args], [-1, 1, "Conv", [16, 3, 4]]]


def _activation(name: str) -> list:
    # Of 12 channels: the rest of a block must stay zero, whatever the activation makes of zero.
    return [STEM, [-1, 1, "Conv", [12, 3, 1, None, 1, 1, f"nn.{name}()"]], [-1, 1, "Conv", [16, 1]]]


def cases() -> dict[str, list]:
    """Backbones by name."""
    found = {}
    for module, variants in ARGUMENTS.items():
        found |= {_name(module, args): _behind(module, args) for args in variants}
    found |= {f"first-{module}": _first(module, ARGUMENTS[module][0]) for module in FIRST}
    found |= {f"{name}()": _activation(name) for name in NAMES}
    found["ELU(0.5)"] = [STEM, [-1, 1, "Conv", [12, 3, 1, None, 1, 1, "nn.ELU(0.5)"]]]
    found["repeated"] = [STEM, [-1, 2, "nn.MaxPool2d", [3, 1, 1]], [-1, 2, "Conv", [16, 3]], [-1, 2, "C3TR", [16]]]
    found["sum-of-upsampled"] = [
        STEM,
        [-1, 1, "Conv", [16, 3, 2]],
        [-1, 1, "nn.Upsample", [None, 2, "bilinear"]],
        [[-1, 0], 1, "Concat", [1]],
        [-1, 1, "C3", [24]],
    ]
    return found

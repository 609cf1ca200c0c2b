"""What each module of a model YAML takes and gives: its arguments, channels and output size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from yolo.models import arguments as kinds
from yolo.models.arguments import Parameter

MAX_CHANNELS: Final = 32_768

Sizes = Callable[[int, Mapping[str, Any]], int]

_K: Final = Parameter("k", kinds.whole_or_pair(1, 255), 1)
_S: Final = Parameter("s", kinds.whole_or_pair(1, 64), 1)
_P: Final = Parameter("p", kinds.optional(kinds.whole_or_pair(0, 255)), None)
_G: Final = Parameter("g", kinds.whole(1, MAX_CHANNELS), 1)
_D: Final = Parameter("d", kinds.whole_or_pair(1, 64), 1)
_ACT: Final = Parameter("act", kinds.activation, None)
_SHORTCUT: Final = Parameter("shortcut", kinds.flag, True)
_E: Final = Parameter("e", kinds.ratio, 0.5)
_GAIN: Final = Parameter("gain", kinds.whole(1, 64), 2)


@dataclass(frozen=True)
class Rule:
    """How a module's row is read.

    ``family``: `conv` (first argument: output channels, scaled by the width multiple), `stack` (the same,
    and it takes the repeats itself), `same` (channels kept), or the module's own name.
    """

    family: str
    parameters: tuple[Parameter, ...]
    size: Sizes


def _first(value: Any) -> int:
    """Of a `[height, width]` pair the height: sizes are traced on the rows' axis."""
    return value[0] if isinstance(value, tuple) else value


def _window(size: int, k: int, s: int, p: int, d: int = 1) -> int:
    return (size + 2 * p - d * (k - 1) - 1) // s + 1


def _conv(size: int, args: Mapping[str, Any]) -> int:
    k, d = _first(args["k"]), _first(args.get("d", 1))
    p = (d * (k - 1) + 1) // 2 if args.get("p") is None else _first(args["p"])
    return _window(size, k, _first(args.get("s", 1)), p, d)


def _plain_conv(size: int, args: Mapping[str, Any]) -> int:
    return _window(size, _first(args["k"]), _first(args["s"]), _first(args["p"]), _first(args["d"]))


def _pool(size: int, args: Mapping[str, Any]) -> int:
    return _window(size, args["k"], args["k"] if args["s"] is None else args["s"], args["p"])


def _transposed(size: int, args: Mapping[str, Any]) -> int:
    k, s = args["k"], args["s"]
    return (size - 1) * s - 2 * args["p"] + k + args["op"]


def _ghost_bottleneck(size: int, args: Mapping[str, Any]) -> int:
    return _conv(size, args) if args["s"] == 2 else size


def _keep(size: int, args: Mapping[str, Any]) -> int:
    return size


def _csp(*extra: Parameter) -> Rule:
    return Rule("stack", (_SHORTCUT, _G, _E, *extra), _keep)


def _transposed_rule(*names: str) -> tuple[Parameter, ...]:
    k = Parameter("k", kinds.whole(1, 255), 1)
    s = Parameter("s", kinds.whole(1, 64), 1)
    return k, s, *(Parameter(name, kinds.whole(0, 255), 0) for name in names)


def _pool_parameters() -> tuple[Parameter, ...]:
    stride = Parameter("s", kinds.optional(kinds.whole(1, 64)), None)
    return Parameter("k", kinds.whole(1, 255)), stride, Parameter("p", kinds.whole(0, 127), 0)


_SPP_K: Final = Parameter("k", kinds.odd_list, (5, 9, 13))
_ODD_K: Final = Parameter("k", kinds.odd, 3)
_BIAS: Final = Parameter("bias", kinds.flag, True)
_ZERO_P: Final = Parameter("p", kinds.whole_or_pair(0, 255), 0)

RULES: Final[Mapping[str, Rule]] = {
    "Conv": Rule("conv", (_K, _S, _P, _G, _D, _ACT), _conv),
    "DWConv": Rule("conv", (_K, _S, _D, _ACT), _conv),
    "GhostConv": Rule("conv", (_K, _S, _G, _ACT), _conv),
    "Focus": Rule("conv", (_K, _S, _P, _G, _ACT), lambda size, args: _conv(size // 2, args)),
    "CrossConv": Rule(
        "conv",
        (
            _ODD_K,
            Parameter("s", kinds.whole(1, 64), 1),
            _G,
            Parameter("e", kinds.ratio, 1.0),
            Parameter("shortcut", kinds.flag, False),
        ),
        _conv,
    ),
    "Bottleneck": Rule("conv", (_SHORTCUT, _G, _E), _keep),
    "GhostBottleneck": Rule("conv", (_ODD_K, Parameter("s", kinds.whole(1, 2), 1)), _ghost_bottleneck),
    "SPP": Rule("conv", (_SPP_K,), _keep),
    "SPPF": Rule("conv", (Parameter("k", kinds.odd, 5),), _keep),
    "BottleneckCSP": _csp(_ACT),  # that behind the joined branches: nn.SiLU() unless named, LeakyReLU up to v3
    "C3": _csp(),
    "C3x": _csp(),
    "C3TR": _csp(),
    "C3Ghost": _csp(),
    "C3SPP": Rule("conv", (_SPP_K, Parameter("n", kinds.whole(1, 1000), 1), _SHORTCUT, _G, _E), _keep),
    "DWConvTranspose2d": Rule("conv", _transposed_rule("p", "op"), _transposed),
    "nn.ConvTranspose2d": Rule("conv", (*_transposed_rule("p", "op"), _G, _BIAS), _transposed),
    "nn.Conv2d": Rule("conv", (_K, _S, _ZERO_P, _D, _G, _BIAS), _plain_conv),
    "nn.BatchNorm2d": Rule("same", (), _keep),
    "nn.MaxPool2d": Rule("same", _pool_parameters(), _pool),
    "nn.AvgPool2d": Rule("same", _pool_parameters(), _pool),
    "nn.ZeroPad2d": Rule(
        "same",
        (Parameter("padding", kinds.padding4),),
        lambda size, args: size + args["padding"][2] + args["padding"][3],
    ),
    "nn.Upsample": Rule(
        "same",
        (
            Parameter("size", kinds.optional(kinds.one_of("None")), None),
            Parameter("scale", kinds.whole(1, 32), 2),
            Parameter("mode", kinds.one_of("nearest", "bilinear"), "nearest"),
        ),
        lambda size, args: size * args["scale"],
    ),
    "nn.Identity": Rule("same", (), _keep),
    "nn.SiLU": Rule("same", (), _keep),
    "nn.ReLU": Rule("same", (), _keep),
    "nn.Hardswish": Rule("same", (), _keep),
    "nn.LeakyReLU": Rule("same", (Parameter("slope", kinds.number, 0.01),), _keep),
    "Contract": Rule("Contract", (_GAIN,), lambda size, args: size // args["gain"]),
    "Expand": Rule("Expand", (_GAIN,), lambda size, args: size * args["gain"]),
    "Concat": Rule("Concat", (Parameter("dimension", kinds.whole(1, 1), 1),), _keep),
    "Detect": Rule("Detect", (), lambda size, args: 0),
}

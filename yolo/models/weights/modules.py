"""The modules that a YOLOv5 model file's layers are made of, as a checkpoint's pickled module tree names them.

Pure Python: what `yolo.models.layers` builds with OneFlow, described by class names and the attributes that decide
what a module computes. Weights are not in it; their shapes say the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from yolo.models.activation import IDENTITY, Activation
from yolo.models.spec import LayerSpec, NetworkSpec

EPS: Final = 1e-3
MOMENTUM: Final = 0.03
"""The constants of YOLOv5's batch norms."""
_HEADS: Final = 4


@dataclass(frozen=True)
class Module:
    """One module: its class's name, and the attributes that decide its function.

    ``activation``: for an activation which one, None for the network's own; ``kind`` is then `activation`.
    """

    kind: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    activation: Activation | None = None


Tree = Iterator[tuple[str, Module]]
"""Paths within a layer ('' for itself), parents first, and what stands there."""
Args = Mapping[str, Any]


def modules_of(spec: NetworkSpec) -> dict[str, Module]:
    """`model.<layer>.<…>` -> the module that must stand there, parents first."""
    found = {"model": Module("Sequential")}
    for layer in spec.layers:
        found.update(_within(f"model.{layer.index}", _layer(layer, spec)))
    return found


def pair(value: Any) -> Any:
    """A number as the pair that PyTorch makes of it; lists as tuples."""
    return tuple(value) if isinstance(value, (list, tuple)) else (value, value)


def _layer(layer: LayerSpec, spec: NetworkSpec) -> Tree:
    name = layer.module.removeprefix("torch.")
    if name == "Detect":
        yield from _detect(layer, spec)
    elif layer.repeats > 1:
        yield "", Module("Sequential")
        for number in range(layer.repeats):
            given = layer.in_channels[0] if number == 0 else layer.out_channels
            yield from _within(str(number), _MAKERS[name](given, layer.out_channels, layer.args))
    else:
        yield from _MAKERS[name](layer.in_channels[0], layer.out_channels, layer.args)


def _within(name: str, tree: Tree) -> Tree:
    for path, module in tree:
        yield (f"{name}.{path}" if path else name), module


def _leaf(kind: str, **attributes: Any) -> Module:
    return Module(kind, attributes)


def _activation(activation: Activation | None) -> Module:
    return Module("activation", {}, activation)


def _conv2d(k: Any, s: Any = 1, p: Any = None, g: int = 1, d: Any = 1) -> Module:
    if p is None:
        p = tuple((b * (a - 1) + 1) // 2 for a, b in zip(pair(k), pair(d)))
    return _leaf("Conv2d", stride=pair(s), padding=pair(p), dilation=pair(d), groups=g)


def _norm() -> Module:
    return _leaf("BatchNorm2d", eps=EPS, momentum=MOMENTUM)


def _pool(k: int, s: int | None, p: int) -> Module:
    return _leaf("MaxPool2d", kernel_size=pair(k), stride=pair(k if s is None else s), padding=pair(p))


def _block(
    k: Any = 1, s: Any = 1, p: Any = None, g: int = 1, d: Any = 1, act: Activation | None = None, kind: str = "Conv"
) -> Tree:
    """YOLOv5's `Conv`: convolution, batch norm, activation."""
    yield "", Module(kind)
    yield "conv", _conv2d(k, s, p, g, d)
    yield "bn", _norm()
    yield "act", _activation(act)


def _conv(c1: int, c2: int, a: Args) -> Tree:
    return _block(**a)


def _dw_conv(c1: int, c2: int, a: Args) -> Tree:
    return _block(**a, g=math.gcd(c1, c2), kind="DWConv")


def _focus(c1: int, c2: int, a: Args) -> Tree:
    yield "", Module("Focus")
    yield from _within("conv", _block(**a))


def _ghost_conv(c1: int, c2: int, a: Args) -> Tree:
    yield "", Module("GhostConv")
    yield from _within("cv1", _block(**a))
    yield from _within("cv2", _block(5, 1, g=c2 // 2, act=a.get("act")))


def _cross_conv(c1: int, c2: int, a: Args) -> Tree:
    k, s = a["k"], a.get("s", 1)
    yield "", _leaf("CrossConv", add=a["shortcut"] and c1 == c2 and s == 1)
    yield from _within("cv1", _block((1, k), (1, s)))
    yield from _within("cv2", _block((k, 1), (s, 1), g=a["g"]))


def _bottleneck(c1: int, c2: int, a: Args) -> Tree:
    yield "", _leaf("Bottleneck", add=a["shortcut"] and c1 == c2)
    yield from _within("cv1", _block(1, 1))
    yield from _within("cv2", _block(3, 1, g=a["g"]))


def _ghost_bottleneck(c1: int, c2: int, a: Args) -> Tree:
    half, k, s = c2 // 2, a.get("k", 3), a.get("s", 1)
    yield "", Module("GhostBottleneck")
    yield "conv", Module("Sequential")
    yield from _within("conv.0", _ghost_conv(c1, half, {}))
    if s == 2:
        yield from _within("conv.1", _dw_conv(half, half, {"k": k, "s": s, "act": IDENTITY}))
    else:
        yield "conv.1", _activation(IDENTITY)
    yield from _within("conv.2", _ghost_conv(half, c2, {"act": IDENTITY}))
    if s == 2:
        yield "shortcut", Module("Sequential")
        yield from _within("shortcut.0", _dw_conv(c1, c1, {"k": k, "s": s, "act": IDENTITY}))
        yield from _within("shortcut.1", _block(1, 1, act=IDENTITY))
    else:
        yield "shortcut", _activation(IDENTITY)


def _spp(c1: int, c2: int, a: Args) -> Tree:
    yield "", Module("SPP")
    yield from _within("cv1", _block(1, 1))
    yield from _within("cv2", _block(1, 1))
    yield "m", Module("ModuleList")
    for number, side in enumerate(a["k"]):
        yield f"m.{number}", _pool(side, 1, side // 2)


def _sppf(c1: int, c2: int, a: Args) -> Tree:
    yield "", Module("SPPF")
    yield from _within("cv1", _block(1, 1))
    yield from _within("cv2", _block(1, 1))
    yield "m", _pool(a["k"], 1, a["k"] // 2)


def _row(make: Callable[[int, int, Args], Tree], n: int, hidden: int, a: Args) -> Tree:
    """``n`` of a block in a row, each ``hidden`` channels wide."""
    yield "", Module("Sequential")
    for number in range(n):
        yield from _within(str(number), make(hidden, hidden, a))


def _bottleneck_csp(c1: int, c2: int, a: Args) -> Tree:
    yield "", Module("BottleneckCSP")
    for name in ("cv1", "cv4"):
        yield from _within(name, _block(1, 1))
    for name in ("cv2", "cv3"):
        yield name, _conv2d(1)
    yield "bn", _norm()
    yield "act", _activation(a["act"] or Activation())
    yield from _within("m", _row(_bottleneck, a["n"], int(c2 * a["e"]), a))


def _c3(kind: str, middle: Callable[[int, Args], Tree]) -> Callable[[int, int, Args], Tree]:
    def made(c1: int, c2: int, a: Args) -> Tree:
        yield "", Module(kind)
        for name in ("cv1", "cv2", "cv3"):
            yield from _within(name, _block(1, 1))
        yield from _within("m", middle(int(c2 * a["e"]), a))

    return made


def _transformer(hidden: int, a: Args) -> Tree:
    yield "", Module("TransformerBlock")
    yield "linear", Module("Linear")
    yield "tr", Module("Sequential")
    for number in range(a["n"]):
        yield f"tr.{number}", Module("TransformerLayer")
        for name in ("q", "k", "v", "fc1", "fc2"):
            yield f"tr.{number}.{name}", Module("Linear")
        yield f"tr.{number}.ma", _leaf("MultiheadAttention", num_heads=_HEADS)
        yield f"tr.{number}.ma.out_proj", Module("Linear")


def _detect(layer: LayerSpec, spec: NetworkSpec) -> Tree:
    na, levels = spec.anchors_per_level, len(layer.in_channels)
    yield "", _leaf("Detect", nc=spec.nc, no=spec.nc + 5, nl=levels, na=na)
    yield "m", Module("ModuleList")
    for number in range(levels):
        yield f"m.{number}", _conv2d(1)


def _plain(make: Callable[[Args], Module]) -> Callable[[int, int, Args], Tree]:
    return lambda c1, c2, a: iter([("", make(a))])


def _transposed(kind: str, a: Args, groups: int) -> Module:
    pairs = {"stride": a["s"], "padding": a["p"], "output_padding": a["op"]}
    return _leaf(kind, **{name: pair(value) for name, value in pairs.items()}, groups=groups)


def _depthwise_transposed(c1: int, c2: int, a: Args) -> Tree:
    yield "", _transposed("DWConvTranspose2d", a, math.gcd(c1, c2))


def _padding(a: Args) -> tuple[int, ...]:
    return tuple(a["padding"])


_MAKERS: Final[Mapping[str, Callable[[int, int, Args], Tree]]] = {
    "Conv": _conv,
    "DWConv": _dw_conv,
    "GhostConv": _ghost_conv,
    "Focus": _focus,
    "CrossConv": _cross_conv,
    "Bottleneck": _bottleneck,
    "GhostBottleneck": _ghost_bottleneck,
    "SPP": _spp,
    "SPPF": _sppf,
    "BottleneckCSP": _bottleneck_csp,
    "C3": _c3("C3", lambda hidden, a: _row(_bottleneck, a["n"], hidden, a)),
    "C3x": _c3("C3x", lambda hidden, a: _row(_cross_conv, a["n"], hidden, {**a, "k": 3})),
    "C3TR": _c3("C3TR", _transformer),
    "C3Ghost": _c3("C3Ghost", lambda hidden, a: _row(_ghost_bottleneck, a["n"], hidden, {})),
    "C3SPP": _c3("C3SPP", lambda hidden, a: _spp(hidden, hidden, a)),
    "DWConvTranspose2d": _depthwise_transposed,
    "nn.ConvTranspose2d": _plain(lambda a: _transposed("ConvTranspose2d", a, a["g"])),
    "nn.Conv2d": _plain(lambda a: _conv2d(a["k"], a["s"], a["p"], a["g"], a["d"])),
    "nn.BatchNorm2d": _plain(lambda a: _norm()),
    "nn.MaxPool2d": _plain(lambda a: _pool(a["k"], a["s"], a["p"])),
    "nn.AvgPool2d": _plain(lambda a: Module("AvgPool2d", _pool(a["k"], a["s"], a["p"]).attributes)),
    "nn.ZeroPad2d": _plain(lambda a: _leaf("ZeroPad2d", padding=_padding(a))),
    "nn.Upsample": _plain(lambda a: _leaf("Upsample", scale_factor=float(a["scale"]), mode=a["mode"])),
    "nn.LeakyReLU": _plain(lambda a: _activation(Activation("LeakyReLU", a["slope"]))),
    **{
        f"nn.{name}": _plain(lambda a, name=name: _activation(Activation(name)))
        for name in ("Identity", "SiLU", "ReLU", "Hardswish")
    },
    "Contract": _plain(lambda a: _leaf("Contract", gain=a["gain"])),
    "Expand": _plain(lambda a: _leaf("Expand", gain=a["gain"])),
    "Concat": _plain(lambda a: _leaf("Concat", d=1)),
}

"""A model configuration brought in line with the modules of a `.pt` file, as far as a model YAML can say it."""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from yolo.errors import ModelError
from yolo.models.activation import Activation
from yolo.models.arguments import REQUIRED
from yolo.models.config import parse_model_config
from yolo.models.parser import parse_network
from yolo.models.rules import RULES
from yolo.models.spec import LayerSpec, NetworkSpec
from yolo.models.weights.agreement import Found, value_of
from yolo.models.weights.modules import EPS, modules_of
from yolo.models.weights.tree import activation_of

_CONV: Final = {"stride": "s", "padding": "p", "dilation": "d", "groups": "g"}
_POOL: Final = {"kernel_size": "k", "stride": "s", "padding": "p"}
_ARGUMENTS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "Conv": ("conv", _CONV),
    "Focus": ("conv.conv", {"stride": "s", "padding": "p", "groups": "g"}),
    "nn.Conv2d": ("", _CONV),
    "nn.MaxPool2d": ("", _POOL),
    "nn.AvgPool2d": ("", _POOL),
    "nn.Upsample": ("", {"scale_factor": "scale", "mode": "mode"}),
    "SPPF": ("m", {"kernel_size": "k"}),
    "Contract": ("", {"gain": "gain"}),
    "Expand": ("", {"gain": "gain"}),
}
"""Per module of a row: where within it, and which attribute is which argument of the row."""
_ACT_PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "Conv": (".act",),
    "DWConv": (".act",),
    "GhostConv": (".cv1.act", ".cv2.act"),
    "Focus": (".conv.act",),
    "BottleneckCSP": (".act",),
}
"""Where the activation stands that a row's argument `act` names."""

_MOST_WORK: Final = 20_000
"""Changes times layers that are tried: each is a network read anew."""


@dataclass(frozen=True)
class Change:
    """A layer, an argument of its row, the value that the file's modules have, and what the YAML builds."""

    layer: LayerSpec
    name: str
    value: Any
    instead_of: Any


def adopt(config: dict[str, Any], found: Found) -> tuple[dict[str, Any], list[str]]:
    """``config`` with what the modules of the file say in its place, and a line for each thing that was taken.

    What cannot be said stays as it was, for `check_modules` to name. ``config`` must describe a network.
    """
    spec, notes = _parsed(config), []
    common = _common_activation(found, spec)
    if common not in (None, spec.activation):
        config = {**config, "activation": str(common)}
        notes.append(f"activation {common} (its YAML: {spec.activation})")
    for change in itertools.islice(_changes(found, _parsed(config)), _MOST_WORK // len(spec.layers)):
        changed = _with_argument(config, change)
        try:
            _parsed(changed)
        except ModelError:
            continue
        config, layer = changed, change.layer
        what = f"{change.name} {change.value} (its YAML: {_plain(change.instead_of)})"
        notes.append(f"in layer {layer.index} ({layer.module}) {what}")
    return config, notes


def scale_norms(state: dict[str, np.ndarray], eps: Mapping[str, float]) -> dict[str, np.ndarray]:
    """A state whose batch norms compute with YOLOv5's eps what they did with their own: γ·√((σ² + 1e-3)/(σ² + eps)).

    Raises ValueError where σ² + eps is not above zero.
    """
    scaled = dict(state)
    for path, value in eps.items():
        variance = state[f"{path}.running_var"].astype(np.float64)
        if not np.all(variance + value > 0):
            raise ValueError(f"batch norm {path} divides by zero")
        factor = np.sqrt((variance + EPS) / (variance + value))
        scaled[f"{path}.weight"] = (state[f"{path}.weight"] * factor).astype(np.float32)
    return scaled


def _parsed(config: Mapping[str, Any]) -> NetworkSpec:
    return parse_network(parse_model_config(config, name="its configuration"))


def _common_activation(found: Found, spec: NetworkSpec) -> Activation | None:
    """The activation of most modules that have the network's; None where none of them is known."""
    places = [path for path, m in modules_of(spec).items() if m.kind == "activation" and m.activation is None]
    kinds = Counter(activation_of(found[path]) for path in places if path in found)
    del kinds[None]
    best = max(kinds.values(), default=0)
    most = [kind for kind, count in kinds.items() if count == best]
    return spec.activation if spec.activation in most else next(iter(most), None)


def _changes(found: Found, spec: NetworkSpec) -> Iterator[Change]:
    expected = modules_of(spec)
    for layer in spec.layers:
        base = f"model.{layer.index}" if layer.repeats == 1 else f"model.{layer.index}.0"
        inner, arguments = _ARGUMENTS.get(layer.module.removeprefix("torch."), ("", {}))
        path = f"{base}.{inner}" if inner else base
        for attribute, name in arguments.items():
            value = value_of(found[path], attribute) if path in found else None
            built = expected[path].attributes[attribute]
            if value is not None and value != built:
                yield Change(layer, name, _plain(value), built)
        inside = [base + suffix for suffix in _ACT_PLACES.get(layer.module, ())]
        kinds = {activation_of(found[path]) for path in inside if path in found}
        built = expected[inside[0]].activation or spec.activation if inside else None
        if len(kinds) == 1 and not kinds & {None, built}:
            yield Change(layer, "act", str(kinds.pop()), built)


def _plain(value: Any) -> Any:
    """As a model YAML writes it: one number for two equal ones, lists for pairs."""
    if isinstance(value, tuple):
        return value[0] if len(set(value)) == 1 else list(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _with_argument(config: dict[str, Any], change: Change) -> dict[str, Any]:
    """A copy of ``config`` whose row has the change."""
    layer = change.layer
    rule = RULES[layer.module.removeprefix("torch.")]
    row = parse_model_config(config, name="its configuration").layers[layer.index]
    position = [parameter.name for parameter in rule.parameters].index(change.name)
    args = list(row.args)
    first = 1 if rule.family in ("conv", "stack") else 0
    for parameter in rule.parameters[len(args) - first : position + 1]:
        args.append(None if parameter.default is REQUIRED else parameter.default)
    args[first + position] = change.value
    changed = copy.deepcopy(config)
    changed[row.section][row.number - 1][3] = args
    return changed

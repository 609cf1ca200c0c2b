"""The module tree of a `.pt` file's model: paths, tensors, and which activation an instance is."""

from __future__ import annotations

from collections.abc import ItemsView, Mapping
from typing import Any, Final

from yolo.models.activation import NAMES, Activation
from yolo.models.weights.rebuild import Instance
from yolo.models.weights.storage import TensorRef

_MAX_ENTRIES: Final = 500_000
_MAX_TENSORS: Final = 100_000
_LONGEST_PATH: Final = 256
"""A small file may name its parts again and again."""
_VALUES: Final = {"LeakyReLU": "negative_slope", "ELU": "alpha"}
_FIXED: Final = {"GELU": {"approximate": "none"}, "ReLU6": {"min_val": 0, "max_val": 6}}
"""Attributes that make another function of an activation; absent in files that are older than they are."""
_SAME: Final = {"Swish": "SiLU", "MemoryEfficientSwish": "SiLU", "MemoryEfficientMish": "Mish"}
_OWN: Final = ("SiLU", "Hardswish", "Mish")
"""Activations that YOLOv5 had of its own, in `utils.activations`, before PyTorch had them."""


def modules_in(model: Instance) -> dict[str, Instance]:
    """Dotted path -> module, parents first, '' for ``model`` itself; raises ValueError for a tree without end."""
    found: dict[str, Instance] = {}
    open_modules: list[tuple[str, Instance]] = [("", model)]
    entries = 0
    while open_modules:
        path, module = open_modules.pop()
        found[path] = module
        children = _items(module, "_modules")
        entries += 1 + len(module.attributes) + len(children)
        if entries > _MAX_ENTRIES:
            raise ValueError("modules without end")
        open_modules += [(_within(path, name), child) for name, child in children if isinstance(child, Instance)]
    return found


def tensors_in(modules: Mapping[str, Instance]) -> dict[str, TensorRef]:
    """State keys -> tensors, as `state_dict` would name them; raises ValueError for tensors without end."""
    found: dict[str, TensorRef] = {}
    entries = 0
    for path, module in modules.items():
        hidden = module.attributes.get("_non_persistent_buffers_set")
        hidden = hidden if isinstance(hidden, set) else ()
        for group in ("_parameters", "_buffers"):
            items = _items(module, group)
            entries += len(items)
            if entries > _MAX_TENSORS:
                raise ValueError("tensors without end")
            for name, tensor in items:
                if isinstance(tensor, TensorRef) and name not in hidden:
                    found[_within(path, name)] = tensor
    return found


def _items(module: Instance, group: str) -> ItemsView[Any, Any]:
    return (module.attributes.get(group) or {}).items()


def _within(path: str, name: Any) -> str:
    """The dotted path of a part; raises ValueError for one that is too long."""
    name = str(name)
    if len(path) + len(name) >= _LONGEST_PATH:
        raise ValueError("names within names without end")
    return f"{path}.{name}" if path else name


def activation_of(module: Instance) -> Activation | None:
    """The activation that an instance is; None where it is none that a model YAML may name."""
    name = module.kind.name
    if is_torch(module):
        known = name in NAMES
    else:
        name = _SAME.get(name, name)
        known = module.kind.module.endswith("utils.activations") and name in _OWN
    fixed = _FIXED.get(name, {})
    if not known or any(module.attributes.get(key, value) != value for key, value in fixed.items()):
        return None
    if name not in _VALUES:
        return Activation(name)
    value = module.attributes.get(_VALUES[name])
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e6:
        return None
    return Activation(name, float(value))


def is_torch(module: Instance) -> bool:
    """Whether its class is one of PyTorch's own modules."""
    return module.kind.module.startswith("torch.nn.modules.")

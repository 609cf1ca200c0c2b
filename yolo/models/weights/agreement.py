"""Whether the modules that a `.pt` file was pickled with compute what its model YAML says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from yolo.errors import WeightsError
from yolo.models.spec import LayerSpec, NetworkSpec
from yolo.models.weights.modules import Module, modules_of, pair
from yolo.models.weights.rebuild import Instance, Method
from yolo.models.weights.storage import TensorRef
from yolo.models.weights.tree import activation_of, is_torch

Found = Mapping[str, Instance]
BLOCKS: Final = ("Conv", "DWConv")
"""What `fuse()` makes shorter: the batch norm goes into the convolution, and `forward` skips it."""
_HINT: Final = "train anew from a model YAML; none can say what this file computes"
_NAMED: Final = 3
_LONGEST: Final = 64
_ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "DWConv": ("DWConv", "Conv"),
    "BatchNorm2d": ("BatchNorm2d", "SyncBatchNorm"),
    "Linear": ("Linear", "NonDynamicallyQuantizableLinear", "_LinearWithBias"),
}
TORCH: Final = (
    *("Conv2d", "ConvTranspose2d", "BatchNorm2d", "MaxPool2d", "AvgPool2d", "ZeroPad2d", "Upsample"),
    *("Linear", "MultiheadAttention", "Sequential", "ModuleList"),
)
_ALWAYS: Final[Mapping[str, Mapping[str, tuple[Any, ...]]]] = {
    "Conv2d": {"padding_mode": ("zeros",), "transposed": (False,)},
    "ConvTranspose2d": {"padding_mode": ("zeros",), "dilation": ((1, 1),)},
    "DWConvTranspose2d": {"padding_mode": ("zeros",), "dilation": ((1, 1),)},
    "BatchNorm2d": {"affine": (True,), "track_running_stats": (True,)},
    "MaxPool2d": {"dilation": ((1, 1),), "ceil_mode": (False,), "return_indices": (False,)},
    "AvgPool2d": {"ceil_mode": (False,), "count_include_pad": (True,), "divisor_override": (None,)},
    "ZeroPad2d": {"value": (0,)},
    "Upsample": {"size": (None,), "align_corners": (None, False), "recompute_scale_factor": (None, False)},
    "MultiheadAttention": {"add_zero_attn": (False,), "batch_first": (False,), "bias_k": (None,), "bias_v": (None,)},
}
"""What these modules never are otherwise in YOLOv5; absent in files that are older than the attribute."""
_PAIRS: Final = ("kernel_size", "stride", "padding", "output_padding", "dilation")
FREE: Final = ("eps", "momentum")
"""Attributes of batch norms that may differ: `norms_in` gives them."""


def check_modules(found: Found, spec: NetworkSpec, strides: Any, where: object) -> None:
    """Compare every module of the file with those of ``spec``.

    ``strides``: Detect's own, None where it has none. Raises WeightsError that names layers, attributes, values found
    and expected.
    """
    differences = list(_differences(found, spec, strides))
    if differences:
        rest = len(differences) - _NAMED
        more = f"; and {rest} more" if rest > 0 else ""
        what = "; ".join(differences[:_NAMED])
        raise WeightsError(f"its modules are not those of its YAML: {what}{more}", where=where, hint=_HINT)


def value_of(module: Instance, name: str) -> Any:
    """An attribute in the form of `Module.attributes`; None where it is absent, a few words where it is not plain."""
    value = module.attributes.get(name)
    if not _is_plain(value):
        return f"a {type(value).__name__}"
    if name == "stride" and value is None and "Pool" in module.kind.name:
        return value_of(module, "kernel_size")
    if name == "scale_factor" and isinstance(value, (list, tuple)) and len(set(value)) == 1:
        return value[0]
    if name == "mode" and value == "nearest-exact":  # the same for whole factors
        return "nearest"
    if name == "d" and value == -3:  # of four axes
        return 1
    if name in _PAIRS and isinstance(value, (int, list, tuple)):
        return pair(value)
    return tuple(value) if isinstance(value, list) else value


def norms_in(found: Found) -> dict[str, tuple[Any, Any]]:
    """Paths of the batch norms -> (eps, momentum)."""
    norms = {path: module for path, module in found.items() if module.kind.name in _ALIASES["BatchNorm2d"]}
    return {path: (module.attributes.get("eps"), module.attributes.get("momentum")) for path, module in norms.items()}


def _differences(found: Found, spec: NetworkSpec, strides: Any) -> Iterator[str]:
    expected = modules_of(spec)
    for path, module in expected.items():
        parent = path.rpartition(".")[0]
        if path in found:
            yield from _module(path, found[path], module, spec)
            yield from _forward(path, found, module)
        elif parent in found and not _is_folded(path, found, expected[parent]):
            yield f"{path} is absent, its YAML builds {_shown(module, spec)}"
    for path, module in found.items():
        if path and path not in expected and path.rpartition(".")[0] in ("", *expected):
            yield f"{path} is {describe(module)}, its YAML builds nothing there"
    for layer in spec.layers:
        yield from _sources(layer, found)
    if strides is not None and tuple(strides) != spec.strides:
        yield f"model.{len(spec.layers) - 1}: stride is {_text(tuple(strides))}, its YAML builds {spec.strides}"


def _module(path: str, found: Instance, module: Module, spec: NetworkSpec) -> Iterator[str]:
    if module.kind == "activation":
        if activation_of(found) != (module.activation or spec.activation):
            yield f"{path} is {describe(found)}, its YAML builds {_shown(module, spec)}"
        return
    names = _ALIASES.get(module.kind, (module.kind,))
    if found.kind.name not in names or (is_torch(found) != (module.kind in TORCH)):
        yield f"{path} is {describe(found)}, its YAML builds {module.kind}"
        return
    for name, value in module.attributes.items():
        if name not in FREE and value_of(found, name) != value:
            yield f"{path}: {name} is {_text(value_of(found, name))}, its YAML builds {value}"
    for name, values in _ALWAYS.get(module.kind, {}).items():
        if name in found.attributes and value_of(found, name) not in values:
            yield f"{path}: {name} is {_text(value_of(found, name))}, its YAML builds {values[0]}"


def _forward(path: str, found: Found, module: Module) -> Iterator[str]:
    """Whatever takes the place of the class's own way forward."""
    attributes = found[path].attributes
    for hooks in ("_forward_pre_hooks", "_forward_hooks"):
        if attributes.get(hooks):
            yield f"{path}: {hooks} holds {len(attributes[hooks])}, its YAML builds none"
    bound = {name: value for name, value in attributes.items() if isinstance(value, Method) or name == "forward"}
    for name, value in bound.items():
        own = isinstance(value, Method) and value.owner is found[path] and name == "forward"
        shorter = own and module.kind in BLOCKS and f"{path}.bn" not in found
        if not (own and value.name == "forward") and not shorter:
            yield f"{path}: {name} is {_text(value)}, its YAML builds the class's own"


def _is_folded(path: str, found: Found, parent: Module) -> bool:
    """Whether a batch norm is absent because `fuse()` folded it into a convolution, which has a bias then."""
    block, _, name = path.rpartition(".")
    conv = found.get(f"{block}.conv")
    if name != "bn" or parent.kind not in BLOCKS or conv is None:
        return False
    return isinstance((conv.attributes.get("_parameters") or {}).get("bias"), TensorRef)


def _sources(layer: LayerSpec, found: Found) -> Iterator[str]:
    path = f"model.{layer.index}"
    written = found[path].attributes.get("f") if path in found else None
    if written is None:
        return
    sources = written if isinstance(written, (list, tuple)) and len(written) <= _LONGEST else [written]
    whole = [s + layer.index if type(s) is int and s < 0 < layer.index else s for s in sources]
    if len(whole) != len(layer.sources) or any(a != b for a, b in zip(whole, layer.sources)):
        yield f"{path}: f (layers it reads) is {_text(whole)}, its YAML builds {list(layer.sources)}"


def describe(module: Instance) -> str:
    """A module of the file in a few words."""
    activation = activation_of(module)
    if activation is not None:
        return str(activation)
    kind = module.kind.name if is_torch(module) else str(module.kind)
    numbers = [f"{name}={_text(value)}" for name, value in module.attributes.items() if name in ("approximate", "beta")]
    return f"{kind[:80]}({', '.join(numbers)[:40]})"


def _shown(module: Module, spec: NetworkSpec) -> str:
    return str(module.activation or spec.activation) if module.kind == "activation" else module.kind


def _is_plain(value: Any) -> bool:
    """A scalar or a short list of them: what is nested may take time without end to compare, hash or print."""
    items = value if isinstance(value, (list, tuple)) else [value]
    return len(items) <= _LONGEST and all(isinstance(item, (str, int, float, type(None))) for item in items)


def _text(value: Any) -> str:
    if isinstance(value, Method):
        return f"{value.owner.kind.name}.{value.name}"
    if isinstance(value, (str, int, float, type(None))):
        return str(value)[:60]
    if isinstance(value, (list, tuple)) and len(value) <= 8 and all(type(item) in (int, float) for item in value):
        return str(value)[:60]
    return f"a {type(value).__name__}"

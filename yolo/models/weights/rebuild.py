"""The names a weights file may hold, and what each becomes: plain data, tensors to be, or an inert instance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from yolo.models.weights.storage import STORAGE_TYPES, Storage, TensorRef

INERT_PREFIXES: Final = (
    "models.",
    "utils.",
    "torch.nn.modules.",
    "torch.optim.",
    "yolov5.models.",
    "yolov5.utils.",
)
METHODS: Final = ("forward", "forward_fuse", "fuseforward")
_NUMPY_KINDS: Final = frozenset(["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])
_SCALARS: Final = (str, int, float, bytes, type(None))
_MOST_KEY: Final = 1 << 60
_LONGEST_NAME: Final = 256


class ForbiddenError(Exception):
    """A file asks for something outside the admitted names; the text names it."""


@dataclass(frozen=True)
class Global:
    """A name from the file, `module.name`; never looked up in any module."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False, slots=True)
class Instance:
    """An object of a foreign class: its class's name, its arguments and its state, all as data."""

    kind: Global
    arguments: tuple[Any, ...] = ()
    state: Any = None

    @property
    def attributes(self) -> Mapping[str, Any]:
        """The state where it is a mapping, else nothing."""
        return self.state if isinstance(self.state, dict) else {}


@dataclass(frozen=True, eq=False)
class Method:
    """A method bound to an object of the file, as `fuse()` leaves it in `forward`: whose, and its name."""

    owner: Instance
    name: str


def is_key(value: Any) -> bool:
    """Whether a dict or set may have it: a scalar. Hashing nested tuples takes time without end, and whole numbers
    beyond this size can be chosen to have one hash."""
    return isinstance(value, _SCALARS) and not (isinstance(value, int) and not -_MOST_KEY < value < _MOST_KEY)


def check_name(module: str, name: str) -> Global:
    """``module.name`` as inert data; raises ForbiddenError unless it is an admitted name."""
    full = f"{module[:_LONGEST_NAME]}.{name[:_LONGEST_NAME]}"
    if len(full) > _LONGEST_NAME:
        raise ForbiddenError(f"a name of {len(module) + 1 + len(name)} letters ({full[:80]!r}…)")
    plain = "." not in name and all(map(str.isidentifier, full.split(".")))
    if plain and (full in _REBUILDERS or _is_inert(module, name)):
        return Global(module, name)
    raise ForbiddenError(f"the name {full[:120]!r}")


def rebuild(kind: Global, arguments: tuple[Any, ...]) -> Any:
    """The value of an admitted name applied to arguments; raises ForbiddenError when they do not fit."""
    rebuilder = _REBUILDERS.get(str(kind))
    if rebuilder is None:
        return Instance(kind, arguments)
    try:
        return rebuilder(kind, *arguments)
    except (TypeError, ValueError) as error:
        raise ForbiddenError(f"{kind} with arguments that do not fit ({error})") from None


def _is_inert(module: str, name: str) -> bool:
    storage = module in ("torch", "torch.storage") and name in STORAGE_TYPES
    dtype = module == "torch" and name in _TORCH_CONSTANTS
    return storage or dtype or module.startswith(INERT_PREFIXES)


def _tensor(kind: Global, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> TensorRef:
    if not isinstance(storage, Storage):
        raise ValueError("no storage")
    return TensorRef.checked(storage, offset, size, stride)


def _parameter(kind: Global, data: Any, *rest: Any) -> TensorRef:
    if not isinstance(data, TensorRef):
        raise ValueError("no tensor")
    return data


def _method(kind: Global, owner: Any, name: Any) -> Method:
    """What pickle writes for a bound method: `getattr(owner, name)`; nothing is looked up."""
    if not isinstance(owner, Instance) or not isinstance(name, str) or name not in METHODS:
        raise ValueError("no forward method of a module")
    return Method(owner, name)


def _mapping(kind: Global, items: Any = ()) -> dict[Any, Any]:
    if isinstance(items, dict):
        return dict(items)
    pairs = _sequence(items)
    if not all(isinstance(item, (list, tuple)) and len(item) == 2 and is_key(item[0]) for item in pairs):
        raise ValueError("not pairs of a scalar key and a value")
    return dict(pairs)


def _set(kind: Global, items: Any = ()) -> set[Any]:
    if not all(is_key(item) for item in _sequence(items)):
        raise ValueError("not scalars")
    return set(items)


def _sequence(items: Any) -> list[Any] | tuple[Any, ...] | set[Any]:
    if not isinstance(items, (list, tuple, set)):
        raise ValueError("not a list")
    return items


def _path(kind: Global, *parts: Any) -> str:
    if not all(isinstance(part, str) for part in parts):
        raise ValueError("not text")
    return "/".join(parts).replace("//", "/")


def _latin_bytes(kind: Global, text: Any, encoding: Any = "latin1") -> bytes:
    """What protocol 2 writes for bytes: `_codecs.encode(text, 'latin1')`."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("not latin1 text")
    return text.encode("latin1")


def _dtype(kind: Global, code: Any, *rest: Any) -> Instance:
    if not isinstance(code, str) or code not in _NUMPY_KINDS:  # hashing nested tuples recurses without end
        raise ValueError("no plain numeric type")
    return Instance(kind, (code,))


def _scalar(kind: Global, dtype: Any, raw: Any) -> Any:
    array = np.frombuffer(raw, _numpy_type(dtype), count=1)
    return array[0].item()


def _inert(kind: Global, *arguments: Any) -> Instance:
    return Instance(kind, arguments)


def _numpy_type(dtype: Any) -> np.dtype:
    if not isinstance(dtype, Instance) or str(dtype.kind) != "numpy.dtype":
        raise ValueError("no numeric type")
    state = dtype.state
    order = state[1] if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">") else "<"
    return np.dtype(dtype.arguments[0]).newbyteorder(order)


_TORCH_CONSTANTS: Final = frozenset(
    (
        *("float16", "float32", "float64", "bfloat16", "bool"),
        *("int8", "int16", "int32", "int64", "uint8"),
        *("strided", "contiguous_format", "channels_last", "preserve_format"),
    )
)

_REBUILDERS: Final[Mapping[str, Callable[..., Any]]] = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.Size": lambda kind, sizes=(): tuple(_sequence(sizes)),
    "torch.device": _inert,
    "collections.OrderedDict": _mapping,
    "collections.defaultdict": lambda kind, *factory: {},
    "_codecs.encode": _latin_bytes,
    **{f"{module}.getattr": _method for module in ("__builtin__", "builtins")},
    **{f"{module}.set": _set for module in ("__builtin__", "builtins")},
    **{f"{module}.frozenset": _set for module in ("__builtin__", "builtins")},
    **{f"pathlib.{name}": _path for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")},
    **{f"{module}.multiarray._reconstruct": _inert for module in ("numpy.core", "numpy._core")},
    **{f"{module}.multiarray.scalar": _scalar for module in ("numpy.core", "numpy._core")},
    "numpy.ndarray": _inert,
    "numpy.dtype": _dtype,
}

"""Kinds of layer arguments in a model YAML: what each admits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from yolo.models.activation import IDENTITY, Activation, parse_activation
from yolo.models.config import show

REQUIRED: Final = object()
_WORDS: Final = {"None": None, "True": True, "False": False}


@dataclass(frozen=True)
class Parameter:
    """A named argument: ``check`` gives the value to use or raises ValueError."""

    name: str
    check: Callable[[Any], Any]
    default: Any = REQUIRED


def bind(parameters: tuple[Parameter, ...], values: list[Any]) -> dict[str, Any]:
    """Positional ``values`` under their names, defaults filled in; raises ValueError in one line."""
    required = sum(parameter.default is REQUIRED for parameter in parameters)
    if not required <= len(values) <= len(parameters):
        names = ", ".join(parameter.name for parameter in parameters) or "none"
        raise ValueError(f"{len(values)} arguments; it takes {required} to {len(parameters)} ({names})")
    bound = {parameter.name: parameter.default for parameter in parameters}
    for parameter, value in zip(parameters, values):
        word = _WORDS.get(value, value) if isinstance(value, str) else value
        try:
            bound[parameter.name] = parameter.check(word)
        except ValueError as error:
            raise ValueError(f"argument {parameter.name}: {error}") from None
    return bound


def whole(low: int, high: int) -> Callable[[Any], int]:
    """A whole number in ``low..high``; 2.0 counts as one."""

    def check(value: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{show(value)} is not a whole number in {low}..{high}")
        return value

    return check


def whole_or_pair(low: int, high: int) -> Callable[[Any], int | tuple[int, int]]:
    """A whole number, or `[height, width]` of two."""
    single = whole(low, high)

    def check(value: Any) -> int | tuple[int, int]:
        if isinstance(value, (list, tuple)):
            if len(value) != 2:
                raise ValueError(f"{show(value)} is not a number or a pair")
            return single(value[0]), single(value[1])
        return single(value)

    return check


def optional(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """``check``, or None."""
    return lambda value: None if value is None else check(value)


def odd(value: Any) -> int:
    """An odd kernel side, which keeps the size at stride 1."""
    if whole(1, 255)(value) % 2 == 0:
        raise ValueError(f"{show(value)} is not odd")
    return int(value)


def odd_list(value: Any) -> tuple[int, ...]:
    """A list of odd kernel sides."""
    if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= 16:
        raise ValueError(f"{show(value)} is not a list of kernel sides")
    return tuple(odd(side) for side in value)


def flag(value: Any) -> bool:
    """True, False, 0 or 1."""
    if value not in (0, 1):
        raise ValueError(f"{show(value)} is not True or False")
    return bool(value)


def ratio(value: Any) -> float:
    """A channel ratio in (0, 16]."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 16:
        raise ValueError(f"{show(value)} is not a number in (0, 16]")
    return float(value)


def number(value: Any) -> float:
    """A finite number, such as a slope."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e6:
        raise ValueError(f"{show(value)} is not a number")
    return float(value)


def activation(value: Any) -> Activation | None:
    """True for the network's default (None here), False or None for identity, or an activation's name."""
    if value in (True, 1):
        return None
    if value is None or value in (False, 0):
        return IDENTITY
    if not isinstance(value, str):
        raise ValueError(f"{show(value)} is not an activation")
    return parse_activation(value)


def one_of(*words: str) -> Callable[[Any], str]:
    """One of a few words."""

    def check(value: Any) -> str:
        if value not in words:
            raise ValueError(f"{show(value)} is none of {', '.join(words)}")
        return str(value)

    return check


def padding4(value: Any) -> tuple[int, int, int, int]:
    """One padding, or `[left, right, top, bottom]`, in cells."""
    single = whole(0, 255)
    if isinstance(value, (list, tuple)):
        if len(value) != 4:
            raise ValueError(f"{show(value)} is not four paddings")
        left, right, top, bottom = (single(side) for side in value)
        return left, right, top, bottom
    return (single(value),) * 4

"""Activations as a model YAML names them (`nn.LeakyReLU(0.1)`), read by a grammar and not by `eval`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_CALL: Final = re.compile(r"^(?:torch\.)?(?:nn\.)?([A-Za-z][A-Za-z0-9]*)\s*(?:\(([^()]*)\))?$")
_PARAMETER: Final = {"LeakyReLU": 0.01, "ELU": 1.0}
_PLAIN: Final = ("SiLU", "ReLU", "ReLU6", "Hardswish", "Mish", "GELU", "Sigmoid", "Tanh", "Identity")
NAMES: Final = (*_PARAMETER, *_PLAIN)
"""All that a model YAML may name."""


@dataclass(frozen=True)
class Activation:
    """One activation: its `nn` class name and its number (slope or alpha) where it has one."""

    name: str = "SiLU"
    value: float | None = None

    def __str__(self) -> str:
        return f"nn.{self.name}({'' if self.value is None else self.value})"


IDENTITY: Final = Activation("Identity")


def parse_activation(text: str) -> Activation:
    """Read `nn.SiLU()`, `nn.LeakyReLU(0.1)`, `LeakyReLU(negative_slope=0.1, inplace=True)`.

    Raises ValueError with a line that says what is known.
    """
    match = _CALL.match(text.strip()[:200])
    name = match.group(1) if match else ""
    if not match or (name not in _PARAMETER and name not in _PLAIN):
        known = ", ".join(sorted((*_PARAMETER, *_PLAIN)))
        raise ValueError(f"unknown activation {text[:60]!r}; known: {known}")
    numbers = [_number(part, text) for part in _parts(match.group(2))]
    if name in _PLAIN:
        if numbers:
            raise ValueError(f"activation {name} takes no number: {text[:60]!r}")
        return Activation(name)
    if len(numbers) > 1:
        raise ValueError(f"activation {name} takes one number: {text[:60]!r}")
    return Activation(name, numbers[0] if numbers else _PARAMETER[name])


def _parts(arguments: str | None) -> list[str]:
    """The positional or named numbers; `inplace=…` changes no result and is dropped."""
    parts = [part.strip() for part in (arguments or "").split(",")]
    return [part for part in parts if part and not part.replace(" ", "").startswith("inplace=")]


def _number(part: str, text: str) -> float:
    value = re.sub(r"^(negative_slope|alpha)\s*=\s*", "", part)
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?", value):
        raise ValueError(f"activation argument {part[:40]!r} in {text[:60]!r} is not a number")
    return float(value)

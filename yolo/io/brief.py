"""Values as messages show them: short, whatever they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def brief(value: Any, most: int = 80) -> str:
    """``value`` as a message shows it: its ``repr`` in at most ``most`` characters. No more of it is looked at."""
    text = ""
    for piece in _pieces(value, most):
        text += piece
        if len(text) > most:
            return f"{text[: most - 1]}…"
    return text


def _pieces(value: Any, most: int) -> Iterator[str]:
    """``repr`` bit by bit. Whoever stops soon sees the beginning of what is huge, nested or endless."""
    if isinstance(value, str | bytes):
        yield repr(value[: most + 1])
    elif isinstance(value, dict):
        yield "{"
        for number, (key, one) in enumerate(value.items()):
            yield ", " if number else ""
            yield from _pieces(key, most)
            yield ": "
            yield from _pieces(one, most)
        yield "}"
    elif isinstance(value, list | tuple | set | frozenset):
        begin, end = {list: "[]", tuple: "()"}.get(type(value), "{}")
        yield begin
        for number, one in enumerate(value):
            yield ", " if number else ""
            yield from _pieces(one, most)
        yield end
    else:
        try:
            yield repr(value)
        except Exception:  # an integer of thousands of digits; an object of the caller's
            yield f"a huge {type(value).__name__}"

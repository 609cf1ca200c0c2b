"""Any value in a few letters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from yolo.io.brief import brief


class _Endless(list):
    """A list that nobody should go through to its end."""

    seen = 0

    def __iter__(self) -> Iterator[int]:
        while True:
            self.seen += 1
            yield self.seen


class _Broken:
    def __repr__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("text", "'text'"),
        (None, "None"),
        (1.5, "1.5"),
        ([1, "a", [True]], "[1, 'a', [True]]"),
        ((1, 2), "(1, 2)"),
        ({"a": {1: None}}, "{'a': {1: None}}"),
        ("x" * 10**6, "'" + "x" * 78 + "…"),
        (_Broken(), "a huge _Broken"),
    ],
)
def test_brief(value: object, shown: str) -> None:
    assert brief(value) == shown and len(shown) <= 80


def test_brief_of_a_number_that_python_does_not_show() -> None:
    assert brief(10**5000) == "a huge int" and brief([10**5000]) == "[a huge int]"


def test_brief_looks_at_the_beginning_alone() -> None:
    endless, circle = _Endless(), []
    circle.append(circle)
    assert len(brief(endless)) == len(brief({1: [endless]})) == 80 and endless.seen < 80
    assert brief(circle, 10) == "[" * 9 + "…"

"""docs/security.md names a test for each of its sentences: they must be there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


def test_every_test_that_the_page_names_is_there() -> None:
    absent = [
        f"{path}::{name}"
        for path, name in NAMED
        if not (ROOT / path).is_file() or f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8")
    ]
    assert not absent
    assert len(NAMED) > 40


def test_what_is_checked_has_a_test() -> None:
    """Each sentence of these parts; what is not protected says so."""
    parts = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    checked = [part for part in parts if part.startswith(("Files from", "Ranks and", "The server", "In your"))]
    assert len(checked) == 4
    for line in (line for part in checked for line in part.splitlines() if line.startswith("- ")):
        assert "::" in line or line.startswith("- **Not protected:**"), line

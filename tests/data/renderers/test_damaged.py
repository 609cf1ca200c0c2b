"""Damaged JPEG files: the native renderer reads them, or leaves them to OpenCV, and never crashes."""

from __future__ import annotations

import pytest

from tests.program.mutants.attempt import attempted, attempted_under_address_sanitizer


def test_some_damaged_files() -> None:
    found = attempted("jpegs", 0, 1000)
    assert found["ran"] >= 100 and found["refused"] >= 100
    assert found["megabytes"] < 100


@pytest.mark.stress
def test_thousands_of_damaged_files_under_address_sanitizer() -> None:
    found = attempted_under_address_sanitizer("jpegs", 1, 6000)
    assert found["ran"] >= 1000 and found["refused"] >= 1000

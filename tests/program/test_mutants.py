"""Compiled files, and executors' plans, changed where it means something: each is refused in one line, or runs."""

from __future__ import annotations

import pytest

from tests.program.mutants.attempt import attempted, attempted_under_address_sanitizer

SEEDS = (0, 1, 2)
KINDS = ("files", "plans", "training")


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_mutants(kind: str) -> None:
    # How many plans hold still depends on this processor's channel block.
    found = attempted(kind, 0, 250)
    assert found["ran"] >= 10 and found["refused"] >= 40
    assert found["megabytes"] < 400


@pytest.mark.stress
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_mutants_under_address_sanitizer(kind: str, seed: int) -> None:
    # One in ten of the changed training plans holds still: of all kinds 200 are to run.
    found = attempted_under_address_sanitizer(kind, seed, 3000 if kind == "training" else 2000)
    assert found["ran"] >= 200 and found["refused"] >= 500

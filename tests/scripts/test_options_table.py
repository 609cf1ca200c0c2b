"""docs/options.md names every option with its test, and is what the configs and tests say."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from scripts import options_table
from yolo.config.options import option


@pytest.fixture(scope="module")
def known() -> options_table.Coverage:
    return options_table.coverage()


def test_every_option_has_a_test(known: options_table.Coverage) -> None:
    assert options_table.uncovered(known) == []


def test_the_file_is_up_to_date(known: options_table.Coverage) -> None:
    assert options_table.TABLE.read_text(encoding="utf-8") == options_table.table(known)


def test_every_test_that_is_named_exists(known: options_table.Coverage) -> None:
    for place in known.values():
        file, _, name = place.partition("::")
        assert f"def {name}(" in (options_table.ROOT / file).read_text(encoding="utf-8"), place


@dataclasses.dataclass(frozen=True)
class Sample:
    """A sample."""

    size: int = option(3, "this | that", aliases=("--side",))
    kind: str = option("", "which", choices=("a", "b"))
    maybe: str = option("", "perhaps", bare="some")


@pytest.fixture
def sample(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> options_table.Coverage:
    monkeypatch.setattr(options_table, "configs", lambda: {"sample": Sample})
    lines = ("import pytest", '@pytest.mark.covers("sample", "size", "gone")', "def test_it(): ...", "class A: ...")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_a.py").write_text("\n".join(lines))
    return options_table.coverage(tmp_path / "tests")


def test_what_is_missing_is_said(sample: options_table.Coverage) -> None:
    assert options_table.uncovered(sample) == [
        "sample kind: no test covers it",
        "sample maybe: no test covers it",
        "tests/test_a.py::test_it covers gone of sample: no such option",
    ]


def test_a_row_says_names_default_meaning_and_test(sample: options_table.Coverage) -> None:
    rows = [line for line in options_table.table(sample).splitlines() if line.startswith("| `")]
    assert rows == [
        "| `--size` `--side` | `3` | this \\| that | `tests/test_a.py::test_it` |",
        "| `--kind` | `none` | which; one of a, b | `` |",
        "| `--maybe` | `none` | perhaps; given alone: some | `` |",
    ]

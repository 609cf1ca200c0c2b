"""A command called in this process, in an empty folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]


def in_folder(
    folder: Path,
    main: Callable[[list[str]], int],
    base: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Run:
    """Go there; give what runs the command with ``base`` and more, for its exit code, stdout and stderr."""
    monkeypatch.chdir(folder)
    # The command's handler keeps the stderr it was made with; each test has its own.
    logger = logging.getLogger("yolo")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)

    def call(*argv: str) -> tuple[int, str, str]:
        code = main([*base, *argv])
        return code, *capfd.readouterr()

    return call

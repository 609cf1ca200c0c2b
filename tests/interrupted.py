"""A command that Ctrl-C reaches in the middle of its frames."""

from __future__ import annotations

import signal

import pytest

from yolo.inference import frame_run


def interrupt_after(monkeypatch: pytest.MonkeyPatch, frames: int) -> None:
    """Ctrl-C when so many frames were looked at."""
    line, seen = frame_run._line, []

    def noticed(*given: object) -> str:
        seen.append(1)
        if len(seen) == frames:
            signal.raise_signal(signal.SIGINT)
        return line(*given)

    monkeypatch.setattr(frame_run, "_line", noticed)

"""What the benchmark of faults makes of a run's words and files."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.rank_faults import advised, named, state_of

DIED = "subprocess.CalledProcessError: Command '['python']' died with <Signals.SIGKILL: 9>."


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("yolo: rank 1 (host 77) is gone: its connection closed; rank 0 ends, as all ranks do.", "ranks"),
        ("yolo: rank 1 (host 77) has said nothing for 30 s: stopped, or cut off; rank 0 ends", "ranks"),
        ("yolo: rank 1 (host 77): OSError: [Errno 28] No space left on device; rank 1 ends", "ranks"),
        ("yolo: rank 0 is told to end while it still waits for rank 1. Start", "ranks"),
        ("yolo: rank 0 is told to end while it still waits for rank 1, 2. Start", "ranks"),
        ("yolo.train: ranks: of 4 ranks these did not connect within 45 s: 1, 3; start all", "ranks"),
        ("yolo.train: ranks: rank 0 lost its connection to rank 1; start all ranks", "ranks"),
        (DIED, "launcher"),
        ("yolo: rank 0 (host 77) is gone: its connection closed; rank 1 ends, as all ranks do.", ""),
        ("yolo: rank 11 (host 77) is gone: its connection closed; rank 0 ends", ""),
        ("yolo: rank 0 is told to end while it still waits for rank 2. Start", ""),
        ("rank 1 has written rank 1 somewhere", ""),
        ("", ""),
    ],
)
def test_who_names_the_rank(text: str, who: str) -> None:
    assert named("a line before\n" + text + "\na line behind", 1) == who


def test_advice_depends_on_whether_there_is_a_checkpoint() -> None:
    resume, again = "start again with --resume runs/exp", "Start the command again."
    assert advised(resume, began=True) and advised(again, began=False)
    assert not advised(again, began=True) and not advised(DIED, began=False) and not advised("", began=False)


def test_the_newest_checkpoint(tmp_path: Path) -> None:
    last = tmp_path / "last.safetensors"
    assert state_of(last) == "none yet"
    last.write_bytes(b"half of o")
    assert state_of(last) == "broken"

"""Takes the place of a pinned training: writes the profile of a rank that was never trained."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

STEP = {"data": 10.0, "backward": 100.0, "update": 20.0, "agreement": 5.0, "step": 130.0}
"""Milliseconds."""


def profile(
    rank: int = 0, *, steps: int = 4, own: float = 80.0, own_update: float = 15.0, **instead: float
) -> Mapping[str, Any]:
    """A profile whose first step takes a hundred times as long; ``own``: milliseconds of the operators."""
    events: list[dict[str, Any]] = [{"name": "process_name", "ph": "M", "pid": rank, "args": {"name": "rank"}}]
    for step in range(steps):
        for name, length in {**STEP, **instead}.items():
            args = {"epoch": 0, "step": step + (name == "agreement")}
            args |= {"backward": {"computing": own / 1e3}, "update": {"computing": own_update / 1e3}}.get(name, {})
            events.append({"name": name, "dur": 1e3 * length * (1 if step else 100), "args": args})
    events.append({"name": "data", "dur": 7e9, "args": {"epoch": 1, "step": 1}})
    times = {"waiting": 1.0 + rank, "compiling": 9.0, "training": 5.0, "validating": 2.0 + rank, "pictures": 8}
    about = {"rank": rank, "began": 1000.0 + rank, "peak_rss_mb": 500.0 + rank, "epochs": [{"times": times}]}
    return {"traceEvents": events, "otherData": about}


def main(pins: str, *words: str) -> int:
    """--weights says what goes wrong: ``refused``, ``slow`` or ``silent``, which writes nothing."""
    fault = words[words.index("--weights") + 1]
    if fault == "refused":
        print("a line\nyolo.train: --data: there is none\nanother line", file=sys.stderr)
        return 2
    if fault == "slow":
        time.sleep(60)
    folder = Path(words[words.index("--project") + 1]) / words[words.index("--name") + 1] / "profile"
    if fault != "silent":
        folder.mkdir(parents=True)
        (folder / "rank0.json").write_text(json.dumps(profile()))
        (folder / "words.json").write_text(json.dumps([pins, *words]))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

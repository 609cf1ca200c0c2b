"""What a loader did, in words and in JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

from yolo.data.stages import PipelineReport


class Loading(Protocol):
    """What is asked of a loader, about its newest epoch: see ``yolo.data.loader``."""

    def report(self) -> PipelineReport | None: ...

    def rendered(self) -> dict[str, int]: ...


def loading_json(loader: Loading) -> dict[str, Any] | None:
    """``loader`` of a command's JSON: the share of the time (0 to 1) that the newest epoch waited for data, the
    bottleneck, the mean of finished batches that were waiting, and how many samples each renderer made."""
    report = loader.report()
    if report is None:
        return None
    return {
        "waiting_share": round(report.waiting_share, 4),
        "bottleneck": report.bottleneck,
        "queued": round(report.queued, 2),
        "ahead": report.ahead,
        "rendered": loader.rendered(),
    }


def says_rendered(*counts: Mapping[str, int]) -> str:
    """One human-readable line where more than one renderer made samples, else nothing."""
    total = sum(map(Counter, counts), Counter())
    if len(total) < 2:
        return ""
    return f"samples rendered: {', '.join(f'{count} by {name}' for name, count in total.items())}"

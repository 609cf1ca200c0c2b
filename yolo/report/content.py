"""What a report is made of, as plain data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from yolo.metrics import DetectionMetrics
from yolo.metrics.confusion import ConfusionMatrix


@dataclasses.dataclass(frozen=True)
class EpochRow:
    """An epoch's values under the names of ``results.csv``, and its times by the names of ``EpochTimes``."""

    epoch: int
    values: Mapping[str, float]
    times: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Layer:
    """A line of the model's table."""

    index: int
    source: str
    module: str
    channels: int
    parameters: int


@dataclasses.dataclass(frozen=True, eq=False)
class RunContent:
    """Everything that the page shows.

    state: ``training``, ``finished``, ``stopped`` or ``broke off``; note: a sentence on it. settings: group -> rows of
    name, value, and whether it is what the user chose rather than the default. facts: of the machine and versions.
    metrics and confusion: of the best epoch so far, None before there is one.
    """

    name: str
    state: str
    note: str
    epochs: int
    rows: Sequence[EpochRow]
    best_epoch: int
    names: Sequence[str]
    metrics: DetectionMetrics | None
    confusion: ConfusionMatrix | None
    speed_ms: Mapping[str, float]
    command: str
    settings: Mapping[str, Sequence[tuple[str, Any, bool]]]
    facts: Sequence[tuple[str, str]]
    summary: str
    layers: Sequence[Layer]
    images: Sequence[Path]

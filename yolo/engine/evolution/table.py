"""The record of a search: ``evolve.csv``, a line a generation, and ``hyp_evolve.yaml``, the best of them."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import yaml

from yolo.engine.run_files import COLUMNS
from yolo.errors import ConfigError
from yolo.io.files import write_text_atomic

METRICS = COLUMNS[4:11]
"""What a generation is recorded with, YOLOv5's columns: P, R, mAP50, mAP50-95 and the validation losses."""


class EvolutionTable:
    """``evolve.csv``: the metrics of each generation, then its hyperparameters.

    A line is there whole or not at all: what a killed process left of one is cut off when the table is opened.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        """Raises ConfigError for a file that has other columns or something else than numbers in them."""
        self.path, self.names = path, tuple(names)
        self.columns = METRICS + self.names
        self.rows: list[dict[str, float]] = []
        if path.exists():
            self._read()

    def __len__(self) -> int:
        return len(self.rows)

    def append(self, metrics: Sequence[float], values: dict[str, float]) -> None:
        """Write a generation down; it is on disk when this returns."""
        row = [*metrics, *(values[name] for name in self.names)]
        lines = [] if self.path.exists() and self.path.stat().st_size else [_line(self.columns)]
        text = "".join([*lines, _line([f"{value:.5g}" for value in row])])
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, text.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.rows.append(dict(zip(self.columns, (float(f"{value:.5g}") for value in row))))

    def fitness(self) -> list[float]:
        """Of each generation: 0.1·mAP50 + 0.9·mAP50-95, 0 where that is no number."""
        scores = [0.1 * row["metrics/mAP_0.5"] + 0.9 * row["metrics/mAP_0.5:0.95"] for row in self.rows]
        return [score if math.isfinite(score) else 0.0 for score in scores]

    def best(self) -> int:
        """The fittest generation's number, from 0; the first of several."""
        fitness = self.fitness()
        return fitness.index(max(fitness))

    def values(self, generation: int) -> dict[str, float]:
        """Its hyperparameters."""
        return {name: self.rows[generation][name] for name in self.names}

    def write_best(self, path: Path) -> None:
        """``hyp_evolve.yaml``: a recipe, with a comment that says what it reached."""
        best = self.best()
        metrics = [self.rows[best][name] for name in METRICS]
        head = [
            "YOLOv5 Hyperparameter Evolution Results",
            f"Best generation: {best}",
            f"Last generation: {len(self) - 1}",
            ", ".join(f"{name:>20}" for name in METRICS),
            ", ".join(f"{value:>20.5g}" for value in metrics),
        ]
        comment = "".join(f"# {line}\n" for line in head)
        write_text_atomic(path, f"{comment}\n{yaml.safe_dump(self.values(best), sort_keys=False)}")

    def _read(self) -> None:
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        header, *lines = [line.split(",") for line in whole.decode("utf-8", "replace").splitlines()] or [[]]
        header = [name.strip() for name in header]
        if header and header != list(self.columns):
            raise ConfigError(
                "its columns are not those of this search", where=self.path, hint="give this search another --name"
            )
        try:
            self.rows = [dict(zip(self.columns, map(float, line), strict=True)) for line in lines]
        except ValueError as error:
            raise ConfigError(f"is not a table of numbers ({error})", where=self.path) from error
        if whole != content:
            os.truncate(self.path, len(whole))


def _line(cells: Sequence[str]) -> str:
    return ",".join(f"{cell:>20}" for cell in cells) + "\n"

"""One generation of a search: a training of its own, as a process."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol

from yolo.config.commands import TrainConfig
from yolo.config.hyp import Hyperparameters, save_hyperparameters
from yolo.config.options import to_argv
from yolo.engine.child import start_child, stop_child
from yolo.engine.evolution.table import METRICS
from yolo.errors import DivergedError, YoloError


class GenerationError(YoloError):
    """A training that came to no result. ``diverged``: because of its hyperparameters."""

    diverged = False


class Generation(Protocol):
    """A training under way."""

    def poll(self) -> tuple[float, ...] | None:
        """Its metrics when it is done, None before; raises GenerationError when it failed."""

    def stop(self) -> None:
        """End it, done or not, and take away what it wrote."""


class TrainingProcess:
    """A ``yolo.train`` process with hyperparameters of its own that validates once, at its end."""

    def __init__(
        self, config: TrainConfig, folder: Path, values: Mapping[str, float], cores: Collection[int] | None = None
    ) -> None:
        """``folder`` is made for it, and taken away with ``stop``."""
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        save_hyperparameters(Hyperparameters(**values), folder / "hyp.yaml")
        with open(folder / "log.txt", "wb") as log:
            self._process = start_child("yolo.train", to_argv(self._options(config)), stderr=log, cores=cores)

    def poll(self) -> tuple[float, ...] | None:
        code = self._process.poll()
        if code is None:
            return None
        if code:
            raise self._failure(code)
        from yolo.plots.results import read_results

        table = read_results(self.folder / "run/results.csv")
        return tuple(float(table[name][-1]) for name in METRICS)

    def stop(self) -> None:
        stop_child(self._process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _options(self, config: TrainConfig) -> TrainConfig:
        place = {"project": str(self.folder), "name": "run", "exist_ok": True, "hyp": str(self.folder / "hyp.yaml")}
        once = {"evolve": 0, "parallel": 1, "noval": True, "nosave": True, "noplots": True, "save_period": -1}
        quiet = {"json": False, "resume": "", "bucket": "", "loggers": (), "upload_dataset": ""}
        return dataclasses.replace(config, **place, **once, **quiet)

    def _failure(self, code: int) -> GenerationError:
        lines = (self.folder / "log.txt").read_text(encoding="utf-8", errors="replace").splitlines()
        said = lines[-1].removeprefix("yolo.train: ") if lines else "it said nothing"
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        itself = code in (YoloError.code, DivergedError.code)  # it has said what is wrong
        error = GenerationError(said if itself else f"the training process failed ({how}): {said}")
        error.diverged = code == DivergedError.code
        return error

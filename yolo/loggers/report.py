"""``report.html``: the run as one page, written now and then while it trains and when it ends, however it ends."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import logging
import platform
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolo import __version__, runtime
from yolo.config.commands import TrainConfig
from yolo.config.hyp import Hyperparameters
from yolo.engine.hooks.base import EpochReport, Hook, Training
from yolo.errors import Interrupted
from yolo.io.files import write_text_atomic
from yolo.loggers.results_csv import epoch_values
from yolo.plots.results import read_results
from yolo.report.content import EpochRow, Layer, RunContent
from yolo.report.images import images_of
from yolo.report.page import page, read_epochs
from yolo.report.sections import MATRIX_CLASSES

if TYPE_CHECKING:
    from yolo.engine.validator import Validation

logger = logging.getLogger("yolo")

PAUSE = 20.0
"""Seconds between two reports of a running training, so that they cost next to nothing."""
PACKAGES = ("oneflow", "numpy", "opencv-python-headless", "onednn-cpu-gomp")


class Report(Hook):
    """Writes ``report.html``. A resumed run shows all its epochs: values come from ``results.csv``, times from the
    earlier report, which may lack the last ones."""

    def __init__(self, run: Path, config: TrainConfig, device: str) -> None:
        self.file, self._run, self._config, self._device = run / "report.html", run, config, device
        self._rows: list[EpochRow] = []
        self._best: Validation | None = None
        self._begin = datetime.datetime.now()
        self._written = 0.0
        self._summary, self._layers = "", ()

    def before_train(self, trainer: Training) -> None:
        from yolo.models.summary import describe

        network = trainer.parts.network
        self._summary = describe(network, trainer.parts.imgsz)
        self._layers = tuple(_layer(spec, module) for spec, module in zip(network.spec.layers, network.model))
        done = trainer.progress.epoch
        self._rows = earlier_epochs(self._run, done) if done else []

    def after_epoch(self, trainer: Training, report: EpochReport) -> None:
        self._rows.append(EpochRow(report.epoch, epoch_values(report), dataclasses.asdict(report.times)))
        if report.best:
            self._best = report.validation
        if time.perf_counter() - self._written > PAUSE:
            self._write(trainer, "training", f"Epoch {report.epoch + 1} of {trainer.schedule.epochs} is done.")

    def after_run(self, trainer: Training, validation: Validation) -> None:
        self._best = validation
        done, asked = trainer.progress.epoch, trainer.schedule.epochs
        early = f", {asked - done} fewer than asked for: stopped early, no improvement" if done < asked else ""
        self._write(trainer, "finished", f"{done} epochs{early}.")
        logger.info("report: %s", self.file)

    def on_error(self, trainer: Training, error: BaseException) -> None:
        if not self._rows:
            return
        if isinstance(error, Interrupted):
            line = str(error)
            self._write(trainer, "stopped", f"{line[:1].upper()}{line[1:]}.")
        else:
            reason = f"{type(error).__name__}: {error}".rstrip(": ")
            self._write(trainer, "broke off", f"Training broke off after epoch {trainer.progress.epoch} ({reason}).")

    def _write(self, trainer: Training, state: str, note: str) -> None:
        when = f"{self._begin:%Y-%m-%d %H:%M}"
        content = RunContent(
            name=self._run.name,
            state=state,
            note=f"{note} Started {when}, data {Path(self._config.data).stem}, {self._device}.",
            epochs=trainer.schedule.epochs,
            rows=self._rows,
            best_epoch=trainer.progress.best_epoch,
            names=trainer.parts.names,
            metrics=self._best.metrics if self._best else None,
            confusion=self._best.confusion if self._best else None,
            speed_ms=self._best.speed_ms if self._best else {},
            command=command_of(self._config),
            settings={
                "Options": _against(self._config, TrainConfig()),
                "Hyperparameters": _against(trainer.parts.hyp, Hyperparameters()),
            },
            facts=_facts(self._device),
            summary=self._summary,
            layers=self._layers,
            images=images_of(self._run, matrix=len(trainer.parts.names) > MATRIX_CLASSES),
        )
        write_text_atomic(self.file, page(content))
        self._written = time.perf_counter()


def earlier_epochs(run: Path, done: int) -> list[EpochRow]:
    """The first ``done`` epochs of the run in ``run``."""
    table = read_results(run / "results.csv")
    times = {row.epoch: row.times for row in read_epochs(run / "report.html")}
    return [
        EpochRow(
            int(epoch), {name: float(table[name][at]) for name in table if name != "epoch"}, times.get(int(epoch), {})
        )
        for at, epoch in enumerate(table["epoch"][:done])
    ]


def command_of(config: TrainConfig) -> str:
    """The shortest command that means ``config``."""
    words = ["python", "-m", "yolo.train"]
    for name, value, own in _against(config, TrainConfig()):
        if not own:
            continue
        words.append(f"--{name.replace('_', '-')}")
        if not isinstance(value, bool):
            words += [str(one) for one in (value if isinstance(value, tuple) else (value,))]
    return shlex.join(words)


def _against(values: Any, usual: Any) -> list[tuple[str, Any, bool]]:
    """Name, value, and whether it differs from the default, of each field."""
    fields = [field.name for field in dataclasses.fields(values)]
    return [(name, getattr(values, name), getattr(values, name) != getattr(usual, name)) for name in fields]


def _layer(spec: Any, module: Any) -> Layer:
    sources = ", ".join("image" if source < 0 else str(source) for source in spec.sources)
    kind = spec.module + (f" × {spec.repeats}" if spec.repeats > 1 else "")
    return Layer(spec.index, sources, kind, spec.out_channels, sum(p.numel() for p in module.parameters()))


def _facts(device: str) -> list[tuple[str, str]]:
    facts = [("Machine", runtime.machine()), ("Device", device), ("System", platform.platform())]
    facts += [("Python", platform.python_version()), ("yolo", __version__)]
    for package in PACKAGES:
        try:
            facts.append((package, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return facts

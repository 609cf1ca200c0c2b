"""``--profile``: where the time of a run goes, as a trace that chrome://tracing and Perfetto show."""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from pathlib import Path
from typing import Any

from yolo.distributed.ranks import ALONE, Ranks
from yolo.engine.hooks.base import EpochReport, Hook, Training
from yolo.engine.memory import peak_memory, used_gpu_memory
from yolo.engine.tracer import Span, Trace
from yolo.io.files import write_text_atomic

logger = logging.getLogger("yolo")

MOST_SPANS = 20_000
"""In one file: some 3 MB, written anew after every epoch."""
_GRAPHS = ("backward", "update")


class Profile(Hook):
    """Writes ``profile/rank<N>.json`` after each epoch and when training ends, however it ends.

    It holds the first ``steps`` spans of each kind in an epoch, at most ``MOST_SPANS`` in all, and the sums of all of
    them; a span's step is the number of those done when it began. Ranks of one machine have one clock. The last of the
    hooks, so that it sees what the others take. A resumed run writes ``rank<N>-from-<step>.json``. A file that cannot
    be written costs a warning, not the run.
    """

    def __init__(self, run: Path, steps: int, ranks: Ranks = ALONE) -> None:
        self.file = run / f"profile/rank{ranks.rank}.json"
        self._ranks = ranks
        self._trace = Trace(self._place, self._measured, each=steps, most=MOST_SPANS)
        self._epochs: list[dict[str, Any]] = []
        self._trainer: Training | None = None
        self._compiled, self._began = 0.0, 0.0
        self._offset = time.time() - time.perf_counter()

    def before_train(self, trainer: Training) -> None:
        self._trainer, self._began, self._compiled = trainer, time.time(), trainer.compile_seconds()
        if trainer.progress.step:
            self.file = self.file.with_name(f"{self.file.stem}-from-{trainer.progress.step}.json")
        trainer.tracer = trainer.parts.validator.tracer = self._trace

    def after_epoch(self, trainer: Training, report: EpochReport) -> None:
        self._end_epoch(report.epoch, dataclasses.asdict(report.times))

    def after_train(self, trainer: Training) -> None:
        self._write()

    def on_error(self, trainer: Training, error: BaseException) -> None:
        if self._trainer is not None:
            self._end_epoch(trainer.progress.epoch, dataclasses.asdict(trainer.clock.times()))

    def _place(self) -> dict[str, int]:
        """Where training stands."""
        progress = self._trainer.progress
        return {"epoch": progress.epoch, "step": progress.step}

    def _measured(self, name: str) -> dict[str, float]:
        """The seconds in a graph's own operator, and those that compiling took."""
        trainer, about = self._trainer, {}
        if name in _GRAPHS:
            about["computing"] = trainer.parts.step.computed
        compiled = trainer.compile_seconds()
        if compiled > self._compiled:
            about["compiling"], self._compiled = compiled - self._compiled, compiled
        return about

    def _end_epoch(self, epoch: int, times: dict[str, float]) -> None:
        sums = {name: dataclasses.asdict(sums) for name, sums in self._trace.take_sums().items()}
        loader = self._trainer.parts.loader.report()
        self._epochs.append({"epoch": epoch, "times": times, "spans": sums, "loader": loader and loader.to_json()})
        self._write()

    def _write(self) -> None:
        rank, count = self._ranks.rank, self._ranks.count
        title = {"name": "process_name", "ph": "M", "pid": rank, "args": {"name": f"rank {rank} of {count}"}}
        about = {
            "rank": rank,
            "ranks": count,
            "began": self._began,
            "peak_rss_mb": peak_memory() / 2**20,
            **self._gpu_memory(),
            "spans_left_out": self._trace.left_out,
            "epochs": self._epochs,
        }
        events = [title, *(self._event(span) for span in self._trace.spans)]
        text = json.dumps({"traceEvents": events, "displayTimeUnit": "ms", "otherData": about})
        try:
            write_text_atomic(self.file, text)
        except OSError as error:
            logger.warning("no profile: %s: %s", self.file, error.strerror)

    def _gpu_memory(self) -> dict[str, float]:
        """What is held on this rank's GPU, where it has one."""
        device = self._trainer.parts.validator.runner.device
        if not device.startswith("cuda"):
            return {}
        try:
            return {"gpu_memory_mb": used_gpu_memory(int(device.rpartition(":")[2])) / 2**20}
        except OSError as error:
            logger.warning("no GPU memory in the profile: %s", error)
            return {}

    def _event(self, span: Span) -> dict[str, Any]:
        """A complete event: microseconds since 1970."""
        begin, length = (span.begin + self._offset) * 1e6, span.seconds * 1e6
        args = {name: round(value, 6) for name, value in span.about.items()}
        return {
            "name": span.name,
            "ph": "X",
            "pid": self._ranks.rank,
            "tid": 0,
            "ts": begin,
            "dur": length,
            "args": args,
        }

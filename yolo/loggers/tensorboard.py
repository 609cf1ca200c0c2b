"""TensorBoard events: the numbers of ``results.csv``, under the same names."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from yolo.engine.hooks.base import EpochReport, Hook, Training
from yolo.loggers.results_csv import epoch_values


class TensorBoard(Hook):
    """Writes an event file into the run's folder; look at it with ``tensorboard --logdir runs/train``.

    tensorboardX's SummaryWriter gives events to a thread, and its ``flush`` (2.6.5) does not wait for that: a run that
    was killed behind its checkpoint lacked numbers of an epoch that is not made again. So its file is written here.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        self._writer = None

    def before_train(self, trainer: Training) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import SessionLog

        progress = trainer.progress
        # TensorBoard is told to forget what an earlier file says of the epochs that come now; a file's own name is of
        # the second in which it was made, and a run may be stopped and resumed within it.
        suffix = f".{progress.step:08}" if progress.step else ""
        self._writer = EventsWriter(str(self._run / "events"), suffix)
        self._write(progress.epoch, session_log=SessionLog(status=SessionLog.START))

    def after_epoch(self, trainer: Training, report: EpochReport) -> None:
        from tensorboardX.summary import scalar

        for name, value in epoch_values(report).items():
            if math.isfinite(value):  # else it was not measured
                self._write(report.epoch, summary=scalar(name, value))
        self._writer.flush()

    def on_error(self, trainer: Training, error: BaseException) -> None:
        self._close()

    def after_train(self, trainer: Training) -> None:
        self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, epoch: int, **content: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._writer.write_event(Event(wall_time=time.time(), step=epoch, **content))

"""A trainer and reports of its epochs, as loggers see them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from yolo.data.batch import Batch
from yolo.data.stages import PipelineReport
from yolo.engine.clock import EpochClock, EpochTimes
from yolo.engine.hooks.base import EpochReport
from yolo.engine.trainer import Progress


class Loader(list):
    """Three batches, about which there is this to say."""

    def __init__(self) -> None:
        super().__init__([None] * 3)
        self.report = lambda: PipelineReport(10.0, 1.0, {"plan": 0.5, "render": 8.0})
        self.rendered = lambda: {"A": 8}


def trainer(epochs: int = 3, batches: int = 2):
    step = SimpleNamespace(compile_seconds=1.5)
    validator = SimpleNamespace(runner=SimpleNamespace(compile_seconds=0.25), loader=Loader())
    loader = Loader()
    parts = SimpleNamespace(step=step, validator=validator, loader=loader, names=("cat", "dog"))
    schedule = SimpleNamespace(epochs=epochs, batches=batches)
    return SimpleNamespace(
        parts=parts,
        schedule=schedule,
        progress=Progress(),
        compile_seconds=lambda: 1.75,
        clock=EpochClock(lambda: 1.75),
        hours=None,
        stale=False,
        patience=0,
    )


def validation(losses=(0.1, 0.2, 0.3)):
    metrics = SimpleNamespace(precision=0.5, recall=0.25, map50=0.75, map50_95=0.125, fitness=0.2)
    return SimpleNamespace(metrics=metrics, losses=losses)


def report(epoch: int, **instead) -> EpochReport:
    usual = dict(losses=(0.04, 0.03, 0.02), rates=(0.1, 0.01, 0.01), validation=validation(), best=False, seconds=12.34)
    usual["times"] = EpochTimes(waiting=2.0, compiling=1.75, training=6.0, validating=2.5, pictures=40)
    return EpochReport(epoch, **{**usual, **instead})


def batch(labels: int = 3) -> Batch:
    rows = (np.zeros((labels, 5), np.float32), np.zeros((1, 5), np.float32))
    return Batch(np.zeros((2, 3, 48, 64), np.uint8), rows, np.arange(2), ())


def train(hooks, trainer, reports, batches: int = 2) -> None:
    """Call the hooks as a training run does."""
    for hook in hooks:
        hook.before_train(trainer)
        for one in reports:
            hook.before_epoch(trainer, one.epoch)
            for number in range(batches):
                next(trainer.clock.watch([batch()]))
                hook.after_step(trainer, one.epoch * batches + number, batch(), np.full(3, 0.5 + number, np.float32))
            watcher = hook.watch_validation(trainer, one.epoch)
            for _ in range(3 if watcher else 0):
                watcher(batch(), [])
            trainer.progress.epoch = one.epoch + 1
            hook.after_epoch(trainer, one)
        hook.after_train(trainer)

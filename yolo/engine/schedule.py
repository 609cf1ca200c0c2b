"""When the weights move and how fast: warm-up, learning rates, momentum, accumulation."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from graphs.update import Rates
from yolo.config.hyp import Hyperparameters

EMA_DECAY, EMA_TAU = 0.9999, 2000.0
LEAST_WARMUP_STEPS = 100


@dataclasses.dataclass(frozen=True)
class Schedule:
    """YOLOv5's schedule as a pure function of the step (batches seen so far, over all epochs).

    batches: steps an epoch; nominal_batch: gradients are added up to about this many images (64).
    """

    hyp: Hyperparameters
    epochs: int
    batches: int
    batch_size: int
    nominal_batch: int = 64
    cosine: bool = False
    warms_momentum: bool = True

    @property
    def warmup_steps(self) -> int:
        return max(round(self.hyp.warmup_epochs * self.batches), LEAST_WARMUP_STEPS)

    @property
    def weight_decay(self) -> float:
        """The decay scaled to the images that really make one update."""
        accumulate = max(round(self.nominal_batch / self.batch_size), 1)
        return self.hyp.weight_decay * self.batch_size * accumulate / self.nominal_batch

    def factor(self, epoch: int) -> float:
        """The learning rate of an epoch as a share of lr0: a line, or half a cosine, from 1 to lrf."""
        if self.cosine:
            return (1 - math.cos(epoch * math.pi / self.epochs)) / 2 * (self.hyp.lrf - 1) + 1
        return (1 - epoch / self.epochs) * (1.0 - self.hyp.lrf) + self.hyp.lrf

    def accumulate(self, step: int) -> int:
        """How many batches make one update at this step."""
        final = self.nominal_batch / self.batch_size
        if step <= self.warmup_steps:
            return max(1, round(float(np.interp(step, (0, self.warmup_steps), (1, final)))))
        return max(1, round(final))

    def rates(self, step: int, update: int) -> Rates:
        """The numbers of update number ``update`` (from 1), taken after step ``step``."""
        hyp = self.hyp
        rate = hyp.lr0 * self.factor(step // self.batches)
        bias, momentum = rate, hyp.momentum
        if step <= self.warmup_steps:
            span = (0, self.warmup_steps)
            bias = float(np.interp(step, span, (hyp.warmup_bias_lr, rate)))
            if self.warms_momentum:
                momentum = float(np.interp(step, span, (hyp.warmup_momentum, hyp.momentum)))
            rate = float(np.interp(step, span, (0.0, rate)))
        return Rates(bias, rate, rate, momentum, ema_decay(update), update)


def ema_decay(update: int) -> float:
    """The EMA's decay at update number ``update``: short memory at first, long later."""
    return EMA_DECAY * (1 - math.exp(-update / EMA_TAU))

"""What every contender of the training benchmark does in a step; needs no framework."""

from __future__ import annotations

import dataclasses

from yolo.config.hyp import Hyperparameters, load_hyperparameters

HYP = "hyp.scratch-low.yaml"
BALANCE = (4.0, 1.0, 0.4)
"""Weight of the objectness loss, for three levels from the finest."""
MAX_NORM = 10.0
EMA_DECAY = 0.999


@dataclasses.dataclass(frozen=True)
class Recipe:
    """SGD with Nesterov momentum at a fixed rate; ``hyp``'s gains are scaled to the network and the image size."""

    hyp: Hyperparameters
    rate: float
    momentum: float
    weight_decay: float

    @classmethod
    def of(cls, classes: int, size: int) -> Recipe:
        """The usual recipe for images of ``size`` pixels, at a rate that many steps on one batch can bear."""
        hyp = load_hyperparameters(HYP)
        scaled = hyp.scaled(levels=len(BALANCE), classes=classes, imgsz=size)
        return cls(scaled, hyp.lr0 / 10, hyp.momentum, hyp.weight_decay)

"""What the detection loss must be told; needs neither OneFlow nor compiled code."""

from __future__ import annotations

import dataclasses

from yolo.config.hyp import Hyperparameters

# Weight of the objectness loss per level, from the finest (YOLOv5).
BALANCE = {3: (4.0, 1.0, 0.4)}
BALANCE_OTHER = (4.0, 1.0, 0.25, 0.06, 0.02)


@dataclasses.dataclass(frozen=True)
class LossSettings:
    """What the loss needs to know of a network and a recipe. Gains are already scaled."""

    box: float
    obj: float
    cls: float
    cls_pw: float
    obj_pw: float
    anchor_t: float
    fl_gamma: float
    label_smoothing: float
    balance: tuple[float, ...]

    @classmethod
    def of(cls, hyp: Hyperparameters, levels: int, label_smoothing: float = 0.0) -> LossSettings:
        """Take the loss values of a recipe whose gains were scaled (``Hyperparameters.scaled``)."""
        return cls(
            box=hyp.box,
            obj=hyp.obj,
            cls=hyp.cls,
            cls_pw=hyp.cls_pw,
            obj_pw=hyp.obj_pw,
            anchor_t=hyp.anchor_t,
            fl_gamma=hyp.fl_gamma,
            label_smoothing=label_smoothing,
            balance=BALANCE.get(levels, BALANCE_OTHER)[:levels],
        )

    def times(self, factor: float) -> LossSettings:
        """The settings of a loss that is ``factor`` times as large."""
        return dataclasses.replace(self, box=self.box * factor, obj=self.obj * factor, cls=self.cls * factor)

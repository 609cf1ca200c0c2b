"""One step of training on flat vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from yolo.ops._native import native


def update_parameters(
    values: np.ndarray,
    gradient: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    ema: np.ndarray,
    rates: np.ndarray,
    *,
    optimizer: str,
    group_sizes: Sequence[int],
    weight_decay: float,
) -> float:
    """Clip the gradient to a norm of 10, take one step, move the EMA, empty the gradient; give the norm before that.

    All float32 and changed in place. ``values`` and ``ema`` are ``[size]``: parameters in the order bias, weight, norm
    (``group_sizes`` counts them), then statistics, which only the EMA follows. ``gradient`` and ``first`` (momentum or
    first moment) are ``[parameter_size]``, ``second`` too, but ``[1]`` with SGD. ``rates`` are the seven of
    ``graphs.update.Rates``: learning rates of the groups, momentum, the EMA's decay, 1 - momentum^step and
    1 - 0.999^step.

    ``optimizer`` is SGD (Nesterov), Adam or AdamW, with PyTorch's formulas; ``weight_decay`` holds for weights alone.
    The norm is summed in double; where it is NaN every parameter becomes NaN, where it is infinite those whose gradient
    is. The numbers are the same in every run and for any number of threads.

    Raises ValueError, naming the argument, for a wrong shape, type or range, for arrays that cannot be written in place
    and for arrays that share memory; nothing is written then.
    """
    groups = [int(size) for size in group_sizes]
    return native.update_parameters(
        values, gradient, first, second, ema, rates, str(optimizer), groups, float(weight_decay)
    )

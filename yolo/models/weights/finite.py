"""Weights that a network can compute with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from yolo.errors import WeightsError
from yolo.models.weights.modules import EPS

_NAMED: Final = 3
_HINT: Final = "give an earlier checkpoint: with this one nothing would be found"


def check_finite(tensors: Mapping[str, np.ndarray], where: object) -> None:
    """Raise WeightsError, naming the tensors, where one holds NaN or infinity, or a batch norm a variance below zero.

    A network with any of them detects nothing, without an error.
    """
    _refuse([name for name, values in tensors.items() if not is_finite(values)], "NaN or infinity", where)
    variances = {name: values for name, values in tensors.items() if name.endswith(".running_var")}
    _refuse([n for n, values in variances.items() if not (values > -EPS).all()], "variances below zero", where)


def is_finite(values: np.ndarray) -> bool:
    """Whether no number is NaN or infinity; whole numbers never are."""
    if values.dtype.kind not in "fc":
        return True
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(values.sum()):  # half the time of looking at each; a sum that is not may just be large
            return True
    return bool(np.isfinite(values).all())


def _refuse(names: list[str], what: str, where: object) -> None:
    if names:
        listed = ", ".join(name[:100] for name in names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
        raise WeightsError(f"{len(names)} of its tensors hold {what}: {listed}", where=where, hint=_HINT)

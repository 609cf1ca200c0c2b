"""What a weights file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from yolo.errors import ModelError, WeightsError
from yolo.models.config import parse_model_config
from yolo.models.parser import parse_network
from yolo.models.spec import NetworkSpec


@dataclass
class Checkpoint:
    """A network's state with what is needed to build it, and optionally the state of its training."""

    model: dict[str, np.ndarray]
    """`model.<layer>.…` -> float32 (counters: int64)."""
    config: dict[str, Any]
    """The model YAML as a mapping, `nc` as trained."""
    names: tuple[str, ...]
    strides: tuple[int, ...]
    training: dict[str, np.ndarray] | None = None
    """Optimizer, EMA, random state, counters, by the trainer's own names."""
    meta: dict[str, Any] = field(default_factory=dict)
    """Free JSON: epoch, date, fitness, origin, …"""

    @cached_property
    def spec(self) -> NetworkSpec:
        """The layers that the configuration describes."""
        return parse_network(parse_model_config(self.config, name="the checkpoint's configuration"))

    @property
    def anchors(self) -> np.ndarray:
        """float32 ``[nl, na, 2]`` in pixels: those of the state, which holds them divided by the strides.

        A trained network's are others than its configuration's.
        """
        cells = self.model[f"model.{len(self.spec.layers) - 1}.anchors"].astype(np.float32)
        levels = np.array(self.strides, np.float32).reshape(-1, 1, 1)
        return cells.reshape(len(self.strides), -1, 2) * levels


def checked(
    model: dict[str, np.ndarray],
    config: Mapping[str, Any],
    names: object,
    *,
    training: dict[str, np.ndarray] | None = None,
    meta: Mapping[str, Any] | None = None,
    where: object,
) -> Checkpoint:
    """A Checkpoint whose configuration was shown to describe a network; raises WeightsError for another.

    ``names``: a list, or a dict from class index; classes without a name get their number.
    """
    try:
        spec = parse_network(parse_model_config(config, name="its configuration"))
    except ModelError as error:
        raise WeightsError(str(error), where=where) from None
    held = sum(values.size for values in model.values())
    if sum(layer.least_weights for layer in spec.layers) > held:
        raise WeightsError(f"holds {held} numbers, fewer weights than its configuration describes", where=where)
    return Checkpoint(model, dict(config), _names(names, spec.nc), spec.strides, training, dict(meta or {}))


def _names(names: object, nc: int) -> tuple[str, ...]:
    if isinstance(names, Mapping):
        found = {str(index): name for index, name in names.items()}
    else:
        found = {str(i): name for i, name in enumerate(names if isinstance(names, (list, tuple)) else ())}
    given = (found.get(str(index)) for index in range(nc))
    return tuple(str(index) if name is None or not str(name).strip() else str(name) for index, name in enumerate(given))

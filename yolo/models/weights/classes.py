"""The classes of a checkpoint's head in another order."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from yolo.class_names import ClassNames, class_channels, class_order
from yolo.models.weights.checkpoint import Checkpoint


def in_order_of(checkpoint: Checkpoint, wanted: ClassNames | None, where: object) -> Checkpoint:
    """``checkpoint`` with its classes numbered as in ``wanted``, where both know the same; see ``class_order``."""
    order = None if wanted is None else class_order(checkpoint.names, wanted, where)
    return checkpoint if order is None else reorder_classes(checkpoint, order)


def reorder_classes(checkpoint: Checkpoint, order: Sequence[int]) -> Checkpoint:
    """Class i of the result is class ``order[i]`` of ``checkpoint``; the state of its training is left out."""
    head, model = f"model.{len(checkpoint.spec.layers) - 1}.m.", dict(checkpoint.model)
    for name, values in checkpoint.model.items():
        if name.startswith(head):
            model[name] = values[class_channels(len(values), order)]
    names = tuple(checkpoint.names[number] for number in order)
    return dataclasses.replace(checkpoint, model=model, names=names, training=None)

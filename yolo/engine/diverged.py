"""A run whose numbers are no longer finite stops at once, and says where and with which images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from yolo.data.batch import Batch
from yolo.errors import DivergedError

if TYPE_CHECKING:
    from yolo.engine.hooks.base import Training

NAMED_IMAGES = 16
NAMED_TENSORS = 4


def check_loss(parts: np.ndarray, batch: Batch, trainer: Training) -> None:
    """Raise DivergedError unless ``parts`` (loss, box, obj, cls) are finite; no weight has moved by this batch yet."""
    if not np.isfinite(parts).all():
        raise _diverged(f"the loss is {parts[0]}", batch, trainer)


def check_norm(norm: float, batch: Batch, trainer: Training) -> None:
    """Raise DivergedError unless the gradient's norm is finite; the weights in memory are lost, those on disk not."""
    if not np.isfinite(norm):
        raise _diverged(f"the gradient's norm is {norm}", batch, trainer)


def check_tensors(tensors: Mapping[str, np.ndarray], trainer: Training) -> None:
    """Raise DivergedError unless all that a checkpoint would hold is finite, on the first rank; all ranks call it."""
    bad = [name for name, array in tensors.items() if not np.isfinite(array).all()]
    if not trainer.agreement.first(len(bad)):
        return
    named = ", ".join([*bad[:NAMED_TENSORS], *["…"] * (len(bad) > NAMED_TENSORS)])
    progress = trainer.progress
    where = f"after epoch {progress.epoch}" + (f", batch {progress.batch}" if progress.batch else "")
    raise DivergedError(
        f"{len(bad)} of {len(tensors)} tensors are not finite {where} ({named}): nothing is saved; {_saved(trainer)}",
        hint="lower lr0 in the hyperparameters",
    )


def _diverged(what: str, batch: Batch, trainer: Training) -> DivergedError:
    progress = trainer.progress
    where = f"epoch {progress.epoch + 1}, batch {progress.batch + 1} of {trainer.schedule.batches}"
    return DivergedError(
        f"{what} at {where} ({_images(batch)}); {_saved(trainer)}",
        hint="lower lr0 in the hyperparameters, or look at these images' labels",
    )


def _saved(trainer: Training) -> str:
    return f"the last good checkpoint is {trainer.saved}" if trainer.saved else "no checkpoint was saved yet"


def _images(batch: Batch) -> str:
    """The batch's images: full paths, the folder once where it is the same for all."""
    folders = {path.parent for path in batch.paths}
    shown = [path.name if len(folders) == 1 else str(path) for path in batch.paths[:NAMED_IMAGES]]
    more = ["…"] if len(batch.paths) > NAMED_IMAGES else []
    place = f" in {folders.pop()}" if len(folders) == 1 else ""
    return f"images{place}: {', '.join(shown + more)}"

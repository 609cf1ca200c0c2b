"""The one small interface to experiment trackers (W&B, MLflow, ClearML, Comet), and what they are told about a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolo.data.records import Index


@dataclasses.dataclass(frozen=True)
class RunInfo:
    """What a tracker knows of a run at its start. options and hyp: values by name; names: of the classes."""

    folder: Path
    project: str
    options: Mapping[str, Any]
    hyp: Mapping[str, float]
    names: tuple[str, ...]
    splits: Mapping[str, Index]
    dataset: str
    online: bool


@dataclasses.dataclass(frozen=True, eq=False)
class FoundObjects:
    """An image of the validation (RGB uint8 ``[H, W, 3]``) and what was found in it.

    rows: float32 ``[n, 6]``: x1, y1, x2, y2 in the image's pixels, confidence, class.
    """

    name: str
    image: NDArray[np.uint8]
    rows: NDArray[np.float32]


class Service:
    """One tracker. Each gets its library as a module, so that nothing is imported that nobody asked for.

    Whatever a library raises is the hook's business (``yolo.loggers.tracking``).
    """

    name = ""

    def __init__(self, library: Any) -> None:
        self.library = library

    def start(self, info: RunInfo, identity: str | None) -> str | None:
        """Open the run, or the earlier one called ``identity`` again; give its identity for a resumed run."""
        raise NotImplementedError

    def numbers(self, values: Mapping[str, float], epoch: int) -> None:
        """An epoch's finite values under the names of ``results.csv``."""
        raise NotImplementedError

    def images(self, files: Sequence[Path], epoch: int) -> None:
        """The run's plots and annotated batches, as files."""
        raise NotImplementedError

    def weights(self, file: Path, aliases: Sequence[str], epoch: int) -> None:
        """A checkpoint; aliases: what it is, such as best, latest, epoch 9."""
        raise NotImplementedError

    def found(self, objects: Sequence[FoundObjects], epoch: int) -> None:
        """Some images of a validation with what was found. Only W&B shows boxes of its own; others take no note."""

    def finish(self, failed: bool) -> str | None:
        """Close the run; give a line that says where its records are or how to send them, or None."""
        raise NotImplementedError


def plain_name(name: str) -> str:
    """A metric's name without a colon, which some trackers refuse: ``metrics/mAP_0.5_0.95``."""
    return name.replace(":", "_")

"""mAP of an exported file beside that of this project's own program, on the same images."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

from yolo.class_names import ClassNames, class_order
from yolo.data.dataset import Dataset
from yolo.data.index import Index, index_split
from yolo.data.loader import val_loader
from yolo.data.records import renumbered
from yolo.engine.int8_cost import MOST_IMAGES, some_images
from yolo.engine.validator import Validation, Validator, validation_settings
from yolo.errors import ConfigError
from yolo.formats.foreign import ForeignRunner
from yolo.formats.portable import DETECTIONS, Layout, Portable
from yolo.formats.runtimes import Runtime
from yolo.inference.models import program_model
from yolo.inference.runner import Runner

BATCH = 8
TOLERANCE = 5e-3
"""Of mAP50 and of mAP50-95: what detections of nearly equal scores, in another order, change on few images."""

logger = logging.getLogger("yolo")


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """(mAP50, mAP50-95) of this project's program and of the file, on so many images."""

    ours: tuple[float, float]
    theirs: tuple[float, float]
    images: int

    @property
    def equal(self) -> bool:
        return all(abs(a - b) <= TOLERANCE for a, b in zip(self.ours, self.theirs))

    def to_json(self) -> dict[str, Any]:
        """The figures of a verdict."""
        map50, map50_95 = ({"ours": a, "theirs": b} for a, b in zip(self.ours, self.theirs))
        return {"map50": map50, "map50_95": map50_95, "map_tolerance": TOLERANCE, "map_images": self.images}


def measure(portable: Portable, layout: Layout, run: Runtime, dataset: Dataset) -> Accuracy | None:
    """mAP of both on up to 256 images of the val split, evenly spread; None, said why, where its classes are others.

    With the suppression of a validation; with the file's own, where it has one.
    """
    if dataset.nc != portable.spec.nc:
        logger.warning("mAP is not measured: %s has other classes than the weights", dataset.source)
        return None
    try:
        order = class_order(dataset.names, ClassNames(portable.checkpoint.names, "the weights"), dataset.source)
    except ConfigError as error:
        logger.warning("mAP is not measured: %s", error)
        return None
    index = some_images(index_split(dataset, "val"), MOST_IMAGES)
    index = index if order is None else renumbered(index, order)
    settings = layout.settings if layout.output == DETECTIONS else validation_settings()
    ours = program_model(portable.weights, portable.program).runner(settings)
    theirs = ForeignRunner(run, portable, layout, settings)
    found = [_validation(runner, index, portable, layout) for runner in (ours, theirs)]
    figures = [(part.metrics.map50, part.metrics.map50_95) for part in found]
    return Accuracy(figures[0], figures[1], found[0].images)


def _validation(runner: Runner, index: Index, portable: Portable, layout: Layout) -> Validation:
    shape = {"rect": layout.dynamic, "size": layout.size, "stride": max(portable.spec.strides)}
    batch = BATCH if layout.dynamic else layout.batch
    loader = val_loader(index, imgsz=max(layout.size), batch_size=batch, workers=0, **shape)
    return Validator(runner, loader, portable.spec.nc).run()

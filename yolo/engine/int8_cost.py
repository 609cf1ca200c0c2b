"""What int8 costs in accuracy, measured beside fp32 on the same images."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import numpy as np

from yolo.class_names import ClassNames, class_order
from yolo.data.dataset import Dataset
from yolo.data.index import Index, index_split
from yolo.data.loader import val_loader
from yolo.data.records import renumbered
from yolo.engine.validator import Validation, Validator, validation_settings
from yolo.inference.models import program_model
from yolo.program.file import ProgramFile

MOST_IMAGES: Final = 256
BATCH: Final = 8


@dataclasses.dataclass(frozen=True)
class Int8Cost:
    """mAP50-95 in fp32 and in int8 on so many images."""

    fp32: float
    int8: float
    images: int

    @classmethod
    def of(cls, fp32: Validation, int8: Validation) -> Int8Cost:
        """From two validations of the same images."""
        return cls(fp32.metrics.map50_95, int8.metrics.map50_95, int8.images)

    def __str__(self) -> str:
        return (
            f"mAP50-95 on {self.images} images: {self.fp32:.4f} in fp32, {self.int8:.4f} in int8; "
            f"int8 costs {self.fp32 - self.int8:.4f}"
        )

    def to_json(self) -> dict[str, Any]:
        """The figures of a command's JSON."""
        return {"map50_95_fp32": self.fp32, "map50_95_int8": self.int8, "pictures": self.images}


def cost_in_files(fp32: ProgramFile, int8: ProgramFile, dataset: Dataset) -> Int8Cost:
    """Validate two compiled detectors on up to 256 images, evenly spread over the data set's val split.

    Classes are matched by name where the names are the same; raises ConfigError as ``class_order`` does.
    """
    order = class_order(dataset.names, ClassNames(fp32.names, "the weights"), dataset.source)
    index = some_images(index_split(dataset, "val"), MOST_IMAGES)
    index = index if order is None else renumbered(index, order)
    found = [_validation(program, index) for program in (fp32, int8)]
    return Int8Cost.of(*found)


def some_images(index: Index, most: int) -> Index:
    """``index`` with at most so many images."""
    if len(index) <= most:
        return index
    places = np.linspace(0, len(index) - 1, most).round().astype(int)
    return index.take(places)


def _validation(program: ProgramFile, index: Index) -> Validation:
    loader = val_loader(index, imgsz=program.imgsz, batch_size=BATCH, workers=0, stride=max(program.strides))
    runner = program_model(f"the {program.precision} program", program).runner(validation_settings())
    return Validator(runner, loader, len(program.names)).run()

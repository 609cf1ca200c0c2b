"""What a validation writes besides its figures: label files and COCO's JSON."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from yolo.class_names import match_names
from yolo.data.batch import Batch
from yolo.data.dataset import Dataset, preset_names
from yolo.data.records import Index, renumbered
from yolo.inference.outputs.names import UniqueNames
from yolo.inference.results import label_lines
from yolo.io.files import write_text_atomic
from yolo.metrics.coco import coco_rows, evaluate_coco, image_id, labels_to_coco, read_coco, refuse_unmeasurable

logger = logging.getLogger("yolo")


class LabelFiles:
    """Called for every batch: writes ``labels/<image's stem>.txt`` for each image in which something was found.

    A second image of the same stem (of another folder) gets ``<stem>_2.txt``.
    """

    def __init__(self, folder: Path, *, confidence: bool) -> None:
        self._folder, self._confidence = folder / "labels", confidence
        self._names = UniqueNames()

    def __call__(self, batch: Batch, detections: list[np.ndarray]) -> None:
        for path, rows, box in zip(batch.paths, detections, batch.letterboxes):
            file = self._folder / self._names.take(path.stem, ".txt")
            if len(rows):
                write_text_atomic(file, label_lines(rows, box.original, confidence=self._confidence))
            else:
                file.unlink(missing_ok=True)  # of an earlier run into the same folder


class CocoJson:
    """Called for every batch; ``finish`` writes COCO's JSON and measures it by COCO's own rule.

    The data set's own ``annotations/instances_val2017.json`` is used when it is there (it knows crowds), else
    annotations made from the labels. Raises DataError where they cannot tell the images apart or do not know them.
    """

    def __init__(self, dataset: Dataset, index: Index) -> None:
        self._order = _coco_order(dataset, index)
        self._coco_ids = self._order is not None
        index = renumbered(index, self._order) if self._coco_ids else index
        self._rows: list[dict] = []
        published = dataset.root / "annotations" / "instances_val2017.json"
        own = self._coco_ids and published.is_file()
        self._truth = read_coco(published) if own else labels_to_coco(index, coco_ids=self._coco_ids)
        self._ids = [image_id(image) for image in index.paths]
        refuse_unmeasurable(self._truth, self._ids, published if own else dataset.source)

    def __call__(self, batch: Batch, detections: list[np.ndarray]) -> None:
        for path, rows in zip(batch.paths, detections):
            if self._coco_ids:
                rows = rows.copy()
                rows[:, 5] = np.argsort(self._order)[rows[:, 5].astype(int)]
            self._rows += coco_rows(rows, path, coco_ids=self._coco_ids)

    def finish(self, path: Path) -> dict[str, float]:
        """Write ``path``; give mAP50 and mAP50-95 by COCO's rule."""
        write_text_atomic(path, json.dumps(self._rows))
        found = evaluate_coco(self._truth, self._rows, self._ids)
        logger.info("COCO's rule: mAP50 %.4f, mAP50-95 %.4f (%s)", found.map50, found.map50_95, path)
        return {"map50": found.map50, "map50_95": found.map50_95}


def _coco_order(dataset: Dataset, index: Index) -> Sequence[int] | None:
    """Where each of COCO's classes stands in the data set; None where it is another one's."""
    names = preset_names("coco")
    if not dataset.source.stem.startswith("coco") or len(index.names) != len(names):
        return None
    match = match_names(index.names, names)
    if match.displaced is not None or len(match.renamed) > len(names) // 2:
        return None
    return range(len(names)) if match.order is None else match.order

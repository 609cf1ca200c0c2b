"""What a validation writes besides its figures: label files and COCO's JSON."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from yolo.class_names import match_names
from yolo.data.annotated import CocoIds, coco_ids
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

    The annotations are the COCO JSON that the split is, else the data set's own ``annotations/instances_val2017.json``
    when it is there (both know crowds), else made from the labels. Raises DataError where they cannot tell the images
    apart or do not know them.
    """

    def __init__(self, dataset: Dataset, index: Index, split: str) -> None:
        self._own = _own_annotations(dataset, index, split)
        self._order = None if self._own else _coco_order(dataset, index)
        self._coco_ids = self._order is not None
        self._rows: list[dict] = []
        published = dataset.root / "annotations" / "instances_val2017.json"
        if self._own is not None:
            where, self._truth = self._own.file, self._own.content
        elif self._coco_ids and published.is_file():
            where, self._truth = published, read_coco(published)
        else:
            index = renumbered(index, self._order) if self._coco_ids else index
            where, self._truth = dataset.source, labels_to_coco(index, coco_ids=self._coco_ids)
        self._ids = [self._own.images[path] if self._own else image_id(path) for path in index.paths]
        refuse_unmeasurable(self._truth, self._ids, where)

    def __call__(self, batch: Batch, detections: list[np.ndarray]) -> None:
        for path, rows in zip(batch.paths, detections):
            if self._coco_ids:
                rows = rows.copy()
                rows[:, 5] = np.argsort(self._order)[rows[:, 5].astype(int)]
            found = coco_rows(rows, path, coco_ids=self._coco_ids)
            if self._own is not None:
                for row in found:
                    row["image_id"] = self._own.images[path]
                    row["category_id"] = self._own.categories[row["category_id"]]
            self._rows += found

    def finish(self, path: Path) -> dict[str, float]:
        """Write ``path``; give mAP50 and mAP50-95 by COCO's rule."""
        write_text_atomic(path, json.dumps(self._rows))
        found = evaluate_coco(self._truth, self._rows, self._ids)
        logger.info("COCO's rule: mAP50 %.4f, mAP50-95 %.4f (%s)", found.map50, found.map50_95, path)
        return {"map50": found.map50, "map50_95": found.map50_95}


def _own_annotations(dataset: Dataset, index: Index, split: str) -> CocoIds | None:
    """The COCO JSON that the split is; None where it is none, or where its boxes or classes are not the index's."""
    if index.names != dataset.names or (own := coco_ids(dataset, split)) is None:
        return None
    sizes = {some["id"]: (some.get("height"), some.get("width")) for some in own.content["images"]}
    if any(sizes[own.images[path]] != tuple(shape) for path, shape in zip(index.paths, index.shapes.tolist())):
        logger.warning(
            "%s: images have other sizes than it says: COCO's rule measures the labels read from it", own.file
        )
        return None
    # Its evaluation knows the file's categories only; the data set may have more classes.
    categories, free = dict(own.categories), max(own.categories.values(), default=0) + 1
    added = [number for number in range(len(index.names)) if number not in categories]
    categories |= {number: free + place for place, number in enumerate(added)}
    more = [{"id": categories[number], "name": index.names[number]} for number in added]
    content = {**own.content, "categories": [*own.content["categories"], *more]}
    return dataclasses.replace(own, content=content, categories=categories)


def _coco_order(dataset: Dataset, index: Index) -> Sequence[int] | None:
    """Where each of COCO's classes stands in the data set; None where it is another one's."""
    names = preset_names("coco")
    if not dataset.source.stem.startswith("coco") or len(index.names) != len(names):
        return None
    match = match_names(index.names, names)
    if match.displaced is not None or len(match.renamed) > len(names) // 2:
        return None
    return range(len(names)) if match.order is None else match.order

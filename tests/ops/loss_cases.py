"""Labels and heads for the compiled loss: usual ones, and ones at the borders of what it takes."""

from __future__ import annotations

import dataclasses

import numpy as np

from tests.reference.loss import Loss
from yolo.loss.settings import LossSettings
from yolo.program.detection import detection_loss

ANCHORS = np.array([[(10, 13), (16, 30), (33, 23)], [(30, 61), (62, 45), (59, 119)]], np.float32)
STRIDES = (8, 16)
PLAIN = LossSettings(
    box=0.05,
    obj=1.0,
    cls=0.5,
    cls_pw=1.0,
    obj_pw=1.0,
    anchor_t=4.0,
    fl_gamma=0.0,
    label_smoothing=0.0,
    balance=(4.0, 1.0),
)
VARIANTS = {
    "plain": PLAIN,
    "smoothed": dataclasses.replace(PLAIN, label_smoothing=0.1),
    "focal": dataclasses.replace(PLAIN, fl_gamma=1.5),
    "weak focal": dataclasses.replace(PLAIN, fl_gamma=0.5, label_smoothing=0.1),
    "weights": dataclasses.replace(PLAIN, cls_pw=0.5, obj_pw=1.7, box=0.5, obj=0.2, cls=2.0, balance=(1.0, 0.3)),
    "all": dataclasses.replace(PLAIN, label_smoothing=0.05, fl_gamma=2.0, cls_pw=1.3, obj_pw=0.67198, anchor_t=2.9),
}


@dataclasses.dataclass
class Case:
    """One call's arrays; ``grids`` are (rows, columns) of the levels."""

    heads: list
    labels: np.ndarray
    counts: np.ndarray
    grids: tuple

    anchors: np.ndarray = dataclasses.field(default_factory=lambda: ANCHORS)  #: [levels, A, 2] in pixels
    strides: tuple = STRIDES

    def operator(self, settings):
        shapes = [(len(head), head.shape[1] * head.shape[2], *head.shape[3:]) for head in self.heads]
        return detection_loss(shapes, self.anchors, self.strides, settings)

    def run(self, settings):
        """(terms, parts, gradients in the heads' shapes)."""
        return self.operator(settings)(self.heads, self.labels, self.counts)

    def reference(self, settings):
        return Loss(self.labels, self.counts, self.anchors, self.strides, self.grids, settings)

    def rows(self):
        """The heads in the layout of ``yolo.loss`` and of the reference: channels last."""
        return [np.ascontiguousarray(np.moveaxis(head, 2, -1)) for head in self.heads]


def make(seed=0, grids=((8, 10), (4, 5)), counts=(12, 4, 0), classes=3, spread=2.0, places=12) -> Case:
    """Labels close enough to each other to contest cells; rows past the counts are NaN."""
    rng = np.random.default_rng(seed)
    heads = [rng.normal(0, spread, (len(counts), 3, 5 + classes, *grid)).astype(np.float32) for grid in grids]
    labels = np.full((len(counts), places, 5), np.nan, np.float32)
    for target, n in zip(labels, counts):
        target[:n, 0] = rng.integers(0, classes, n)
        target[:n, 1:3] = rng.uniform(0.2, 0.8, (n, 2))
        target[:n, 3:] = np.exp(rng.uniform(-2.5, 0, (n, 2)))
    return Case(heads, labels, np.array(counts, np.int32), grids)


def make_special(name: str, classes: int) -> Case:
    """Labels on borders of cells and of the image, or all in one cell, or none."""
    case = make(3, classes=classes, counts=(6, 6))
    if name == "border":
        places = [(0, 0), (1, 1), (0.5, 0.5), (0, 0.3), (0.7, 1), (0.25, 0.125)]
        case.labels[:, :6, 1:3] = np.float32(places)
        case.labels[:, :6, 3:] = 0.3
    elif name == "one cell":
        case.labels[:, :6, 1:3] = np.float32([0.532, 0.47]) + np.random.default_rng(0).uniform(0, 0.01, (2, 6, 2))
        case.labels[:, :6, 3:] = np.random.default_rng(1).uniform(0.2, 0.5, (2, 6, 2))
    else:
        case.counts[:] = 0
    return case


CASES = {
    "usual": lambda classes: make(classes=classes),
    "odd": lambda classes: make(1, ((7, 3), (1, 1)), (5,), classes, places=5),
    "wide": lambda classes: make(2, ((5, 37), (3, 19)), (20, 1), classes, places=20),
    "border": lambda classes: make_special("border", classes),
    "one cell": lambda classes: make_special("one cell", classes),
    "empty": lambda classes: make_special("empty", classes),
    "no places": lambda classes: make(4, counts=(0, 0), classes=classes, places=0),
}

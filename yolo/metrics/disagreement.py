"""Where labels and a model disagree, and how likely it is that the label is what is wrong.

Labels and detections of one class with IoU ≥ 0.5 are partners, one to one, the greatest confidence · IoU first. What is
left over is one of five kinds, with a score from 0 to 1:

- **missed**: a detection without a label. Score: confidence · (1 − IoU / 0.5) with the nearest label of any class; of
  several detections of one object the most confident counts.
- **spurious**: a label without a partner. Score u = r · (1 − support). Support is the best confidence ·
  min(IoU / 0.5, 1) among free detections of its class; r is what the model finds of labels of this class and size
  elsewhere in this data set: where it misses most of them, one more says little.
- **shifted**: a detection of the same class lies otherwise. e = confidence · (1 − IoU / q), q the usual IoU of this
  class' partners here (a median), so that what is loose everywhere is not a finding everywhere.
- **wrong-class**: another class is found in its place (IoU ≥ 0.5). e = (confidence − support) · IoU · (1 − c), c the
  share of its class' labels in this data set that are found as another class.
- **duplicate**: another label of its class overlaps it (IoU ≥ 0.7) and has more support. e = IoU · (1 − support).

For the last three the score is 1 − (1 − u)(1 − e), u being zero for a label that has a partner: a label that nothing
supports and that something contradicts is worse than either. An image is as bad as its worst finding.

That overlooked, badly located and swapped labels are told apart by a trained model's confident detections is from
ObjectLab (Tkachenko, Thyagarajan, Mueller, "ObjectLab: Automated Diagnosis of Mislabeled Images in Object Detection
Data", 2023), and that a model's confidence counts by its own average on the data set from confident learning (Northcutt
et al., 2021). The scores are this project's: `benchmarks/label_audit.py` measures them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from yolo.metrics.matching import check_rows
from yolo.ops import pairwise_iou

KINDS: Final = ("missed", "spurious", "shifted", "wrong-class", "duplicate")
SAME: Final = 0.5
"""IoU from which on two boxes are of one object."""
NEAR: Final = 0.1
"""IoU from which on a detection may be a label's object, labelled otherwise."""
DOUBLE: Final = 0.7
"""IoU from which on two labels of a class may be of one object."""
LEAST: Final = 0.05
"""Findings with a lower score are left out."""
_SIDES: Final = (32, 96)
"""Pixels at the network's size between small, medium and large, as COCO has them."""
_PRIOR: Final = 5
"""So many labels of the whole data set count in each class' averages."""
_USUAL_IOU: Final = 0.8
"""Where nothing is matched."""


@dataclass(frozen=True)
class Disagreement:
    """One finding: its kind, its score, and which rows of labels and detections it is about.

    label: None for what is missed. detection: None for what is spurious or a duplicate. other: the label that a
    duplicate doubles. iou: of the two.
    """

    kind: str
    score: float
    label: int | None = None
    detection: int | None = None
    other: int | None = None
    iou: float = 0.0


@dataclass(frozen=True, eq=False)
class Pairing:
    """Labels and detections of one image, and which belong together; made by ``pair``."""

    detections: NDArray[np.float32]
    """``[n, 6]``: x1, y1, x2, y2, confidence, class; pixels of the image."""
    labels: NDArray[np.float32]
    """``[m, 5]``: class, x1, y1, x2, y2."""
    scale: float
    """The network's pixels by the image's."""
    iou: NDArray[np.float32]
    """``[m, n]``"""
    partner: NDArray[np.int64]
    """``[m]``: the detection that each label has; -1 for none."""

    @cached_property
    def free(self) -> NDArray[np.bool_]:
        """Detections that are no label's partner, ``[n]``."""
        free = np.ones(len(self.detections), bool)
        free[self.partner[self.partner >= 0]] = False
        return free

    @cached_property
    def own(self) -> NDArray[np.bool_]:
        """Where label and detection have one class, ``[m, n]``."""
        return self.labels[:, :1] == self.detections[None, :, 5]

    @cached_property
    def support(self) -> NDArray[np.float32]:
        """The partner's confidence; without one that of a free detection of the class, less for one that is off."""
        held = self.detections[:, 4] * np.minimum(self.iou / SAME, 1)
        loose = np.where(self.own & self.free & (self.iou >= NEAR), held, 0).max(1, initial=0)
        if not len(self.detections):
            return loose
        return np.where(self.partner >= 0, self.detections[self.partner, 4], loose)

    @cached_property
    def between_labels(self) -> NDArray[np.float32]:
        """IoU of each label with each other of its class, ``[m, m]``; 0 with itself."""
        boxes = np.ascontiguousarray(self.labels[:, 1:])
        found = np.nan_to_num(pairwise_iou(boxes, boxes)) * (self.labels[:, :1] == self.labels[None, :, 0])
        np.fill_diagonal(found, 0)
        return found

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """0, 1 or 2 for small, medium or large labels, ``[m]``."""
        width, height = (self.labels[:, 3:] - self.labels[:, 1:3]).T
        return np.digitize(np.sqrt(np.maximum(width * height, 0)) * self.scale, _SIDES)


def pair(detections: ArrayLike, labels: ArrayLike, scale: float = 1.0) -> Pairing:
    """``detections [n, 6]`` and ``labels [m, 5]`` of one image; raises ValueError for other shapes."""
    detections, labels = check_rows(detections, labels)
    boxes = np.ascontiguousarray(labels[:, 1:]), np.ascontiguousarray(detections[:, :4])
    iou = np.nan_to_num(pairwise_iou(*boxes))
    own = labels[:, :1] == detections[None, :, 5]
    weight = np.where(own & (iou >= SAME), iou * detections[None, :, 4], 0)
    partner, taken = np.full(len(labels), -1), np.zeros(len(detections), bool)
    places = np.argwhere(weight > 0)
    for label, detection in places[np.argsort(-weight[weight > 0], kind="stable")]:
        if partner[label] < 0 and not taken[detection]:
            partner[label], taken[detection] = detection, True
    return Pairing(detections, labels, scale, iou, partner)


@dataclass(frozen=True, eq=False)
class Reliability:
    """What the model is worth on this data set, by class and size."""

    found: NDArray[np.float64]
    """Mean confidence that labels' partners have, 0 for none, ``[classes, 3]``."""
    iou: NDArray[np.float64]
    """The usual IoU of partners, ``[classes]``."""
    confused: NDArray[np.float64]
    """The share of labels that are rather found as another class, ``[classes]``."""

    @classmethod
    def of(cls, pairings: Iterable[Pairing], classes: int) -> Reliability:
        """From all images; classes with few labels lean on all of them."""
        sums, counts, confused = np.zeros((classes, 3)), np.zeros((classes, 3)), np.zeros(classes)
        overlaps: list[list[float]] = [[] for _ in range(classes)]
        for pairing in pairings:
            for label in range(len(pairing.labels)):
                place, partner = (int(pairing.labels[label, 0]), pairing.sizes[label]), pairing.partner[label]
                counts[place] += 1
                confused[place[0]] += any(True for _ in _rivals(pairing, label))
                if partner >= 0:
                    sums[place] += pairing.detections[partner, 4]
                    overlaps[place[0]].append(float(pairing.iou[label, partner]))
        usual = sums.sum(0) / np.maximum(counts.sum(0), 1)
        rate = confused.sum() / max(counts.sum(), 1)
        every = [value for some in overlaps for value in some]
        median = float(np.median(every)) if every else _USUAL_IOU
        medians = [(np.median(s or [median]) * len(s) + median * _PRIOR) / (len(s) + _PRIOR) for s in overlaps]
        return cls(
            (sums + _PRIOR * usual) / (counts + _PRIOR),
            np.array(medians),
            (confused + _PRIOR * rate) / (counts.sum(1) + _PRIOR),
        )


def disagreements(pairing: Pairing, reliability: Reliability, conf: float) -> list[Disagreement]:
    """All findings of one image, the worst first. A detection below ``conf`` contradicts nothing, but supports."""
    found, explained = [], set()
    for label in range(len(pairing.labels)):
        finding = _of_label(pairing, label, reliability, conf)
        if finding is not None:
            found.append(finding)
            explained.add(finding.detection)
    found += _missed(pairing, explained, conf)
    return sorted((one for one in found if one.score >= LEAST), key=lambda one: -one.score)


def image_score(found: Sequence[Disagreement]) -> float:
    """The worst finding's."""
    return max((one.score for one in found), default=0.0)


def _of_label(pairing: Pairing, label: int, reliability: Reliability, conf: float) -> Disagreement | None:
    category, unmatched = int(pairing.labels[label, 0]), pairing.partner[label] < 0
    found = reliability.found[category, pairing.sizes[label]]
    unsupported = float(found * (1 - pairing.support[label])) if unmatched else 0.0
    against = [
        *_shifted(pairing, label, float(reliability.iou[category]), conf),
        *_wrong_class(pairing, label, float(reliability.confused[category]), conf),
        *_duplicate(pairing, label),
    ]
    if against:
        score, fields = max(against, key=lambda one: one[0])
        return Disagreement(score=1 - (1 - unsupported) * (1 - score), label=label, **fields)
    return Disagreement("spurious", unsupported, label) if unmatched else None


def _shifted(pairing: Pairing, label: int, usual: float, conf: float) -> Iterator[tuple[float, dict]]:
    """Its partner, where that lies otherwise, and detections nearby that are surer than its partner."""
    partner, overlap = int(pairing.partner[label]), pairing.iou[label]
    held = float(pairing.detections[partner, 4]) if partner >= 0 else 0.0
    near = pairing.own[label] & pairing.free & (overlap >= NEAR) & (pairing.detections[:, 4] >= max(conf, held))
    sure = [(place, float(pairing.detections[place, 4]) - held) for place in np.flatnonzero(near).tolist()]
    for place, confidence in [*sure, *([(partner, held)] if partner >= 0 else [])]:
        iou = float(overlap[place])
        if iou < usual:
            yield confidence * (1 - iou / usual), {"kind": "shifted", "detection": place, "iou": iou}


def _rivals(pairing: Pairing, label: int) -> Iterator[tuple[int, float]]:
    """Free detections of another class in the label's place that are surer than its support, and by how much."""
    support = float(pairing.support[label])
    for place in np.flatnonzero(~pairing.own[label] & pairing.free & (pairing.iou[label] >= SAME)).tolist():
        surer = float(pairing.detections[place, 4]) - support
        if surer > 0:
            yield place, surer


def _wrong_class(pairing: Pairing, label: int, confused: float, conf: float) -> Iterator[tuple[float, dict]]:
    for place, surer in _rivals(pairing, label):
        if pairing.detections[place, 4] >= conf:
            iou = float(pairing.iou[label, place])
            yield surer * iou * (1 - confused), {"kind": "wrong-class", "detection": place, "iou": iou}


def _duplicate(pairing: Pairing, label: int) -> Iterator[tuple[float, dict]]:
    """Of two labels the one with less support, of equal ones the later."""
    support = pairing.support
    for other in np.flatnonzero(pairing.between_labels[label] >= DOUBLE):
        if (support[label], -label) < (support[other], -other):
            iou = float(pairing.between_labels[label, other])
            yield iou * (1 - float(support[label])), {"kind": "duplicate", "other": int(other), "iou": iou}


def _missed(pairing: Pairing, explained: set[int | None], conf: float) -> Iterator[Disagreement]:
    detections = pairing.detections
    kept: list[int] = []
    nearest = pairing.iou.max(0, initial=0)
    for place in np.argsort(-detections[:, 4], kind="stable").tolist():
        if not pairing.free[place] or detections[place, 4] < conf or place in explained or nearest[place] >= SAME:
            continue
        box = np.ascontiguousarray(detections[place : place + 1, :4])
        if kept and pairwise_iou(box, np.ascontiguousarray(detections[kept, :4])).max() >= SAME:
            continue
        kept.append(place)
        score = float(detections[place, 4] * (1 - nearest[place] / SAME))
        yield Disagreement("missed", score, detection=place, iou=float(nearest[place]))

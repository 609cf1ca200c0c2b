"""Does `yolo.check --weights` find errors in labels? Known ones are planted in real data sets, and looked for.

python -m benchmarks.label_audit [--json]: COCO128 with the published yolov5s, and BCCD with weights that were trained
on it (`make bench-bccd`; --bccd names them).

A quarter of the images gets one error each, the five kinds in turn, drawn by --seeds random generators: a label taken
away, moved by 20 to 50 % of its sides, given another class, made up (a box and class as others have, on nothing), or
doubled with sides moved by up to 6 %. The rest stays as published, with the errors that are in it: those count as false
alarms, so that every figure is a lower bound.

AUROC: the chance that an image (a label) with a planted error scores higher than one without; 0.5 is a coin. P@k: the
share of planted ones among the k worst images, k being how many there are; a quarter by chance. A missed object is
found when a finding of that kind has IoU 0.5 with it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.places import PARITY, ROOT
from yolo.command import log_to_stderr
from yolo.data.index import index_split
from yolo.data.load import load_dataset
from yolo.engine.label_audit import FLOOR
from yolo.errors import YoloError
from yolo.inference.detector import Detector
from yolo.metrics.disagreement import KINDS, Disagreement, Pairing, Reliability, disagreements, image_score, pair
from yolo.ops import labels_to_xyxy, pairwise_iou
from yolo.runtime import machine

SHARE = 0.25
CONF, IOU = 0.25, 0.6


@dataclass(frozen=True, eq=False)
class Looked:
    """An image: detections ``[n, 6]``, labels ``[m, 5]`` in pixels, (height, width)."""

    detections: NDArray[np.float32]
    labels: NDArray[np.float32]
    size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Planted:
    """An error: its kind, the row of the label it is in (None: taken away), the box that is concerned."""

    kind: str
    label: int | None
    box: NDArray[np.float32]


def main() -> int:
    """Print a table, or JSON; 2 where files are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--coco", default=str(PARITY / "weights" / "yolov5s.pt"))
    parser.add_argument("--bccd", default=str(ROOT / "runs" / "bench" / "bccd" / "weights" / "best.safetensors"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    log_to_stderr()
    cases = (
        ("COCO128", options.coco, "coco128.yaml", "train", 640),
        ("BCCD val", options.bccd, "bccd.yaml", "val", 320),
        ("BCCD train", options.bccd, "bccd.yaml", "train", 320),
    )
    try:
        rows = [
            measured(name, *look(weights, PARITY / "data" / data, split, size), size, options.seeds)
            for name, weights, data, split, size in cases
        ]
    except YoloError as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps({"schema_version": 1, "machine": machine(), "seeds": options.seeds, "rows": rows}))
        return 0
    print(f"errors planted in a quarter of the images, mean of {options.seeds} draws")
    for row in rows:
        print(f"{row['name']}: {row['images']} images; image AUROC {row['auroc']:.3f}, P@k {row['precision_at_k']:.3f}")
        print(f"  {'':>12}{'image AUROC':>13}{'label AUROC':>13}{'kind right':>12}")
        for kind in KINDS:
            one = row["kinds"][kind]
            label = "–" if one["label_auroc"] is None else f"{one['label_auroc']:.3f}"
            print(f"  {kind:>12}{one['image_auroc']:>13.3f}{label:>13}{one['named']:>12.2f}")
    return 0


def look(weights: str, data: Path, split: str, imgsz: int) -> tuple[list[Looked], int]:
    """What the model finds on each image, and the number of classes."""
    index = index_split(load_dataset(data), split)
    detector = Detector(weights, imgsz=imgsz, conf=FLOOR, iou=IOU, max_det=300, device="cpu")
    looked = []
    for (_, result), labels in zip(detector.stream(list(index.paths)), index.labels):
        looked.append(Looked(result.rows.copy(), labels_to_xyxy(labels, result.size), result.size))
    return looked, len(index.names)


def measured(name: str, images: Sequence[Looked], classes: int, imgsz: int, seeds: int) -> dict:
    """A row: the means over all draws."""
    draws = [_draw(images, classes, imgsz, np.random.default_rng(seed)) for seed in range(seeds)]
    kinds = {
        kind: {
            key: _mean([draw["kinds"][kind][key] for draw in draws]) for key in ("image_auroc", "label_auroc", "named")
        }
        for kind in KINDS
    }
    means = {key: _mean([draw[key] for draw in draws]) for key in ("auroc", "precision_at_k")}
    return {"name": name, "images": len(images), **means, "kinds": kinds}


def _draw(images: Sequence[Looked], classes: int, imgsz: int, rng: np.random.Generator) -> dict:
    spoilt, planted = plant(images, rng)
    pairings = [pair(one.detections, one.labels, imgsz / max(one.size)) for one in spoilt]
    reliability = Reliability.of(pairings, classes)
    found = [disagreements(pairing, reliability, CONF) for pairing in pairings]
    scores = np.array([image_score(some) for some in found])
    wrong = np.array([number in planted for number in range(len(images))])
    worst = np.argsort(-scores, kind="stable")[: wrong.sum()]
    clean = _label_scores(found, pairings, planted)
    kinds = {}
    for kind in KINDS:
        places = [number for number, error in planted.items() if error.kind == kind]
        hits = [_best(planted[number], found[number], pairings[number]) for number in places]
        label = None if kind == "missed" else auroc([score for score, _ in hits], clean)
        kinds[kind] = {
            "image_auroc": auroc(scores[places], scores[~wrong]),
            "label_auroc": label,
            "named": float(np.mean([named == kind for _, named in hits])),
        }
    return {"auroc": auroc(scores[wrong], scores[~wrong]), "precision_at_k": float(wrong[worst].mean()), "kinds": kinds}


def plant(images: Sequence[Looked], rng: np.random.Generator) -> tuple[list[Looked], dict[int, Planted]]:
    """The images with errors in some, and which."""
    labelled = [number for number, one in enumerate(images) if len(one.labels)]
    every = np.concatenate([np.c_[one.labels[:, :1], _relative(one)] for one in images])
    spoilt, planted = list(images), {}
    for place, number in enumerate(rng.permutation(labelled)[: int(len(labelled) * SHARE)].tolist()):
        one, kind = images[number], KINDS[place % len(KINDS)]
        labels, planted[number] = _spoil(one, kind, every, rng)
        spoilt[number] = Looked(one.detections, labels, one.size)
    return spoilt, planted


def _relative(one: Looked) -> NDArray[np.float32]:
    """Widths and heights of labels by the image's."""
    return (one.labels[:, 3:] - one.labels[:, 1:3]) / one.size[::-1]


def _spoil(
    one: Looked, kind: str, every: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.float32], Planted]:
    labels, chosen = one.labels.copy(), int(rng.integers(len(one.labels)))
    limits = np.array(one.size[::-1] * 2, np.float32)
    sides = np.tile(labels[chosen, 3:] - labels[chosen, 1:3], 2)
    if kind == "missed":
        return np.delete(labels, chosen, 0), Planted(kind, None, labels[chosen])
    if kind == "wrong-class":
        labels[chosen, 0] = rng.choice([number for number in np.unique(every[:, 0]) if number != labels[chosen, 0]])
    elif kind == "shifted":
        moved = np.tile(rng.choice([-1, 1], 2) * rng.uniform(0.2, 0.5, 2), 2) * sides
        labels[chosen, 1:] = np.clip(labels[chosen, 1:] + moved, 0, limits)
    else:
        row = labels[chosen].copy()
        row[1:] = np.clip(row[1:] + rng.uniform(-0.06, 0.06, 4) * sides, 0, limits)
        row = row if kind == "duplicate" else _made_up(one, every, rng)
        labels, chosen = np.concatenate((labels, row[None])), len(labels)
    return labels, Planted(kind, chosen, labels[chosen])


def _made_up(one: Looked, every: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A box of a size and class as others have, on no label if there is room."""
    for _ in range(200):
        category, *sides = every[rng.integers(len(every))]
        size = np.array(sides) * one.size[::-1]
        corner = rng.uniform(0, np.maximum(np.array(one.size[::-1]) - size, 0))
        row = np.array([category, *corner, *(corner + size)], np.float32)
        if pairwise_iou(row[None, 1:].copy(), one.labels[:, 1:].copy()).max() < 0.1:
            break
    return row


def _best(error: Planted, found: Sequence[Disagreement], pairing: Pairing) -> tuple[float, str]:
    """Score and kind of the finding about a planted error; of a doubled label either one counts."""
    if error.kind == "missed":
        some = [
            one for one in found if one.kind == "missed" and _meets(pairing.detections[one.detection, :4], error.box)
        ]
    else:
        same = {error.label}
        if error.kind == "duplicate":
            same |= set(np.flatnonzero(pairing.between_labels[error.label] >= 0.6).tolist())
        some = [one for one in found if one.label in same]
    best = max(some, key=lambda one: one.score, default=None)
    return (0.0, "") if best is None else (best.score, best.kind)


def _meets(box: NDArray[np.float32], label: NDArray[np.float32]) -> bool:
    return bool(pairwise_iou(box[None].copy(), label[None, 1:].copy())[0, 0] >= 0.5)


def _label_scores(
    found: Sequence[Sequence[Disagreement]], pairings: Sequence[Pairing], planted: dict[int, Planted]
) -> NDArray[np.float64]:
    """The scores of all labels of images without a planted error."""
    parts = [np.zeros(0)]
    for number, (some, pairing) in enumerate(zip(found, pairings)):
        if number not in planted:
            scores = np.zeros(len(pairing.labels))
            for one in some:
                if one.label is not None:
                    scores[one.label] = one.score
            parts.append(scores)
    return np.concatenate(parts)


def auroc(positive: Sequence[float] | NDArray, negative: Sequence[float] | NDArray) -> float:
    """The chance that one of ``positive`` is larger than one of ``negative``; equal ones count half."""
    values, places = np.unique(np.concatenate((positive, negative)), return_inverse=True)
    counts = np.bincount(places, minlength=len(values))
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places[: len(positive)]]
    count = len(positive)
    return float((ranks.sum() - count * (count + 1) / 2) / (count * len(negative)))


def _mean(values: Sequence[float | None]) -> float | None:
    return None if None in values else round(float(np.mean(values)), 4)


if __name__ == "__main__":
    sys.exit(main())

"""Worker: what the operators of ``cuda_ops`` are to give, by the CPU's operators and by NumPy. Nothing is timed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.cuda_cases import CLASSES, STRIDES, Case, cell_anchors, geometry
from benchmarks.workers.operators import Arrays, OperatorTask
from benchmarks.workers.serve import serve
from yolo import native
from yolo.data.letterbox import fit, letterbox
from yolo.loss.settings import LossSettings
from yolo.program.detection import NmsSettings, detection_loss

EPS = 1e-3
"""Of batch norms."""
MAX_NORM = 10.0


class ReferenceOperators(OperatorTask):
    """Results alone."""

    def start(self) -> None:
        pass

    def results(self, case: Case) -> Arrays:
        return OPERATORS[case.operator](case.arrays, case.settings)

    def times(self, case: Case, runs: int) -> Mapping[str, float]:
        return {}


def _letterbox(arrays: Arrays, settings: Mapping[str, Any]) -> Arrays:
    size = (settings["side"],) * 2
    made = np.stack([letterbox(image, fit(image.shape[:2], size)) for image in arrays["images"]])
    return {"map": (made.transpose(0, 2, 3, 1).astype(np.float32) / np.float32(255)).astype(np.float16)}


def _decode(arrays: Arrays, settings: Mapping[str, Any]) -> Arrays:
    heads = [arrays[f"head{level}"] for level in range(len(STRIDES))]
    levels = [native.Level(*head.shape[2:], *numbers) for head, numbers in zip(heads, geometry())]
    head = native.DetectionHead(levels, CLASSES, len(heads[0]), NmsSettings(**settings).native(CLASSES))
    return dict(zip(("rows", "counts"), head(heads)))


def _nms(arrays: Arrays, settings: Mapping[str, Any]) -> Arrays:
    """Plainly: the best box that is left suppresses those of its class."""
    rows = arrays["predictions"][0]
    scores = rows[:, 4:5] * rows[:, 5:]
    classes, best = scores.argmax(1), scores.max(1)
    order = np.lexsort((np.arange(len(rows)), -best))
    order = order[best[order] > np.float32(settings["conf"])]
    half = rows[:, 2:4] * np.float32(0.5)
    boxes = np.concatenate([rows[:, :2] - half, rows[:, :2] + half], 1)
    alive = np.zeros(len(rows), bool)
    alive[order] = True
    members = [np.flatnonzero(classes == number) for number in range(scores.shape[1])]
    kept = []
    for one in order:
        if len(kept) == settings["max_det"]:
            break
        if alive[one]:
            kept.append(one)
            rivals = members[classes[one]]
            rivals = rivals[alive[rivals]]
            alive[rivals[_pairs(boxes[one : one + 1], boxes[rivals])[0] > settings["iou"]]] = False
    found = np.zeros((1, settings["max_det"], 6), np.float32)
    found[0, : len(kept)] = np.column_stack([boxes[kept], best[kept], classes[kept]])
    return {"rows": found, "counts": np.int32([len(kept)])}


def _iou(arrays: Arrays, settings: Mapping[str, Any]) -> Arrays:
    return {"iou": _pairs(arrays["a"], arrays["b"]).astype(np.float32)}


def _pairs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of corners [n, 4] and [m, 4]: float64 [n, m]."""
    a, b = a.astype(np.float64)[:, None], b.astype(np.float64)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    inter = sides.clip(0).prod(-1)
    return inter / ((a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - inter)


def _assign(arrays: Arrays, settings: Mapping[str, Any]) -> Arrays:
    cells = [settings["side"] // stride for stride in STRIDES]
    heads = [np.zeros((len(arrays["counts"]), 3 * 6, side, side), np.float32) for side in cells]
    labels = arrays["labels"].copy()
    labels[..., 0] = 0
    return {"matches": _lost(heads, labels, arrays["counts"], settings)[0][:, 1]}


def _loss(arrays: Arrays, settings: Mapping[str, Any]) -> Arrays:
    heads = [arrays[f"head{level}"] for level in range(len(STRIDES))]
    _, parts, gradients = _lost(heads, arrays["labels"], arrays["counts"], settings)
    found = {f"gradient{level}": array.reshape(head.shape) for level, (array, head) in enumerate(zip(gradients, heads))}
    return {"parts": parts[1:], **found}


def _lost(heads: list[np.ndarray], labels: np.ndarray, counts: np.ndarray, settings: Mapping[str, Any]) -> tuple:
    """Terms, parts and gradients."""
    names = ("box", "obj", "cls", "cls_pw", "obj_pw", "anchor_t", "fl_gamma", "label_smoothing", "balance")
    recipe = LossSettings(**{name: settings[name] for name in names})
    pixels = cell_anchors() * np.float32(STRIDES).reshape(3, 1, 1)
    return detection_loss([head.shape for head in heads], pixels, STRIDES, recipe)(heads, labels, counts)


def _update(arrays: Arrays, settings: Mapping[str, Any]) -> Arrays:
    """The first step of either optimizer, whose moments are empty, in float64."""
    values, gradient = (arrays[name].astype(np.float64) for name in ("values", "gradient"))
    bias, weight, _, _ = settings["groups"]
    parameters, rate, keep = len(gradient), settings["rate"], settings["keep"]
    moved = values[:parameters].copy()
    gradient *= min(1.0, MAX_NORM / (np.linalg.norm(gradient) + 1e-6))
    decay = np.zeros(parameters)
    decay[bias : bias + weight] = settings["decay"]
    if settings["optimizer"] == "SGD":
        slope = gradient + decay * moved
        moved -= rate * (slope + settings["momentum"] * slope)
    else:
        moved -= rate * decay * moved + rate * gradient / (np.abs(gradient) + 1e-8)
    after = np.concatenate([moved, values[parameters:]])
    return {"values": after, "average": keep * values + (1 - keep) * after}


def _norm(arrays: Arrays, settings: Mapping[str, Any]) -> Arrays:
    x, g, values = (arrays[name] for name in ("source", "gradient", "values"))
    count = x.size // x.shape[-1]
    mean, variance = x.mean((0, 1, 2), dtype=np.float64), x.var((0, 1, 2), dtype=np.float64)
    inverse = 1 / np.sqrt(variance + EPS)
    normal = ((x - mean.astype(np.float32)) * inverse.astype(np.float32)).reshape(count, -1)
    u = normal * values[0] + values[1]
    gate = 1 / (1 + np.exp(-u))
    slope = g.reshape(u.shape) * gate * (1 + u * (1 - gate))
    to_bias, to_weight = slope.sum(0, dtype=np.float64), (slope * normal).sum(0, dtype=np.float64)
    rest = (to_bias / count).astype(np.float32) + normal * (to_weight / count).astype(np.float32)
    backward = (values[0] * inverse).astype(np.float32) * (slope - rest)
    forward = (u * gate).reshape(x.shape)
    return {"forward": forward, "backward": backward.reshape(x.shape), "parameters": np.stack([to_weight, to_bias])}


OPERATORS: Mapping[str, Callable[[Arrays, Mapping[str, Any]], Arrays]] = {
    "copy": lambda arrays, settings: {},
    "letterbox": _letterbox,
    "decode": _decode,
    "nms": _nms,
    "iou": _iou,
    "assign": _assign,
    "loss": _loss,
    "update": _update,
    "norm": _norm,
}


if __name__ == "__main__":
    serve(ReferenceOperators())

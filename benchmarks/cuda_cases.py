"""What the operators of ``cuda_ops`` are given: arrays, settings, and the bytes that each must move at least."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.recipe import BALANCE, Recipe

ANCHORS = ((10, 13, 16, 30, 33, 23), (30, 61, 62, 45, 59, 119), (116, 90, 156, 198, 373, 326))
STRIDES = (8, 16, 32)
CLASSES = 80
COPY = "copy of device memory"
"""Its bytes a second are what the card's memory can do."""
PACK = 8
"""Channels that lie together in a map."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How large everything is. side: of square images; boxes: of suppression; rows: of pairwise IoU;
    copied: bytes."""

    side: int
    batch: int
    photographs: tuple[int, int, int]
    boxes: tuple[int, ...]
    rows: int
    labels: int
    parameters: int
    norm: tuple[int, int, int]
    copied: int
    runs: int


SIZES = {
    "full": Sizes(640, 16, (8, 1080, 810), (1000, 10_000, 100_000), 4096, 60, 7_200_000, (16, 160, 64), 2**30, 50),
    "short": Sizes(640, 16, (8, 1080, 810), (1000, 10_000, 100_000), 2048, 60, 7_200_000, (8, 160, 64), 2**29, 20),
    "tiny": Sizes(64, 2, (2, 40, 30), (100, 300), 40, 4, 3000, (2, 6, 16), 2**16, 2),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """One call of one operator. ``bytes``: what it must read and write, if each number is touched as often as its data
    dependences ask for; None where that is nothing beside a launch."""

    name: str
    operator: str
    arrays: Mapping[str, np.ndarray]
    settings: Mapping[str, Any]
    bytes: int | None


def write_cases(folder: Path, cases: Iterator[Case]) -> list[Case]:
    """Write all cases for the workers; gives them without their arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = []
    for number, case in enumerate(cases):
        np.savez(folder / f"{number}.npz", **case.arrays)
        kept.append(dataclasses.replace(case, arrays={}))
    (folder / "cases.json").write_text(json.dumps([dataclasses.asdict(case) for case in kept]), encoding="utf-8")
    return kept


def read_cases(folder: str) -> list[Case]:
    """What ``write_cases`` wrote."""
    entries = json.loads((Path(folder) / "cases.json").read_text(encoding="utf-8"))
    return [
        Case(**{**entry, "arrays": dict(np.load(Path(folder) / f"{number}.npz"))})
        for number, entry in enumerate(entries)
    ]


def all_cases(sizes: Sizes, heads: Mapping[str, list[np.ndarray]]) -> Iterator[Case]:
    """Every case; ``heads``: those of ``network_heads`` or ``random_heads``, by what they are of."""
    rng = np.random.default_rng(0)
    yield Case(COPY, "copy", {}, {"bytes": sizes.copied}, 2 * sizes.copied)
    yield _letterbox(rng, sizes)
    for what, levels in heads.items():
        for use, conf, multi_label in (("detect", 0.25, False), ("validate", 0.001, True)):
            yield _decode(f"decode + NMS, {what}, {use}", levels, sizes, conf, multi_label)
    for count in sizes.boxes:
        yield _nms(rng, count)
    yield _iou(rng, sizes.rows)
    labels = _labels(rng, sizes)
    yield _assignment(labels, sizes)
    yield _loss(rng, labels, sizes)
    for optimizer in ("SGD", "AdamW"):
        yield _update(rng, optimizer, sizes.parameters)
    for precision in ("fp32", "fp16", "bf16"):
        yield _norm(rng, precision, sizes.norm)


def random_heads(sizes: Sizes, batch: int) -> list[np.ndarray]:
    """Heads of a network that is unsure nearly everywhere: float32 [batch, 255, h, w] a level."""
    rng = np.random.default_rng(1)
    found = []
    for stride in STRIDES:
        cells = sizes.side // stride
        head = rng.normal(-4, 1.5, (batch, 3, 5 + CLASSES, cells, cells)).astype(np.float32)
        head[:, :, :4] = rng.normal(0, 1, (batch, 3, 4, cells, cells))
        found.append(head.reshape(batch, -1, cells, cells))
    return found


def geometry() -> list[tuple[float, list[float], float, float]]:
    """Stride, anchors in pixels, scale and mirror of the three levels."""
    return [(float(stride), list(map(float, sizes)), 1.0, 0.0) for stride, sizes in zip(STRIDES, ANCHORS)]


def cell_anchors() -> np.ndarray:
    """float32 [3, 3, 2] in cells."""
    return np.float32(ANCHORS).reshape(3, 3, 2) / np.float32(STRIDES).reshape(3, 1, 1)


def _letterbox(rng: np.random.Generator, sizes: Sizes) -> Case:
    images = rng.integers(0, 256, (*sizes.photographs, 3), np.uint8)
    made = sizes.photographs[0] * sizes.side**2 * PACK * 2
    settings = {"side": sizes.side}
    return Case(
        f"letterbox, {len(images)} photographs", "letterbox", {"images": images}, settings, images.nbytes + made
    )


def _decode(name: str, heads: list[np.ndarray], sizes: Sizes, conf: float, multi_label: bool) -> Case:
    settings = {"conf": conf, "iou": 0.45 if conf > 0.1 else 0.6, "max_det": 300, "multi_label": multi_label}
    objectness = sum(head.nbytes for head in heads) // (5 + CLASSES)
    return Case(name, "decode", {f"head{i}": head for i, head in enumerate(heads)}, settings, objectness)


def _nms(rng: np.random.Generator, count: int) -> Case:
    """Boxes around a tenth as many objects, each class sure; all of them are candidates."""
    objects = rng.uniform(0, 640, (max(count // 10, 1), 2))
    rows = np.zeros((1, count, 5 + CLASSES), np.float32)
    rows[0, :, :2] = objects[rng.integers(0, len(objects), count)] + rng.normal(0, 4, (count, 2))
    rows[0, :, 2:4] = rng.uniform(20, 80, (count, 2))
    rows[0, :, 4] = rng.uniform(0.3, 1, count)
    rows[0, np.arange(count), 5 + rng.integers(0, CLASSES, count)] = 1
    settings = {"conf": 0.25, "iou": 0.45, "max_det": 300, "multi_label": False, "max_candidates": count}
    return Case(f"NMS, {count} boxes", "nms", {"predictions": rows}, settings, rows.nbytes)


def _iou(rng: np.random.Generator, rows: int) -> Case:
    corners = rng.uniform(0, 600, (2, rows, 2))
    a, b = np.concatenate([corners, corners + rng.uniform(5, 200, corners.shape)], 2).astype(np.float32)
    return Case(f"IoU, {rows} x {rows}", "iou", {"a": a, "b": b}, {}, 2 * a.nbytes + 4 * rows * rows)


def _labels(rng: np.random.Generator, sizes: Sizes) -> dict[str, np.ndarray]:
    rows = rng.uniform(0.05, 0.95, (sizes.batch, sizes.labels, 5)).astype(np.float32)
    rows[..., 0] = rng.integers(0, CLASSES, rows.shape[:2])
    rows[..., 3:] = rng.uniform(0.02, 0.5, (*rows.shape[:2], 2))
    counts = rng.integers(1, sizes.labels + 1, sizes.batch).astype(np.int32)
    return {"labels": rows, "counts": counts}


def _recipe(sizes: Sizes) -> dict[str, Any]:
    hyp = Recipe.of(CLASSES, sizes.side).hyp
    gains = {"box": hyp.box, "obj": hyp.obj, "cls": hyp.cls, "anchor_t": hyp.anchor_t, "balance": list(BALANCE)}
    return {**gains, "cls_pw": 1.0, "obj_pw": 1.0, "fl_gamma": 0.0, "label_smoothing": 0.0, "side": sizes.side}


def _assignment(labels: Mapping[str, np.ndarray], sizes: Sizes) -> Case:
    name = f"assignment, {sizes.batch} images"
    return Case(name, "assign", labels, _recipe(sizes), None)


def _loss(rng: np.random.Generator, labels: Mapping[str, np.ndarray], sizes: Sizes) -> Case:
    heads = {}
    for level, stride in enumerate(STRIDES):
        cells = sizes.side // stride
        shape = (sizes.batch, 3 * (5 + CLASSES), cells, cells)
        heads[f"head{level}"] = rng.normal(0, 1, shape).astype(np.float32)
    every = sum(head.nbytes for head in heads.values())
    name = f"loss with gradient, {sizes.batch} images"
    return Case(name, "loss", {**labels, **heads}, _recipe(sizes), every + every // (5 + CLASSES))


def _update(rng: np.random.Generator, optimizer: str, parameters: int) -> Case:
    """Biases and batch norms are a two-hundredth each; statistics twice as many as batch norms."""
    small = parameters // 200
    groups = [small, parameters - 2 * small, small, 2 * small]
    values = rng.normal(0, 0.1, sum(groups)).astype(np.float32)
    gradient = rng.normal(0, 0.01, parameters).astype(np.float32)
    # gradient: norm, use, zeros; values, first moment, average (and second moment): read and written.
    passes = 3 + 6 + (2 if optimizer == "AdamW" else 0)
    settings = {"optimizer": optimizer, "groups": groups, "rate": 0.01, "momentum": 0.9, "decay": 5e-4, "keep": 0.999}
    name = f"update, {optimizer}, {parameters / 1e6:.1f} M"
    return Case(name, "update", {"values": values, "gradient": gradient}, settings, 4 * passes * parameters)


def _norm(rng: np.random.Generator, precision: str, shape: tuple[int, int, int]) -> Case:
    """Both ways over a map: forward reads it twice and writes one; backward reads both maps twice and writes one."""
    images, side, channels = shape
    source, gradient = rng.normal(0, 1, (2, images, side, side, channels)).astype(np.float32)
    if precision != "fp32":  # exact in either short type: seven bits behind the point
        source, gradient = (np.round(array * 16) / 16 for array in (source, gradient))
    values = np.stack([rng.uniform(0.5, 2, channels), *rng.normal(0, 1, (2, channels)), np.ones(channels)])
    arrays = {"source": source, "gradient": gradient, "values": values.astype(np.float32)}
    size = source.size * (4 if precision == "fp32" else 2)
    return Case(f"norm + SiLU, {precision}", "norm", arrays, {"precision": precision}, size)


BYTES_OF_PART = {"forward": 3, "backward": 5}
"""Times a norm's map is read or written."""

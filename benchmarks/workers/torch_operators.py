"""Worker: the same operators composed of PyTorch's and torchvision's on a device."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.cuda_cases import CLASSES, STRIDES, Case, cell_anchors, geometry
from benchmarks.peers.torch_detection import Decoder, detect
from benchmarks.peers.torch_loss import TorchLoss, match
from benchmarks.workers.operators import Arrays, OperatorTask
from benchmarks.workers.serve import serve
from benchmarks.workers.torch_training import listed

MAX_NORM = 10.0


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Parts that are timed, on data that lies on the device, and what they give."""

    parts: Mapping[str, Callable[[], object]]
    results: Callable[[], Arrays]


class TorchOperators(OperatorTask):
    """Each part runs as PyTorch runs it: kernels are started one by one, and the host waits where the part asks."""

    def start(self, device: str) -> None:
        self._device, self._prepared = torch.device(device), {}
        torch.backends.cudnn.benchmark = True

    def results(self, case: Case) -> Arrays:
        return self._of(case).results()

    def times(self, case: Case, runs: int) -> Mapping[str, float]:
        return {part: self._timed(run, runs) for part, run in self._of(case).parts.items()}

    def _of(self, case: Case) -> Prepared:
        if case.name not in self._prepared:
            arrays = {name: torch.from_numpy(array).to(self._device) for name, array in case.arrays.items()}
            arrays["nothing"] = torch.empty(0, device=self._device)
            self._prepared[case.name] = OPERATORS[case.operator](arrays, case.settings)
        return self._prepared[case.name]

    def _timed(self, run: Callable[[], object], runs: int) -> float:
        run()
        self._wait()
        begin = time.perf_counter()
        for _ in range(runs):
            run()
        self._wait()
        return 1000 * (time.perf_counter() - begin) / runs

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()


Tensors = Mapping[str, torch.Tensor]


def _given(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().float().contiguous().cpu().numpy()


def _copy(tensors: Tensors, settings: Mapping[str, Any]) -> Prepared:
    source, target = (tensors["nothing"].new_empty(settings["bytes"], dtype=torch.uint8) for _ in "st")
    return Prepared({"run": lambda: target.copy_(source)}, dict)


def _letterbox(tensors: Tensors, settings: Mapping[str, Any]) -> Prepared:
    images, side = tensors["images"], settings["side"]
    height, width = images.shape[1:3]
    gain = min(side / height, side / width)
    size = round(height * gain), round(width * gain)
    down, across = side - size[0], side - size[1]
    margins = (across // 2, across - across // 2, down // 2, down - down // 2)

    def run() -> torch.Tensor:
        planes = images.permute(0, 3, 1, 2).float()
        resized = functional.interpolate(planes, size, mode="bilinear", align_corners=False)
        padded = functional.pad(resized, margins, value=114.0)
        return (padded / 255).half().contiguous(memory_format=torch.channels_last)

    return Prepared({"run": run}, lambda: {"map": _given(run().permute(0, 2, 3, 1))})


def _decode(tensors: Tensors, settings: Mapping[str, Any]) -> Prepared:
    heads = [tensors[f"head{level}"] for level in range(len(STRIDES))]
    decoder = Decoder(heads, geometry(), CLASSES)

    @torch.inference_mode()
    def run() -> list[torch.Tensor]:
        return detect(decoder(heads), **settings)

    return Prepared({"run": run}, lambda: _padded(run(), settings["max_det"]))


def _nms(tensors: Tensors, settings: Mapping[str, Any]) -> Prepared:
    """What is timed is ``batched_nms`` alone: scores, classes and corners are there before."""
    from torchvision.ops import batched_nms

    rows = tensors["predictions"][0]
    scores, classes = (rows[:, 4:5] * rows[:, 5:]).max(1)
    half = rows[:, 2:4] / 2
    boxes = torch.cat((rows[:, :2] - half, rows[:, :2] + half), 1)

    def run() -> torch.Tensor:
        return batched_nms(boxes, scores, classes, settings["iou"])[: settings["max_det"]]

    def results() -> Arrays:
        kept = run()
        return _padded([torch.cat((boxes, scores[:, None], classes[:, None]), 1)[kept]], settings["max_det"])

    return Prepared({"run": run}, results)


def _padded(found: list[torch.Tensor], places: int) -> Arrays:
    rows = np.zeros((len(found), places, 6), np.float32)
    for image, one in enumerate(found):
        rows[image, : len(one)] = _given(one)
    return {"rows": rows, "counts": np.array([len(one) for one in found], np.int32)}


def _iou(tensors: Tensors, settings: Mapping[str, Any]) -> Prepared:
    from torchvision.ops import box_iou

    def run() -> torch.Tensor:
        return box_iou(tensors["a"], tensors["b"])

    return Prepared({"run": run}, lambda: {"iou": _given(run())})


def _labels(tensors: Tensors) -> torch.Tensor:
    device = tensors["labels"].device
    return listed(tensors["labels"].cpu().numpy(), tensors["counts"].cpu().numpy()).to(device)


def _assign(tensors: Tensors, settings: Mapping[str, Any]) -> Prepared:
    labels = _labels(tensors)
    anchors = torch.from_numpy(cell_anchors()).to(labels.device)

    def run() -> list[int]:
        grids = [(settings["side"] // stride,) * 2 for stride in STRIDES]
        return [len(match(labels, sizes, grid, settings["anchor_t"])[4]) for sizes, grid in zip(anchors, grids)]

    return Prepared({"run": run}, lambda: {"matches": np.array(run())})


def _loss(tensors: Tensors, settings: Mapping[str, Any]) -> Prepared:
    labels = _labels(tensors)
    heads = [tensors[f"head{level}"].clone().requires_grad_() for level in range(len(STRIDES))]
    anchors = torch.from_numpy(cell_anchors()).to(labels.device)
    loss = TorchLoss(anchors, *[settings[name] for name in ("box", "obj", "cls", "anchor_t", "balance")])

    def run() -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        total, parts = loss(heads, labels)
        return parts, torch.autograd.grad(total, heads)

    def results() -> Arrays:
        parts, gradients = run()
        return {"parts": _given(parts)} | {f"gradient{level}": _given(g) for level, g in enumerate(gradients)}

    return Prepared({"run": run}, results)


def _update(tensors: Tensors, settings: Mapping[str, Any]) -> Prepared:
    """The weights in as many tensors as yolov5s has, updated by the fused optimizer."""
    values, parameters = tensors["values"].clone(), len(tensors["gradient"])
    bias, weight, norm, _ = settings["groups"]
    pieces = [*_cut(bias, 3), *_cut(weight, 60), *_cut(norm, 114)]
    tracked = [piece.clone() for piece in values[:parameters].split(pieces)]
    rest, average = values[parameters:].clone(), [piece.clone() for piece in values[:parameters].split(pieces)]
    average.append(rest.clone())
    for piece, slope in zip(tracked, tensors["gradient"].split(pieces)):
        piece.requires_grad_()
        piece.grad = slope.clone()
    decays = range(len(_cut(bias, 3)), len(_cut(bias, 3)) + len(_cut(weight, 60)))
    groups = [
        {"params": [tracked[i] for i in decays], "weight_decay": settings["decay"]},
        {"params": [tracked[i] for i in range(len(tracked)) if i not in decays], "weight_decay": 0.0},
    ]
    if settings["optimizer"] == "SGD":
        optimizer = torch.optim.SGD(groups, settings["rate"], settings["momentum"], nesterov=True, fused=True)
    else:
        optimizer = torch.optim.AdamW(groups, settings["rate"], (settings["momentum"], 0.999), fused=True)

    def run() -> None:
        nn.utils.clip_grad_norm_(tracked, MAX_NORM, foreach=True)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, [*tracked, rest], 1 - settings["keep"])
            torch._foreach_zero_([piece.grad for piece in tracked])

    def results() -> Arrays:  # asked for before any time is taken
        run()
        after = torch.cat([*(piece.detach() for piece in tracked), rest])
        return {"values": _given(after), "average": _given(torch.cat(average))}

    return Prepared({"run": run}, results)


def _cut(count: int, pieces: int) -> list[int]:
    """``count`` in so many numbers, nearly equal, none of them 0."""
    bounds = np.linspace(0, count, min(pieces, count) + 1).astype(int)
    return np.diff(bounds).tolist()


def _norm(tensors: Tensors, settings: Mapping[str, Any]) -> Prepared:
    """As autocast does it: the map in short numbers, weights and statistics float32."""
    number = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[settings["precision"]]
    source, gradient = (tensors[name].to(number).permute(0, 3, 1, 2) for name in ("source", "gradient"))
    source, values = source.requires_grad_(), tensors["values"]
    weight, bias = (values[row].clone().requires_grad_() for row in (0, 1))
    mean, variance = values[2].clone(), values[3].clone()

    def forward() -> torch.Tensor:
        return functional.silu(functional.batch_norm(source, mean, variance, weight, bias, True, 0.03, 1e-3))

    made = forward()

    def backward() -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(made, (source, weight, bias), gradient, retain_graph=True)

    def results() -> Arrays:
        slopes = backward()
        maps = {"forward": _given(forward().permute(0, 2, 3, 1)), "backward": _given(slopes[0].permute(0, 2, 3, 1))}
        return {**maps, "parameters": np.stack([_given(slope) for slope in slopes[1:]])}

    return Prepared({"forward": forward, "backward": backward}, results)


OPERATORS: Mapping[str, Callable[[Tensors, Mapping[str, Any]], Prepared]] = {
    "copy": _copy,
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
    serve(TorchOperators())

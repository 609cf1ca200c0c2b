"""Worker: this project's operators on a CUDA device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.cuda_cases import CLASSES, PACK, STRIDES, Case, cell_anchors, geometry
from benchmarks.cuda_module import open_module
from benchmarks.workers.operators import Arrays, OperatorTask
from benchmarks.workers.serve import serve
from yolo.data.letterbox import fit


class CudaOperators(OperatorTask):
    """Data goes to the device before the time begins, results come back after it ended."""

    def start(self, device: str) -> None:
        self._module = open_module(device)

    def results(self, case: Case) -> Arrays:
        return OPERATORS[case.operator](self._module, case.arrays, case.settings, None)

    def times(self, case: Case, runs: int) -> Mapping[str, float]:
        timer = self._module.Timer(runs)
        OPERATORS[case.operator](self._module, case.arrays, case.settings, timer)
        return timer.ms


def _copy(module: ModuleType, arrays: Arrays, settings: Mapping[str, Any], timer: Any) -> Arrays:
    if timer is not None:
        module.copy(settings["bytes"], timer)
    return {}


def _letterbox(module: ModuleType, arrays: Arrays, settings: Mapping[str, Any], timer: Any) -> Arrays:
    side, images = settings["side"], list(arrays["images"])
    boxes = [fit(image.shape[:2], (side, side)) for image in images]
    places = [(*box.resized, box.offset[1], box.offset[0]) for box in boxes]
    found = module.letterbox_map(images, places, side, side, False, "float16", PACK, timer=timer)
    return {"map": found.view(np.float16)[..., :3]}


def _decode(module: ModuleType, arrays: Arrays, settings: Mapping[str, Any], timer: Any) -> Arrays:
    heads = [arrays[f"head{level}"] for level in range(len(STRIDES))]
    batch = len(heads[0])
    none = np.zeros((batch, 0, 5), np.float32), np.zeros(batch, np.int32)
    options = {**_suppression(settings), "timer": timer}
    return _detections(module.detect(heads, geometry(), CLASSES, *none, **options))


def _nms(module: ModuleType, arrays: Arrays, settings: Mapping[str, Any], timer: Any) -> Arrays:
    return _detections(module.nms(arrays["predictions"], timer=timer, **_suppression(settings)))


def _suppression(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"agnostic": False, "max_candidates": 30_000, "wanted": np.zeros(0, np.uint8), **settings}


def _detections(found: tuple[np.ndarray, np.ndarray]) -> Arrays:
    return dict(zip(("rows", "counts"), found))


def _iou(module: ModuleType, arrays: Arrays, settings: Mapping[str, Any], timer: Any) -> Arrays:
    return {"iou": module.pairwise_iou(arrays["a"], arrays["b"], timer=timer)}


def _assign(module: ModuleType, arrays: Arrays, settings: Mapping[str, Any], timer: Any) -> Arrays:
    grids = [(settings["side"] // stride,) * 2 for stride in STRIDES]
    given = arrays["labels"], arrays["counts"], list(cell_anchors()), grids, settings["anchor_t"]
    return {"matches": np.array([len(rows) for rows in module.assign(*given, timer=timer)])}


def _loss(module: ModuleType, arrays: Arrays, settings: Mapping[str, Any], timer: Any) -> Arrays:
    heads = [arrays[f"head{level}"] for level in range(len(STRIDES))]
    shaped = [head.reshape(len(head), 3, 5 + CLASSES, *head.shape[2:]) for head in heads]
    given = shaped, arrays["labels"], arrays["counts"], list(cell_anchors()), dict(settings)
    _, parts, gradients = module.detection_loss(*given, timer=timer)
    found = {f"gradient{level}": array.reshape(head.shape) for level, (array, head) in enumerate(zip(gradients, heads))}
    return {"parts": parts[1:], **found}


def _update(module: ModuleType, arrays: Arrays, settings: Mapping[str, Any], timer: Any) -> Arrays:
    values, optimizer = arrays["values"].copy(), settings["optimizer"]
    parameters = len(arrays["gradient"])
    moments = [np.zeros(parameters, np.float32), np.zeros(parameters if optimizer != "SGD" else 1, np.float32)]
    vectors = [values, np.zeros(parameters, np.float32), *moments, values.copy()]
    rate, momentum = settings["rate"], settings["momentum"]
    rates = [rate, rate, rate, momentum, settings["keep"], 1 - momentum, 1 - 0.999]
    given = np.float32([rates]), arrays["gradient"][None], settings["decay"]
    module.update_parameters(optimizer, vectors, settings["groups"], *given, timer=timer)
    return {"values": vectors[0], "average": vectors[4]}


def _norm(module: ModuleType, arrays: Arrays, settings: Mapping[str, Any], timer: Any) -> Arrays:
    source, values = arrays["source"], arrays["values"]
    how = settings["precision"], 0, source.shape[-1], source, values, "SiLU", 0.0
    maps = [], [np.zeros_like(source)], [arrays["gradient"]], False
    found = module.norm_act_add(*how, *maps, timer=timer)
    return {"forward": found["targets"][0], "backward": found["source_gradient"], "parameters": found["gradient"][:2]}


OPERATORS: Mapping[str, Callable[[ModuleType, Arrays, Mapping[str, Any], Any], Arrays]] = {
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
    serve(CudaOperators())

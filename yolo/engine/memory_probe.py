"""``python -m yolo.engine.memory_probe OPTIONS OF yolo.train``: what a training with these options holds in memory.

It trains one step on the largest shape of batch, validates one batch and gathers a checkpoint, as a training would.
Images are not cached; what a cache in memory would take is worked out. Prints one JSON object: memory (bytes),
seconds (of the step), pictures (in the training set), device; or refused: why there is no such training.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from yolo import runtime
from yolo.config.commands import TrainConfig
from yolo.config.options import parse
from yolo.data.batch import Batch
from yolo.data.layout import QUAD
from yolo.data.letterbox import resized_size
from yolo.data.loader import ValLoader
from yolo.data.records import Index
from yolo.engine.memory import free_gpu_memory, peak_memory
from yolo.errors import ConfigError, YoloError


class _FirstBatch:
    """A validation loader that ends after its first batch."""

    def __init__(self, loader: ValLoader) -> None:
        self._loader, self.index = loader, loader.index

    def batches(self) -> Iterator[Batch]:
        yield next(iter(self._loader.batches()))


def probe(config: TrainConfig) -> dict[str, Any]:
    """Build, train a step, validate a batch; give what is printed."""
    device = runtime.select_device(config.device, compile=config.compile)
    gpu = int(device.rpartition(":")[2]) if device.startswith("cuda") else None
    free = None if gpu is None else _free_at_first(gpu)
    from yolo.engine.build import build_parts

    parts, schedule = build_parts(dataclasses.replace(config, cache=""), device)
    batches = parts.loader.batches(0)  # stays open, so that the batches made ahead are there too
    batch = _largest(next(batches), parts.loader.shapes(), config.batch_size // (QUAD if config.quad else 1))
    begin = time.perf_counter()
    parts.step.backward(batch)
    parts.step.update(schedule.rates(0, 1))
    seconds = time.perf_counter() - begin
    checkpoint = parts.step.state.snapshot()
    indices = [parts.loader.index] + [parts.validator.loader.index] * (not config.noval)
    parts.validator.loader = _FirstBatch(parts.validator.loader)
    parts.validate_ema()
    memory = peak_memory() if gpu is None else free - free_gpu_memory(gpu)
    if config.cache == "ram" and gpu is None:
        memory += sum(image_bytes(index, parts.imgsz) for index in indices)
    del checkpoint, batches
    return {"memory": memory, "seconds": seconds, "pictures": len(parts.loader.index), "device": device}


def _free_at_first(gpu: int) -> int:
    """Bytes; raises ConfigError where nobody says."""
    try:
        return free_gpu_memory(gpu)
    except OSError as error:
        raise ConfigError(str(error), where="--batch-size -1", hint="give a number") from error


def _largest(batch: Batch, shapes: Sequence[tuple[int, int, int, int]], count: int) -> Batch:
    """``batch`` as one of ``count`` images, however few the set has, in the largest size that comes."""
    shape = (count, 3, *max((shape[2:] for shape in shapes), key=math.prod))
    if batch.images.shape == shape:
        return batch
    labels = tuple(itertools.islice(itertools.cycle(batch.labels), count))
    return dataclasses.replace(batch, images=np.zeros(shape, np.uint8), labels=labels, uploaded=None)


def image_bytes(index: Index, imgsz: int) -> int:
    """Bytes of all images of an index, as a cache holds them."""
    sizes = (resized_size((int(height), int(width)), imgsz) for height, width in index.shapes)
    return sum(3 * height * width for height, width in sizes)


def main(argv: list[str] | None = None) -> int:
    """Run the command; give its exit code."""
    try:
        found = probe(parse(TrainConfig, sys.argv[1:] if argv is None else argv, "yolo.train"))
    except YoloError as error:
        found = {"refused": str(error)}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""``--batch-size -1``: the batch that fills a share of the memory, from what small ones take."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from statistics import linear_regression

from yolo.config.commands import TrainConfig
from yolo.config.options import to_argv
from yolo.engine.child import start_child, stop_child
from yolo.engine.memory import free_gpu_memory
from yolo.errors import ConfigError, YoloError
from yolo.inference.compile import is_compiled
from yolo.io.memory import free_memory

logger = logging.getLogger("yolo")

SHARE = 0.8
"""Of the free memory that a training may take (YOLOv5)."""
SIZES = (1, 2, 4)
"""Batches that are measured; --quad takes four images at a time, and so many times as many."""
MOST = 1024
GB = 1e9
_FLOAT_BYTES = 4
_WHERE = "--batch-size -1"
_HINT = "lower --imgsz, or take a smaller model"


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a training with batches of ``size`` took: bytes at its peak, seconds a step; images: in its data set."""

    size: int
    memory: int
    seconds: float
    images: int
    device: str = "cpu"


Measure = Callable[[TrainConfig], "Measured | None"]


def with_batch_size(
    config: TrainConfig, measure: Measure | None = None, free: Callable[[str], int] | None = None
) -> TrainConfig:
    """``config`` with the batch size that is to be used. Raises ConfigError where not even one image a step fits."""
    if config.batch_size > 0:
        return config
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise ConfigError("one process cannot measure for several", where=_WHERE, hint="give a number")
    unit = 4 if config.quad else 1
    logger.info("autobatch: measuring memory and time at batch sizes %s", ", ".join(str(unit * size) for size in SIZES))
    measured = _measure_all(config, measure or measure_in_child, free or free_on)
    room = (free or free_on)(measured[0].device) / config.parallel
    slope, base = memory_line(measured, config.imgsz)
    fits = int((SHARE * room - base) // slope) // unit * unit
    if fits < unit:
        raise ConfigError(
            f"not even {_images(unit)} a step fits: it takes {(base + unit * slope) / GB:.2f} GB, "
            f"and {SHARE:.0%} of the free memory are {SHARE * room / GB:.2f} GB",
            where=_WHERE,
            hint=_HINT,
        )
    chosen = most = max(min(fits, measured[0].images, MOST) // unit * unit, unit)
    plain = not is_compiled(measured[0].device, config.compile)

    def needed(size: int) -> float:
        return base + slope * (size + (_last_batch(size, measured[0].images) if plain else 0))

    while chosen > unit and needed(chosen) > SHARE * room:
        chosen -= unit
    expected = needed(chosen)
    logger.info("%s", _table(measured, chosen, expected))
    why = ""
    if most != fits:
        why = f"there are {measured[0].images} images" if most < MOST else "that is the most"
        why = f"; {fits} would fit, but {why}"
    logger.info(
        "autobatch: --batch-size %d takes %.0f%% of the %.2f GB of free memory%s",
        *(chosen, 100 * expected / room, room / GB, why),
    )
    return dataclasses.replace(config, batch_size=chosen)


def _last_batch(size: int, images: int) -> int:
    """Images of a smaller last batch, 0 where there is none: with plain modules its graph has memory of its own."""
    return images % size if images > size else 0


def memory_line(measured: Sequence[Measured], imgsz: int) -> tuple[float, float]:
    """Bytes an image, and bytes without any: the line through what was measured, not flatter than a float image."""
    least = 3.0 * imgsz * imgsz * _FLOAT_BYTES
    sizes, memory = ([float(getattr(one, name)) for one in measured] for name in ("size", "memory"))
    # Not NumPy's: its last digit, and with it the batch, depends on the processor.
    slope = max(least, linear_regression(sizes, memory).slope) if len(measured) > 1 else memory[0]
    return slope, max(0.0, *(taken - slope * size for size, taken in zip(sizes, memory)))


def measure_in_child(config: TrainConfig) -> Measured | None:
    """Train a step in a process of its own; None where it is killed, as the system does when memory is short."""
    with tempfile.TemporaryFile() as log:
        arguments = to_argv(config)
        process = start_child("yolo.engine.memory_probe", arguments, stdout=subprocess.PIPE, stderr=log)
        try:
            answer = process.communicate()[0]
        finally:
            stop_child(process)
        if process.returncode:
            log.seek(0)
            last = log.read().decode("utf-8", "replace").strip().splitlines()[-1:]
            if process.returncode < 0 or "MemoryError" in "".join(last):
                return None
            raise YoloError(f"the measurement failed: {' '.join(last)}", where=_WHERE, hint="give a number")
    found = json.loads(answer)
    if "refused" in found:
        raise YoloError(found["refused"])
    return Measured(config.batch_size, found["memory"], found["seconds"], found["pictures"], found["device"])


def free_on(device: str) -> int:
    """Bytes of memory free for a training on "cpu" or "cuda:…"."""
    return free_memory() if device == "cpu" else free_gpu_memory(int(device.rpartition(":")[2]))


def _measure_all(config: TrainConfig, measure: Measure, free: Callable[[str], int]) -> list[Measured]:
    """The sizes as far as they fit."""
    measured: list[Measured] = []
    unit = 4 if config.quad else 1
    for size in (unit * size for size in SIZES):
        if len(measured) > 1:
            slope, base = memory_line(measured, config.imgsz)
            if base + slope * size > SHARE * free(measured[0].device):
                break
        found = measure(dataclasses.replace(config, batch_size=size, evolve=0, parallel=1))
        if found is None:
            break
        measured.append(found)
    if not measured:
        raise ConfigError(f"not even {_images(unit)} a step fits into memory", where=_WHERE, hint=_HINT)
    return measured


def _images(number: int) -> str:
    return "one image" if number == 1 else f"{number} images"


def _table(measured: Sequence[Measured], chosen: int, memory: float) -> str:
    rows = [f"{'batch':>8}{'memory':>12}{'a step':>12}"]
    rows += [f"{one.size:>8}{one.memory / GB:>9.2f} GB{one.seconds:>10.2f} s" for one in measured]
    return "\n".join([*rows, f"{chosen:>8}{memory / GB:>9.2f} GB   expected"])

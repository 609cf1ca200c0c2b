"""Weights files made smaller: without what only going on with training needs."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

from yolo.errors import ConfigError
from yolo.models.weights.load import load_weights, resolve_weights
from yolo.models.weights.safetensors_io import save_checkpoint
from yolo.program.file import is_program

logger = logging.getLogger("yolo")


def strip_weights(name_or_path: str | Path) -> Path:
    """Take the training state out of a checkpoint, in place; give the file that then holds the weights.

    A `.pt` stays as it is, since such files are only read: the weights go into a `.safetensors` beside it. Raises
    WeightsError, and ConfigError for a compiled detector or where that file is there already.
    """
    if is_program(name_or_path):
        raise ConfigError("a compiled detector has no training state", where=name_or_path, hint="leave --update out")
    path = resolve_weights(name_or_path)
    checkpoint = load_weights(path)
    target = path.with_suffix(".safetensors")
    if target != path and target.exists():
        raise ConfigError("is there already", where=target, hint=f"move it away, or update it instead of {path.name}")
    if target == path and checkpoint.training is None:
        logger.info("%s has no training state", path)
        return path
    before = path.stat().st_size
    save_checkpoint(target, dataclasses.replace(checkpoint, training=None))
    logger.info("%s: %.1f MB, %s was %.1f MB", target, target.stat().st_size / 1e6, path.name, before / 1e6)
    return target

"""Weights that know the same classes in the contrary order."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from yolo.models.weights.load import load_weights
from yolo.models.weights.safetensors_io import save_checkpoint


def swapped(weights: Path, path: Path, names: tuple[str, ...] | None = None) -> Path:
    """A copy of ``weights`` with its class outputs in contrary order; ``names``: instead of the right ones."""
    checkpoint = load_weights(weights)
    model, count = dict(checkpoint.model), len(checkpoint.names)
    last = max(int(name.split(".")[1]) for name in model)
    for name, values in model.items():
        if name.startswith(f"model.{last}.m."):
            by_anchor = values.reshape(-1, 5 + count, *values.shape[1:])
            both = np.concatenate((by_anchor[:, :5], by_anchor[:, :4:-1]), axis=1)
            model[name] = np.ascontiguousarray(both.reshape(values.shape))
    found = names or checkpoint.names[::-1]
    return save_checkpoint(path, dataclasses.replace(checkpoint, model=model, names=found))

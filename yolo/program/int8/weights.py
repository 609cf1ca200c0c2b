"""Weights as whole numbers, one step an output channel."""

from __future__ import annotations

import numpy as np


def quantised_weight(weight: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers -limit..limit (as float32, in the weight's shape) and the steps float32 [out] they count.

    weight: [out, ...]. The step of a channel is its largest weight / limit; of a channel of zeros it is 1.
    """
    rows = np.asarray(weight, np.float32).reshape(len(weight), -1)
    steps = (np.abs(rows).max(1) / np.float32(limit)).astype(np.float32)
    steps[~(steps > 1e-30)] = 1.0
    whole = np.clip(np.rint(rows / steps[:, None]), -limit, limit)
    return np.nan_to_num(whole).astype(np.float32).reshape(weight.shape), steps


def corrected_bias(
    bias: np.ndarray, weight: np.ndarray, whole: np.ndarray, steps: np.ndarray, mean: np.ndarray
) -> np.ndarray:
    """The bias [out] without what the rounding of the weights adds on the average.

    weight and whole: [out, in / groups, kh, kw]; mean [in]: of the input's channels. (Nagel et al., "Data-free
    quantization through weight equalization and bias correction", 2019, section 4.2; borders are not looked at.)
    """
    error = (whole * steps.reshape(-1, 1, 1, 1) - weight).sum((2, 3), dtype=np.float64)
    groups = len(mean) // weight.shape[1]
    own = np.repeat(mean.reshape(groups, -1).astype(np.float64), len(weight) // groups, axis=0)
    return (bias - (error * own).sum(1)).astype(np.float32)

"""Weights as whole numbers, one step an output channel."""

from __future__ import annotations

from typing import Final

import numpy as np

MOST_WEIGHT: Final = 127
MOST_OF_FOUR: Final = 128
"""Times 255 it is within 16 bits."""
MOST_SUM: Final = 2**25
"""Of bytes times weights: 64 times that is within 32 bits, with its sign."""


def quantised_weight(weight: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers -limit..limit (as float32, in the weight's shape) and the steps float32 [out] they count.

    weight: [out, ...]. The step of a channel is its largest weight / limit; of a channel of zeros it is 1.
    """
    rows = np.asarray(weight, np.float32).reshape(len(weight), -1)
    steps = (np.abs(rows).max(1) / np.float32(limit)).astype(np.float32)
    steps[~(steps > 1e-30)] = 1.0
    whole = np.clip(np.rint(rows / steps[:, None]), -limit, limit)
    return np.nan_to_num(whole).astype(np.float32).reshape(weight.shape), steps


def quantised_in_fours(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same for kernels that add up four products of bytes in 16 bits (csrc/program/cpu/int8_weights.h).

    weight: [out, in, kh, kw]. Of any four weights that meet in one sum those of a sign come to 128 at most. A
    channel has no step below 1e-30 / 128.
    """
    weight = np.asarray(weight, np.float32)
    largest = _largest_fours(weight)
    whole, steps = np.zeros_like(weight), np.ones(len(weight), np.float32)
    left = largest > 1e-30
    for most in (MOST_OF_FOUR, MOST_OF_FOUR - 1, MOST_OF_FOUR - 2):  # where rounding makes more: it adds 2 at most
        steps[left] = (largest[left] / np.float32(most)).astype(np.float32)
        whole[left] = np.rint(weight[left] / steps[left, None, None, None])
        left = (_largest_fours(whole) > MOST_OF_FOUR) | (np.abs(whole).max((1, 2, 3)) > MOST_WEIGHT)
    return whole, steps


def quantised_for_winograd(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same where sums of products with bytes must be within 26 bits (csrc/program/cpu/int8_weights.h).

    weight: [out, in, 3, 3]. With fewer than 512 channels hardly any weights come near it.
    """
    weight = np.asarray(weight, np.float32)
    rows = np.abs(weight).reshape(len(weight), -1)
    most = (MOST_SUM - 1) // 255 - rows.shape[1]  # rounding adds up to a half each
    steps = np.maximum(rows.max(1) / np.float32(MOST_WEIGHT), rows.sum(1) / np.float32(most)).astype(np.float32)
    steps[~(steps > 1e-30)] = 1.0
    whole = np.clip(np.rint(weight / steps[:, None, None, None]), -MOST_WEIGHT, MOST_WEIGHT)
    return np.nan_to_num(whole).astype(np.float32), steps


def _largest_fours(weight: np.ndarray) -> np.ndarray:
    """Of each channel, the most that four weights of one sum and one sign come to."""
    runs = np.moveaxis(weight, 1, 3).reshape(len(weight), weight.shape[2], -1)
    filled = np.pad(runs, ((0, 0), (0, 0), (0, -runs.shape[2] % 8)))
    fours = filled.reshape(*filled.shape[:2], -1, 2, 2, 2)  # eights: halves, pairs, the two of a pair
    return np.maximum(np.maximum(fours, 0).sum((3, 5)), np.maximum(-fours, 0).sum((3, 5))).max((1, 2, 3))


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

"""Batch norm folded into the convolution before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from yolo.errors import WeightsError

_NORM: Final = ("weight", "bias", "running_mean", "running_var")


def fold_batchnorm(state: Mapping[str, np.ndarray], eps: float = 1e-3) -> dict[str, np.ndarray]:
    """The state of the fused network: each `X.conv` + `X.bn` becomes `X.conv` with weight and bias.

    Computed in float64, given in the convolution's own type: w' = w·γ/√(σ² + eps), b' = β + (b − μ)·γ/√(σ² + eps).
    Batch norms that do not follow a convolution directly (BottleneckCSP's) stay. A fused state comes back
    as it is. Raises WeightsError where a batch norm's tensors are missing or of the wrong length.
    """
    blocks = [key[: -len(".conv.weight")] for key in state if key.endswith(".conv.weight")]
    folding = [block for block in blocks if f"{block}.bn.weight" in state]
    gone = {f"{block}.bn." for block in folding}
    fused = {key: value for key, value in state.items() if key.rpartition(".")[0] + "." not in gone}
    for block in folding:
        fused.update(_fold(state, block, eps))
    return fused


def unfold_batchnorm(state: Mapping[str, np.ndarray], eps: float = 1e-3) -> dict[str, np.ndarray]:
    """A fused state for a network with batch norms: those have mean 0, variance 1, scale √(1 + eps), the bias as shift.

    In evaluation it computes what the fused one does; in training each batch's own statistics take their place.
    """
    biases = [key for key in state if key.endswith(".conv.bias")]
    unfolded = {key: values for key, values in state.items() if key not in biases}
    for key in biases:
        norm, bias = f"{key[: -len('.conv.bias')]}.bn", state[key]
        unfolded[f"{norm}.weight"] = np.full_like(bias, np.sqrt(1 + eps))
        unfolded[f"{norm}.bias"] = bias
        unfolded[f"{norm}.running_mean"] = np.zeros_like(bias)
        unfolded[f"{norm}.running_var"] = np.ones_like(bias)
    return unfolded


def _fold(state: Mapping[str, np.ndarray], block: str, eps: float) -> dict[str, np.ndarray]:
    weight = state[f"{block}.conv.weight"]
    try:
        gamma, beta, mean, var = (state[f"{block}.bn.{name}"].astype(np.float64) for name in _NORM)
        scale = gamma / np.sqrt(var + eps)
        bias = state.get(f"{block}.conv.bias", np.zeros(len(weight)))
        folded = weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))
        shift = beta + (bias - mean) * scale
    except (KeyError, ValueError) as error:
        raise WeightsError(f"batch norm of {block} is incomplete or misshapen: {error}") from None
    return {
        f"{block}.conv.weight": folded.astype(weight.dtype),
        f"{block}.conv.bias": shift.astype(weight.dtype),
    }

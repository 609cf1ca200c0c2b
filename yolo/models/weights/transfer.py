"""Weights between files and networks, always in place so that compiled graphs see them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from oneflow import nn

from yolo.distributed.tensors import arrays_of, local, replicated
from yolo.models.config import parse_model_config
from yolo.models.fuse import fold_batchnorm, unfold_batchnorm
from yolo.models.init import assign
from yolo.models.network import Network, build_network
from yolo.models.weights.checkpoint import Checkpoint
from yolo.models.weights.shapes import require_state

_LOG = logging.getLogger("yolo")


@dataclass(frozen=True)
class Transfer:
    """How much of a checkpoint went into a network."""

    moved: int
    total: int
    """Tensors of the network."""
    skipped: tuple[str, ...] = ()
    """Tensors of the network that kept their values."""

    def __str__(self) -> str:
        return f"transferred {self.moved} of {self.total} tensors"


def transfer(network: Network, checkpoint: Checkpoint, *, exclude: Sequence[str] = ()) -> Transfer:
    """Copy every tensor of equal name and shape; names that contain a word of ``exclude`` stay as they are."""
    own = network.state_dict()
    fits = {
        name: values
        for name, values in _state_for(network, checkpoint.model).items()
        if name in own and tuple(own[name].shape) == values.shape and not any(word in name for word in exclude)
    }
    for name, values in fits.items():
        assign(own[name], values)
    network.read_anchors()
    return Transfer(len(fits), len(own), tuple(name for name in own if name not in fits))


def load_state(network: Network, state: Mapping[str, np.ndarray]) -> None:
    """Copy a whole state into ``network``; raises WeightsError unless names and shapes are the network's own.

    Batch norms' `num_batches_tracked` may be absent: no computation reads it.
    """
    own = network.state_dict()
    require_state({name: tuple(tensor.shape) for name, tensor in own.items()}, state)
    for name, values in state.items():
        assign(own[name], values)
    network.read_anchors()


def network_from_checkpoint(checkpoint: Checkpoint, *, fused: bool = False) -> Network:
    """The network that ``checkpoint`` describes, with its weights; ``fused`` folds the batch norms.

    Weights that were fused before they were saved give a fused network in any case.
    """
    config = parse_model_config(checkpoint.config, name="the checkpoint's configuration")
    fused = fused or is_fused(checkpoint.model)
    network = build_network(config, fused=fused, init=False)
    load_state(network, fold_batchnorm(checkpoint.model) if fused else checkpoint.model)
    return network


def is_fused(state: Mapping[str, np.ndarray]) -> bool:
    """Whether the convolution blocks of ``state`` have biases instead of batch norms."""
    blocks = [key[: -len(".conv.weight")] for key in state if key.endswith(".conv.weight")]
    return bool(blocks) and not any(f"{block}.bn.weight" in state for block in blocks)


def state_to_numpy(module: nn.Module) -> dict[str, np.ndarray]:
    """A copy of all parameters and buffers, gathered from all ranks where the module is global."""
    return arrays_of({name: local(replicated(tensor)) for name, tensor in module.state_dict().items()})


def checkpoint_of(
    network: Network, names: Sequence[str], model: dict[str, np.ndarray] | None = None, **fields: Any
) -> Checkpoint:
    """A Checkpoint of ``network``, as it is now unless ``model`` is given; ``fields``: `training`, `meta`."""
    config = network.config.as_dict(nc=network.nc, ch=network.spec.channels)
    held = state_to_numpy(network) if model is None else model
    return Checkpoint(held, config, tuple(names), network.strides, **fields)


def _state_for(network: Network, state: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    if network.fused:
        return fold_batchnorm(state)
    if is_fused(state):
        _LOG.warning("the weights are fused: their batch norms begin anew; the checkpoint before fuse() trains better")
        return unfold_batchnorm(state)
    return state

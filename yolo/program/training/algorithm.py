"""By which algorithm a convolution trains, forward and backward: by its shape, so that a plan is always the same."""

from __future__ import annotations

from typing import Final

from yolo.program.inference.algorithm import AMX, DIRECT, LEAST_CHANNELS, TILE, fits, is_plain, tiled
from yolo.program.ir import Shape
from yolo.program.target import Target
from yolo.program.training.fused import Convolutions

LEAST_OUTPUTS: Final = 64 * 4 * 4
"""Of a channel in a batch's tiles: each step transforms the weights and their gradient anew, which takes as long as
the products of fewer save."""


def algorithm(op: Convolutions, source: int, target: Shape, machine: Target) -> str:
    """The fastest one; ``source``: its channels; ``target``: shape of all its outputs, ``[B, C, H, W]``."""
    batch, channels, height, width = target
    node = op.nodes[0]
    if machine.amx:
        return AMX if is_plain(node) else DIRECT
    if op.bias or not fits(node, (source, channels), machine) or min(source, channels) < LEAST_CHANNELS[node.stride]:
        return DIRECT
    found, tiles = tiled(node, source, (height, width), machine)
    return found if batch * tiles * TILE[found] ** 2 >= LEAST_OUTPUTS else DIRECT

"""By which algorithm a convolution trains, forward and backward: by its shape, so that a plan is always the same."""

from __future__ import annotations

from typing import Final

from yolo.program.inference.algorithm import DIRECT, LEAST_CHANNELS, WINOGRAD, fits
from yolo.program.ir import Shape
from yolo.program.target import Target
from yolo.program.training.fused import Convolutions

_TILE: Final = 4
LEAST_TILES: Final = 64
"""Of a batch: each step transforms the weights and their gradient anew, which takes as long as fewer tiles save."""


def algorithm(op: Convolutions, source: int, target: Shape, machine: Target) -> str:
    """The faster one; ``source``: its channels; ``target``: shape of all its outputs, ``[B, C, H, W]``."""
    batch, channels, height, width = target
    tiles = -(-height // _TILE) * -(-width // _TILE)
    inside = 2 * height * width >= tiles * _TILE**2  # at least half of the tiles' outputs
    gains = inside and batch * tiles >= LEAST_TILES and min(source, channels) >= LEAST_CHANNELS
    fit = not op.bias and all(fits(node, (source, channels), machine) for node in op.nodes)
    return WINOGRAD if gains and fit else DIRECT

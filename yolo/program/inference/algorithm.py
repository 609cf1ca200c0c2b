"""By which algorithm a convolution is computed: chosen by its shape, so that a plan is the same every time."""

from __future__ import annotations

from typing import Final

from yolo.program.ir import Conv, Size
from yolo.program.target import Target

DIRECT: Final = "direct"
FOURS: Final = "fours"
"""Of bytes without VNNI: sums of four products in 16 bits (csrc/program/kernels/int8.h); direct ones are oneDNN's."""
WINOGRAD: Final = "winograd"
"""3x3 in tiles of 4x4 outputs (csrc/program/kernels/winograd.h). Of stride 1: F(4x4, 3x3), for a pair of channels 36
products a tile instead of 144. Of stride 2, where even and odd inputs meet taps of their own: 81."""
WINOGRAD_2X2: Final = "winograd_2x2"
"""3x3 of stride 2 in tiles of 2x2 outputs: 25 products instead of 36."""

AMX: Final = "amx"
"""Of bfloat16 and bytes, in tiles of 16 outputs by 16 channels (csrc/program/kernels/amx.h); sums as of direct ones."""

TILE: Final = {DIRECT: 1, WINOGRAD: 4, WINOGRAD_2X2: 2}
"""Outputs of a tile along one axis."""
LEAST_CHANNELS: Final = {(1, 1): 16, (2, 2): 32}
"""Of the source, by the stride: with fewer, the way to the points and back takes longer than the products saved."""
MOST_CHANNELS: Final = {8: 64, 16: 32}
"""Of a source whose convolution of stride 2 has tiles of 4x4, by the channels of a block: their weights, nine times as
many, leave the caches, and wider vectors are through with them sooner."""
LEAST_TILES: Final = 9
"""The weights are several times as many: for fewer tiles reading them takes longer than the products."""
_FAST: Final = ("avx2", "avx512")
"""Beginnings of the instruction sets for which there are fast kernels; the generic ones take four times as long."""
_MOST_KERNEL: Final = 16
_MOST_CHANNELS: Final = 4096
"""Of a sum within 26 bits, so that weights have steps enough."""
_ALL_WEIGHTS: Final = 127
"""A byte's: with these a processor multiplies bytes without bounds for them."""


def int8_algorithm(node: Conv, channels: tuple[int, int], target: Target) -> str:
    """By which kernels a convolution of bytes is computed: oneDNN's or our own; ``channels`` as below.

    It depends on no size, for weights are made for their kernels. All sums are exact.
    """
    if target.amx and is_plain(node):
        return AMX
    source, out = channels
    older = target.device == "cpu" and target.weight_limit < _ALL_WEIGHTS and target.instructions.startswith(_FAST)
    if not (is_plain(node) and older):
        return DIRECT
    shape = (node.kernel, node.stride, node.padding)
    whole = source % (2 * target.block) == 0 and out % target.block == 0 and source <= _MOST_CHANNELS
    return WINOGRAD if shape == ((3, 3), (1, 1), (1, 1)) and whole else FOURS


def is_plain(node: Conv) -> bool:
    """Whether kernels of ours that copy rows with their padding compute it."""
    small = all(side <= _MOST_KERNEL and edge < side for side, edge in zip(node.kernel, node.padding))
    return small and node.dilation == (1, 1) and node.groups == 1 and not node.transposed


def fits(node: Conv, channels: tuple[int, int], target: Target) -> bool:
    """Whether fast kernels of Winograd's compute this convolution; ``channels``: of its source and its target."""
    shape = (node.kernel, node.padding, node.dilation, node.groups, node.transposed)
    if shape != ((3, 3), (1, 1), (1, 1), 1, False) or node.stride not in LEAST_CHANNELS:
        return False
    if any(number % target.block for number in channels):
        return False
    floats = target.layout == "blocked" and target.precision == "fp32"
    return floats and target.instructions.startswith(_FAST)


def tiled(node: Conv, source: int, size: Size, target: Target) -> tuple[str, int]:
    """Winograd's form for a convolution that fits, and its tiles; direct, and none, where less than half of their
    outputs are inside of the map. ``source``: its channels; ``size``: height and width of its output."""
    found = WINOGRAD_2X2 if node.stride == (2, 2) and source > MOST_CHANNELS[target.block] else WINOGRAD
    (height, width), side = size, TILE[found]
    tiles = -(-height // side) * -(-width // side)
    return (found, tiles) if 2 * height * width >= tiles * side**2 else (DIRECT, 0)


def algorithm(node: Conv, channels: tuple[int, int], size: Size, target: Target) -> str:
    """The fastest one; ``size``: height and width of its output."""
    if target.amx and target.precision == "bf16" and is_plain(node):
        return AMX
    if not fits(node, channels, target) or channels[0] < LEAST_CHANNELS[node.stride]:
        return DIRECT
    found, tiles = tiled(node, channels[0], size, target)
    return found if tiles >= LEAST_TILES else DIRECT

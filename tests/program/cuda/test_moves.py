"""Gathers and scatters of channels and sums of maps on a CUDA device, against NumPy."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.program.cuda.map_steps import GARBAGE, PRECISIONS, MapSteps, assert_close, rounded
from yolo.program.node_steps import consecutive

BATCH = 2
EVERY = slice(None)


@dataclasses.dataclass(frozen=True)
class Case:
    """A move between maps; index: channel, dy and dx of each coarse channel."""

    fine: tuple[int, int, int]
    coarse: tuple[int, int, int]
    index: tuple[int, ...]
    stride: int = 1

    @property
    def places(self) -> list[tuple[tuple[int, int, int], tuple[int, int, int]]]:
        """Pairs of a channel, y and x of the coarse map and of the fine one, where that is inside."""
        found = []
        for channel, y, x in np.ndindex(self.coarse):
            there, dy, dx = self.index[3 * channel : 3 * channel + 3]
            row, column = y * self.stride + dy, x * self.stride + dx
            if 0 <= row < self.fine[1] and 0 <= column < self.fine[2]:
                found.append(((channel, y, x), (there, row, column)))
        return found


def cells(channels: int, gain: int) -> tuple[int, ...]:
    return tuple(n for dy in range(gain) for dx in range(gain) for c in range(channels) for n in (c, dy, dx))


def shifted(channels: int, dy: int, dx: int) -> tuple[int, ...]:
    return tuple(number for channel in range(channels) for number in (channel, dy, dx))


def shuffled(channels: int, count: int) -> tuple[int, ...]:
    chosen = np.random.default_rng(0).permutation(channels)[:count]
    return tuple(int(number) for channel in chosen for number in (channel, 0, 0))


WHOLE = {
    "all": Case((16, 3, 5), (16, 3, 5), consecutive(0, 16)),
    "in the middle": Case((32, 3, 5), (16, 3, 5), consecutive(8, 16)),
    "to the end": Case((20, 4, 3), (12, 4, 3), consecutive(8, 12)),
    "padded": Case((12, 4, 3), (12, 7, 9), shifted(12, -2, -3)),
    "cut": Case((8, 5, 6), (8, 2, 3), shifted(8, 2, 1)),
    "cells of packs": Case((16, 4, 6), (64, 2, 3), cells(16, 2), 2),
    "every other pixel": Case((8, 5, 5), (8, 2, 2), shifted(8, 1, 0), 2),
    "nothing": Case((8, 3, 3), (8, 3, 3), shifted(8, 9, -9)),
    "one": Case((1, 1, 1), (1, 1, 1), (0, 0, 0)),
}
SINGLE = {
    "between packs": Case((24, 3, 4), (16, 3, 4), consecutive(3, 16)),
    "images to cells": Case((3, 6, 4), (12, 3, 2), cells(3, 2), 2),
    "cells of gain 3": Case((5, 6, 3), (45, 2, 1), cells(5, 3), 3),
    "shuffled": Case((20, 3, 5), (13, 3, 5), shuffled(20, 13)),
    "one pack by two links": Case(
        (8, 3, 3), (8, 3, 3), shifted(4, 0, 0) + tuple(number for channel in range(4, 8) for number in (channel, 1, -1))
    ),
}
BOTH = {**WHOLE, **SINGLE}
BEFORE_THE_END = Case((16, 2, 3), (4, 2, 3), consecutive(8, 4))
"""A gather moves it as a whole, a scatter would write over channels behind it."""


def random(shape: tuple[int, ...], precision: str) -> np.ndarray:
    values = rounded(np.random.default_rng(sum(shape)).normal(0, 1, (BATCH, *shape)), precision)
    values.flat[::11] = np.nan
    return values


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", [*BOTH, "before the end"])
def test_gather(name: str, precision: str) -> None:
    case = BOTH.get(name, BEFORE_THE_END)
    source = random(case.fine, precision)
    steps = MapSteps(precision, BATCH)
    fine, coarse = steps.filled(source, 8, 16), steps.map(case.coarse[0], case.coarse[1:], 16, 8)
    steps.add("gather", {"fine": [fine], "coarse": [coarse]}, index=case.index, stride=case.stride)
    wanted = np.zeros((BATCH, *case.coarse), np.float32)
    for here, there in case.places:
        wanted[(EVERY, *here)] = source[(EVERY, *there)]
    np.testing.assert_array_equal(steps.run().result(coarse), wanted)
    assert steps.steps[-1].implementation == ("single channels" if name in SINGLE else "whole packs")


@pytest.mark.parametrize("clear", [False, True])
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", [*BOTH, "before the end"])
def test_scatter(name: str, precision: str, clear: bool) -> None:
    case = BOTH.get(name, BEFORE_THE_END)
    source = random(case.coarse, precision)
    steps = MapSteps(precision, BATCH)
    fine, coarse = steps.map(case.fine[0], case.fine[1:], 8, 16), steps.filled(source, 16, 8)
    named = {"index": case.index, "stride": case.stride, "clear": clear}
    steps.add("scatter", {"fine": [fine], "coarse": [coarse]}, **named)
    wanted = np.full((BATCH, *case.fine), 0.0 if clear else GARBAGE, np.float32)
    for here, there in case.places:
        wanted[(EVERY, *there)] = source[(EVERY, *here)]
    np.testing.assert_array_equal(steps.run().result(fine), wanted)
    assert steps.steps[-1].implementation == ("whole packs" if name in WHOLE else "single channels")


def test_parts_become_one() -> None:
    """As training joins maps: the first scatter clears what it does not fill."""
    sizes = (8, 5, 16, 3)
    parts = [random((channels, 3, 4), "fp32") for channels in sizes]
    steps = MapSteps("fp32", BATCH)
    whole, start = steps.map(sum(sizes), (3, 4), 8, 8), 0
    for number, part in enumerate(parts):
        views = {"fine": [whole], "coarse": [steps.filled(part)]}
        steps.add("scatter", views, index=consecutive(start, part.shape[1]), stride=1, clear=number == 0)
        start += part.shape[1]
    np.testing.assert_array_equal(steps.run().result(whole), np.concatenate(parts, 1))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("count", [1, 2, 3, 16])
@pytest.mark.parametrize("shape", [(1, 1, 1), (12, 3, 5), (40, 3, 2)])
def test_accumulate(shape: tuple[int, int, int], count: int, precision: str) -> None:
    rng = np.random.default_rng(count)
    parts = [rounded(rng.normal(0, 1, (BATCH, *shape)), precision) for _ in range(count)]
    steps = MapSteps(precision, BATCH)
    sources = [steps.filled(part, 8 * (number % 3), 8) for number, part in enumerate(parts)]
    made = steps.map(shape[0], shape[1:], 8, 8)
    steps.add("accumulate", {"sources": sources, "target": [made]})
    assert_close(steps.run().result(made), np.sum(parts, 0, dtype=np.float64), precision)

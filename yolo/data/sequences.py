"""The fields of an index as sequences over a few flat arrays: an item is made when it is asked for, and not kept.

So an index of many images is a handful of arrays, which may be a file that several processes map.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]


class _Parts(Sequence):
    """Item ``i`` is made of the places ``starts[i]`` to ``stops[i]`` of flat arrays."""

    def __init__(self, starts: Places, stops: Places) -> None:
        self._starts, self._stops = starts, stops

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
        return self._item(int(self._starts[i]), int(self._stops[i]))

    @property
    def counts(self) -> Places:
        """``[N]``: how many places each item has."""
        return self._stops - self._starts

    def _item(self, start: int, stop: int) -> Any:
        raise NotImplementedError

    def _places(self) -> Places:
        """The places of all items, in order."""
        return spread(self._starts, self.counts)


class Paths(_Parts):
    """Paths, as the bytes that the system has for them: ``text`` uint8 ``[n]``."""

    def __init__(self, text: NDArray[np.uint8], starts: Places, stops: Places) -> None:
        super().__init__(starts, stops)
        self.text = text

    @classmethod
    def of(cls, paths: Sequence[str | Path]) -> Paths:
        """Those ``paths``."""
        words = [os.fsencode(path) for path in paths]
        ends = edges([len(word) for word in words])
        return cls(np.frombuffer(b"".join(words), np.uint8), ends[:-1], ends[1:])

    def take(self, places: Places) -> Paths:
        """Some of them."""
        return Paths(self.text, self._starts[places], self._stops[places])

    def texts(self) -> Iterator[str]:
        """All of them as text, which takes a fifth of the time."""
        for start, stop in zip(self._starts.tolist(), self._stops.tolist()):
            yield os.fsdecode(self.text[start:stop].tobytes())

    def _item(self, start: int, stop: int) -> Path:
        return Path(os.fsdecode(self.text[start:stop].tobytes()))


class Rows(_Parts):
    """An image's label rows, float32 ``[k, 5]``, of all rows ``flat`` ``[n, 5]``. Not to be written to."""

    def __init__(self, flat: NDArray[np.float32], starts: Places, stops: Places) -> None:
        super().__init__(starts, stops)
        self.flat = _locked(flat)

    @classmethod
    def of(cls, parts: Sequence[NDArray[np.float32]]) -> Rows:
        """Those rows of each image."""
        return cls.split(np.concatenate([np.zeros((0, 5), np.float32), *parts]), [len(part) for part in parts])

    @classmethod
    def split(cls, flat: NDArray[np.float32], counts: Sequence[int] | Places) -> Rows:
        """The first ``counts[0]`` rows are the first image's, and so on."""
        ends = edges(counts)
        return cls(flat, ends[:-1], ends[1:])

    def take(self, places: Places) -> Rows:
        """Those of some images."""
        return Rows(self.flat, self._starts[places], self._stops[places])

    def joined(self) -> NDArray[np.float32]:
        """The rows of all images, in order, ``[n, 5]``."""
        whole = len(self) and not self._starts[0] and (self._starts[1:] == self._stops[:-1]).all()
        return self.flat[: self._stops[-1]] if whole else self.flat[self._places()]

    def _item(self, start: int, stop: int) -> NDArray[np.float32]:
        return self.flat[start:stop]


class Outlines(_Parts):
    """For each label row of an image its polygon, a list of float32 ``[k, 2]`` (xyn); ``[0, 2]`` for a box.

    ``points`` ``[m, 2]`` are those of all rows, ``ends`` ``[n + 1]`` where each row's begin, and the end. Not to be
    written to.
    """

    def __init__(self, points: NDArray[np.float32], ends: Places, starts: Places, stops: Places) -> None:
        super().__init__(starts, stops)
        self.points, self.ends = _locked(points), ends

    @classmethod
    def of(cls, images: Sequence[Sequence[NDArray[np.float32]]]) -> Outlines:
        """Those polygons of each image."""
        every = [polygon for some in images for polygon in some]
        points = np.concatenate([np.zeros((0, 2), np.float32), *(polygon for polygon in every if len(polygon))])
        stops = edges([len(some) for some in images])
        return cls(points, edges([len(polygon) for polygon in every]), stops[:-1], stops[1:])

    def take(self, places: Places) -> Outlines:
        """Those of some images."""
        return Outlines(self.points, self.ends, self._starts[places], self._stops[places])

    def polygons(self) -> Places:
        """``[N]``: how many labels of each image are polygons."""
        before = edges(np.diff(self.ends) > 0)
        return before[self._stops] - before[self._starts]

    def joined(self) -> tuple[Places, NDArray[np.float32]]:
        """Of all rows, in order: the number of points of each, ``[n]``, and the points."""
        rows = self._places()
        lengths = self.ends[rows + 1] - self.ends[rows]
        return lengths, self.points[spread(self.ends[rows], lengths)]

    def _item(self, start: int, stop: int) -> list[NDArray[np.float32]]:
        ends = self.ends[start : stop + 1].tolist()
        return [self.points[begin:end] for begin, end in itertools.pairwise(ends)]


def edges(counts: Any) -> Places:
    """``[n + 1]``: where each of ``counts`` things begin that follow each other, and the end."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.asarray(counts, np.int64))])


def spread(starts: Places, counts: Places) -> Places:
    """The numbers ``starts[i]``, ``starts[i] + 1``, … of which each ``i`` has ``counts[i]``, after each other."""
    return np.repeat(starts - edges(counts)[:-1], counts) + np.arange(int(counts.sum()))


def _locked(array: NDArray[np.float32]) -> NDArray[np.float32]:
    view = array.view()
    view.flags.writeable = False
    return view

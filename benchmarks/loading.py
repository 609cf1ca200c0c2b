"""What the loader benchmark's workers have in common; needs NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.workers.process_tree import cpu_seconds, memory_mb


class LoaderTask:
    """An epoch is a run, from its first batch to its last: nothing is made ahead of it, and nothing is left over."""

    def epoch(self) -> Mapping[str, float]:
        """Make all batches; mosaics and labels: how many there were; other figures as they are."""
        raise NotImplementedError

    def run(self) -> Mapping[str, float]:
        """cpu_ms: of all threads and processes, a mosaic; labels: a mosaic; rss_mb: held at the end."""
        begin = cpu_seconds()
        figures = dict(self.epoch())
        seconds, count = cpu_seconds() - begin, figures["mosaics"]
        figures["labels"] /= count
        return {"cpu_ms": 1000 * seconds / count, "rss_mb": memory_mb(), **figures}

    def outputs(self) -> Mapping[str, NDArray]:
        """Nothing: each loader draws its own random numbers."""
        return {}


def write_set(path: Path, paths: Sequence[Path], labels: Sequence[NDArray[np.float32]]) -> None:
    """Write an .npz with the images' paths and their label rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    counts = [len(rows) for rows in labels]
    np.savez(path, paths=np.array([str(one) for one in paths]), labels=np.concatenate(labels), counts=counts)


def read_set(path: str) -> tuple[list[str], list[NDArray[np.float32]]]:
    """The images' paths, and label rows float32 ``[n, 5]`` for each."""
    with np.load(path) as found:
        labels = np.split(found["labels"].astype(np.float32), np.cumsum(found["counts"])[:-1])
        return found["paths"].tolist(), labels

"""Worker: training batches by PyTorch's DataLoader, whose processes make samples as YOLOv5's loader does."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property

import cv2
import numpy as np
import torch
from numpy.random import Generator
from torch.utils.data import DataLoader, Dataset, get_worker_info

from benchmarks.loading import LoaderTask, read_set
from benchmarks.peers.mosaic import Mosaics
from benchmarks.recipe import HYP
from benchmarks.workers.serve import serve
from yolo.config.hyp import load_hyperparameters

Sample = tuple[torch.Tensor, torch.Tensor]


class MosaicSet(Dataset):
    """Images uint8 ``[3, size, size]`` and label rows ``[n, 5]``."""

    def __init__(self, mosaics: Mosaics) -> None:
        self._mosaics = mosaics

    @cached_property
    def _rng(self) -> Generator:
        """Each process has its own."""
        return np.random.default_rng(get_worker_info().seed)

    def __len__(self) -> int:
        return len(self._mosaics)

    def __getitem__(self, i: int) -> Sample:
        image, rows = self._mosaics.sample(i, self._rng)
        return torch.from_numpy(image), torch.from_numpy(rows)


def collate(samples: Sequence[Sample]) -> Sample:
    """Images uint8 ``[B, 3, size, size]`` and label rows ``[n, 6]``, whose first column says of which image."""
    images, labels = zip(*samples)
    rows = [torch.nn.functional.pad(rows, (1, 0), value=number) for number, rows in enumerate(labels)]
    return torch.stack(images), torch.cat(rows)


class TorchLoader(LoaderTask):
    """An epoch a run; the processes stay from one to the next."""

    def load(self, files: str, size: int, batch: int, workers: int, cached: bool, cores: Sequence[int]) -> None:
        os.sched_setaffinity(0, cores)
        cv2.setNumThreads(0)
        torch.manual_seed(0)  # of its processes' samples too: the same ones every time
        paths, labels = read_set(files)
        data = MosaicSet(Mosaics(paths, labels, size, load_hyperparameters(HYP), cached=cached))
        self._loader = DataLoader(
            data, batch, shuffle=True, num_workers=workers, collate_fn=collate, persistent_workers=True
        )

    def epoch(self) -> Mapping[str, float]:
        mosaics = labels = 0
        for images, rows in self._loader:
            mosaics += len(images)
            labels += len(rows)
        return {"mosaics": mosaics, "labels": labels}


if __name__ == "__main__":
    serve(TorchLoader())

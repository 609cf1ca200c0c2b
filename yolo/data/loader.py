"""The loaders: batches in order, made ahead of time by threads."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from yolo.data.augment import Augmentation
from yolo.data.batch import Batch
from yolo.data.images import limit_opencv_threads
from yolo.data.letterbox import Size, rect_shapes
from yolo.data.plan import SamplePlan
from yolo.data.planner import Planner, epoch_order
from yolo.data.records import Index
from yolo.data.render import render
from yolo.errors import DataError
from yolo.ranks import ALONE, Ranks

_LEAST_AHEAD = 2


@dataclass(frozen=True, eq=False)
class _Job:
    """One batch to make."""

    epoch: int
    indices: NDArray[np.int64]
    size: Size


class _Loader:
    """Makes batches from jobs; threads, because OpenCV releases the GIL and OneFlow must not be forked.

    The batches are the same for any number of ``workers``; with 0 they are made in the caller's thread.
    Making a loader switches OpenCV's own threads off.
    """

    def __init__(self, planner: Planner, batch_size: int, workers: int) -> None:
        if batch_size < 1 or workers < 0:
            raise ValueError(f"batch_size {batch_size} and workers {workers} must be at least 1 and 0")
        limit_opencv_threads()
        self.planner, self.batch_size, self.workers = planner, batch_size, workers
        self.index = planner.index

    def __len__(self) -> int:
        """Batches in an epoch."""
        return math.ceil(len(self.index) / self.batch_size)

    def _run(self, jobs: Iterable[_Job]) -> Iterator[Batch]:
        if self.workers == 0:
            for job in jobs:
                images = self._room(job)
                yield self._batch(job, images, [self._sample(job, k, images) for k in range(len(job.indices))])
            return
        ahead = max(_LEAST_AHEAD, math.ceil(2 * self.workers / self.batch_size))
        waiting: deque[tuple[_Job, NDArray[np.uint8], list[Future[SamplePlan]]]] = deque()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="loader")
        try:
            for job in jobs:
                images = self._room(job)
                plans = [pool.submit(self._sample, job, k, images) for k in range(len(job.indices))]
                waiting.append((job, images, plans))
                if len(waiting) > ahead:
                    yield self._collect(*waiting.popleft())
            while waiting:
                yield self._collect(*waiting.popleft())
        finally:  # also when the caller stops early: the generator is closed
            pool.shutdown(wait=True, cancel_futures=True)

    def _room(self, job: _Job) -> NDArray[np.uint8]:
        return np.empty((len(job.indices), 3, *job.size), np.uint8)

    def _sample(self, job: _Job, k: int, images: NDArray[np.uint8]) -> SamplePlan:
        """Render sample ``k`` of the job into its place in ``images``."""
        i = int(job.indices[k])
        try:
            plan = self.planner.plan(job.epoch, i, job.size)
            cv2.split(render(plan, self.index.paths), list(images[k]))
        except cv2.error as error:
            raise DataError(f"the sample cannot be made ({error})", where=self.index.paths[i]) from error
        return plan

    def _collect(self, job: _Job, images: NDArray[np.uint8], plans: list[Future[SamplePlan]]) -> Batch:
        wait(plans)
        return self._batch(job, images, [plan.result() for plan in plans])

    def _batch(self, job: _Job, images: NDArray[np.uint8], plans: list[SamplePlan]) -> Batch:
        boxes = [plan.letterbox for plan in plans if plan.letterbox is not None]
        return Batch(
            images=images,
            labels=tuple(plan.labels for plan in plans),
            indices=job.indices,
            paths=tuple(self.index.paths[i] for i in job.indices),
            letterboxes=tuple(boxes) if len(boxes) == len(plans) else None,
        )


class TrainLoader(_Loader):
    """Training batches, all of ``batch_size``; the last is filled up from the start of the epoch's order.

    With ``rect`` pictures of like aspect share a batch, in the same order every epoch, without mosaic. Each of several
    ranks gets its part of every batch, so that together they see what one rank would; ``batch_size`` is the whole's.
    """

    def __init__(
        self,
        planner: Planner,
        batch_size: int,
        workers: int,
        *,
        rect: bool = False,
        stride: int = 32,
        ranks: Ranks = ALONE,
    ) -> None:
        super().__init__(planner, batch_size, workers)
        self._part = ranks.part(batch_size)
        self._rect = rect_shapes(self.index.shapes, batch_size, planner.imgsz, stride, pad=0.0) if rect else None

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of ``epoch`` from number ``start`` on."""
        n, side = len(self.index), self.planner.imgsz
        order = self._rect[0] if self._rect else epoch_order(n, self.planner.seed, epoch)
        filled = np.resize(order, len(self) * self.batch_size)
        sizes = self._rect[1] if self._rect else [(side, side)] * len(self)
        return self._run(
            _Job(epoch, filled[number * self.batch_size : (number + 1) * self.batch_size][self._part], sizes[number])
            for number in range(start, len(self))
        )


class ValLoader(_Loader):
    """Validation batches: every picture once, only resized and padded; the last batch may be short.

    Of several ranks each gets some batches in a row: those of all ranks, in order, are those of one.
    """

    def __init__(
        self,
        planner: Planner,
        batch_size: int,
        workers: int,
        *,
        rect: bool = True,
        pad: float = 0.5,
        stride: int = 32,
        ranks: Ranks = ALONE,
    ) -> None:
        super().__init__(planner, batch_size, workers)
        if rect:
            self._order, self._sizes = rect_shapes(self.index.shapes, batch_size, planner.imgsz, stride, pad)
        else:
            self._order = np.arange(len(self.index))
            self._sizes = [(planner.imgsz, planner.imgsz)] * len(self)

        self._ranks = ranks

    def batches(self, epoch: int = 0) -> Iterator[Batch]:
        """All of this rank's batches, the same in every epoch."""
        return self._run(self._jobs(epoch, self._ranks.rank))

    def described(self, rank: int) -> Iterator[Batch]:
        """Another rank's batches without their pictures: images uint8 [0, 3, H, W]."""
        for job in self._jobs(0, rank):
            plans = [self.planner.plan(job.epoch, int(i), job.size) for i in job.indices]
            yield self._batch(job, np.empty((0, 3, *job.size), np.uint8), plans)

    def _jobs(self, epoch: int, rank: int) -> Iterator[_Job]:
        for number in np.array_split(np.arange(len(self._sizes)), self._ranks.count)[rank]:
            indices = self._order[number * self.batch_size : (number + 1) * self.batch_size]
            yield _Job(epoch, indices, self._sizes[number])


def train_loader(
    index: Index,
    hyp: Augmentation,
    *,
    imgsz: int,
    batch_size: int,
    workers: int,
    seed: int,
    rect: bool = False,
    stride: int = 32,
    augment: bool = True,
    mosaic_end: int | None = None,
    ranks: Ranks = ALONE,
) -> TrainLoader:
    """The training loader of an index. Square batches must have a side on the grid of ``stride``.

    From epoch ``mosaic_end`` on there is no mosaic. Raises ValueError for a batch that does not divide among the ranks.
    """
    planner = Planner(index, hyp if augment else None, imgsz, seed=seed, mosaic=not rect, mosaic_end=mosaic_end)
    return TrainLoader(planner, batch_size, workers, rect=rect, stride=stride, ranks=ranks)


def val_loader(
    index: Index,
    *,
    imgsz: int,
    batch_size: int,
    workers: int,
    rect: bool = True,
    pad: float = 0.5,
    stride: int = 32,
    ranks: Ranks = ALONE,
) -> ValLoader:
    """The validation loader of an index; ``pad`` is in strides and for ``rect`` only."""
    return ValLoader(Planner(index, None, imgsz), batch_size, workers, rect=rect, pad=pad, stride=stride, ranks=ranks)

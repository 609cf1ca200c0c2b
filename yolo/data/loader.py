"""The loaders: which samples make which batch, in order, and ahead of time."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolo.data.augment import Augmentation
from yolo.data.batch import Batch
from yolo.data.image_cache import ImageCache
from yolo.data.image_weights import draw, repeats
from yolo.data.layout import QUAD, Layout, Layouts, one_each
from yolo.data.letterbox import Size, rect_shapes
from yolo.data.plan import SamplePlan
from yolo.data.planner import Planner, epoch_order
from yolo.data.records import Index
from yolo.data.renderers.base import RendererChain, RendererType
from yolo.data.renderers.opencv import OpenCVRenderer
from yolo.data.stages import Pipeline, PipelineReport, Stage
from yolo.distributed.ranks import ALONE, Ranks
from yolo.errors import ConfigError

Images = NDArray[np.uint8]
Upload = Callable[[Images], Any]
_LEAST_AHEAD = 2


@dataclasses.dataclass(frozen=True, eq=False)
class _Job:
    """One batch to make."""

    epoch: int
    indices: NDArray[np.int64]
    size: Size
    """In which samples are made."""
    layout: Layout
    repeats: NDArray[np.int64] | None = None
    """How often each of ``indices`` came before in the epoch."""
    partners: NDArray[np.int64] | None = None


class _Loader:
    """Makes batches in two stages, ``plan`` and ``render``, and where there is an ``upload`` in a third.

    They are the same for any number of ``workers``, the threads of a renderer; with 0 they are made in the caller's
    thread, when they are asked for.
    """

    def __init__(
        self,
        planner: Planner,
        batch_size: int,
        workers: int,
        cache: ImageCache | None = None,
        renderers: Sequence[RendererType] = (OpenCVRenderer,),
    ) -> None:
        if batch_size < 1 or workers < 0:
            raise ValueError(f"batch_size {batch_size} and workers {workers} must be at least 1 and 0")
        self.planner, self.batch_size, self.workers, self.cache = planner, batch_size, workers, cache
        self.index = planner.index
        self.renderers = renderers
        """Opened for each epoch. The first that supports a sample makes it."""
        self.upload: Upload | None = None
        """Brings a batch's images to where they are computed with, while the batch before is."""
        self._pipeline: Pipeline | None = None
        self._chain: RendererChain | None = None

    def __len__(self) -> int:
        """Batches in an epoch."""
        return math.ceil(len(self.index) / self.batch_size)

    def report(self) -> PipelineReport | None:
        """Where the time of the newest epoch went so far; None before the first."""
        return self._pipeline and self._pipeline.report()

    def rendered(self) -> dict[str, int]:
        """How many samples of the newest epoch each renderer has made so far, by its class's name."""
        return self._chain.counts() if self._chain else {}

    def _run(self, jobs: Iterable[_Job]) -> Iterator[Batch]:
        chain = self._chain = RendererChain(self.renderers, self.index.paths, self.workers, self.cache)
        stages = Stage("plan", self._plan), Stage("render", functools.partial(self._render, chain), chain.close)
        if self.upload is not None:
            stages += (Stage("upload", functools.partial(_uploaded, self.upload)),)
        ahead = max(_LEAST_AHEAD, math.ceil(2 * self.workers / self.batch_size)) if self.workers else 0
        self._pipeline = Pipeline(stages, ahead)
        yield from self._pipeline.run((job, self._room(job)) for job in jobs)

    def _room(self, job: _Job) -> Images:
        """Asked for by the caller's thread: what another one asks for stays with that thread when it is given back."""
        return np.empty((job.layout.count, 3, *job.layout.size), np.uint8)

    def _plan(self, begun: tuple[_Job, Images]) -> tuple[_Job, Images, list[SamplePlan]]:
        job, images = begun
        return job, images, self._plans(job)

    def _plans(self, job: _Job) -> list[SamplePlan]:
        """A sample for each cell of the layout."""
        again = np.zeros_like(job.indices) if job.repeats is None else job.repeats
        chosen = [cell.sample for cell in job.layout.cells]
        return [
            self.planner.plan(job.epoch, i, job.size, repeat=repeat, partners=job.partners)
            for i, repeat in zip(job.indices[chosen].tolist(), again[chosen].tolist())
        ]

    def _render(self, chain: RendererChain, planned: tuple[_Job, Images, list[SamplePlan]]) -> Batch:
        job, images, plans = planned
        chain.render(plans, job.layout.targets(images))
        return self._batch(job, images, plans)

    def _batch(self, job: _Job, images: Images, plans: list[SamplePlan]) -> Batch:
        boxes = [plan.letterbox for plan in plans if plan.letterbox is not None]
        indices = job.indices[job.layout.leaders()]
        return Batch(
            images=images,
            labels=job.layout.join([plan.labels for plan in plans]),
            indices=indices,
            paths=tuple(self.index.paths[i] for i in indices),
            letterboxes=tuple(boxes) if len(boxes) == len(plans) else None,
        )


def _uploaded(upload: Upload, batch: Batch) -> Batch:
    return dataclasses.replace(batch, uploaded=upload(batch.images))


class TrainLoader(_Loader):
    """Training batches of ``batch_size``; the last, and that of a smaller set, has what is left (YOLOv5).

    With ``rect`` images of like aspect share a batch, in the same order every epoch, without mosaic.
    ``quad`` and ``multi_scale``: see ``Layouts``; a quad batch has a quarter of the images, of twice the size.
    Each of several ranks gets its part of every batch, so that together they see what one rank would; ``batch_size``
    is the whole's. What is left must divide among them, and into quads: where it does not, the first images of the
    epoch's order come once more, otherwise augmented. ``repeated`` is their number.
    """

    def __init__(
        self,
        planner: Planner,
        batch_size: int,
        workers: int,
        *,
        rect: bool = False,
        stride: int = 32,
        quad: bool = False,
        multi_scale: bool = False,
        cache: ImageCache | None = None,
        renderers: Sequence[RendererType] = (OpenCVRenderer,),
        ranks: Ranks = ALONE,
    ) -> None:
        """Raises ConfigError for quads of a batch size that is not a multiple of four, ValueError for one that does not
        divide among the ranks."""
        super().__init__(planner, batch_size, workers, cache, renderers)
        if quad and batch_size % QUAD:
            raise ConfigError(
                f"four images make one, and {batch_size} is not a multiple of four",
                where="--quad",
                hint="change --batch-size",
            )
        self._ranks, self._each = ranks, QUAD if quad else 1
        ranks.part(batch_size // self._each)
        unit = ranks.count * self._each
        self._shown = math.ceil(len(self.index) / unit) * unit
        self.repeated = self._shown - len(self.index)
        self._rect = rect_shapes(self.index.shapes, batch_size, planner.imgsz, stride, pad=0.0) if rect else None
        self._layouts = Layouts(planner.imgsz, stride, planner.seed, quad, multi_scale)
        self.weights: NDArray[np.float64] | None = None
        """Of the images. When set, an epoch's images, and mosaics' others, are drawn by them."""

    def shapes(self) -> list[tuple[int, int, int, int]]:
        """All shapes ``[B, 3, H, W]`` that this rank's batches may have, largest first."""
        made: dict[int, list[Size]] = {}
        for number, size in enumerate(self._sizes()):
            part = self._part(self._samples(number))
            made.setdefault(part.stop - part.start, []).append(size)
        shapes = [(count, 3, *size) for count, sizes in made.items() for size in self._layouts.sizes(sizes)]
        return sorted(shapes, key=lambda shape: (math.prod(shape), shape), reverse=True)

    def _sizes(self) -> list[Size]:
        side = self.planner.imgsz
        return self._rect[1] if self._rect else [(side, side)] * len(self)

    def _samples(self, number: int) -> int:
        """How many samples make batch ``number``, all ranks' together."""
        return min(self.batch_size, self._shown - number * self.batch_size)

    def _part(self, samples: int) -> slice:
        """This rank's images of a batch of so many samples."""
        return self._ranks.part(samples // self._each)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of ``epoch`` from number ``start`` on."""
        partners = None if self.weights is None else draw(self.weights, self.planner.seed, epoch)
        order = np.resize(self._epoch_order(epoch) if partners is None else partners, self._shown)
        return self._run(self._jobs(epoch, start, order, partners))

    def _jobs(
        self, epoch: int, start: int, order: NDArray[np.int64], partners: NDArray[np.int64] | None
    ) -> Iterator[_Job]:
        came = repeats(order)
        for number, size in itertools.islice(enumerate(self._sizes()), start, None):
            row = slice(number * self.batch_size, (number + 1) * self.batch_size)
            samples = self._samples(number)
            layout = self._layouts.layout(epoch, number, samples, size).part(self._part(samples))
            yield _Job(epoch, order[row], size, layout, came[row], partners)

    def _epoch_order(self, epoch: int) -> NDArray[np.int64]:
        return self._rect[0] if self._rect else epoch_order(len(self.index), self.planner.seed, epoch)


class ValLoader(_Loader):
    """Validation batches: every image once, only resized and padded; the last batch may be short.

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
        size: Size | None = None,
        cache: ImageCache | None = None,
        renderers: Sequence[RendererType] = (OpenCVRenderer,),
        ranks: Ranks = ALONE,
    ) -> None:
        """``size``: of all batches, where they have no ``rect``; by default a square."""
        super().__init__(planner, batch_size, workers, cache, renderers)
        if rect:
            self._order, self._sizes = rect_shapes(self.index.shapes, batch_size, planner.imgsz, stride, pad)
        else:
            self._order = np.arange(len(self.index))
            self._sizes = [size or (planner.imgsz, planner.imgsz)] * len(self)

        self._ranks = ranks

    def batches(self, epoch: int = 0) -> Iterator[Batch]:
        """All of this rank's batches, the same in every epoch."""
        return self._run(self._jobs(epoch, self._ranks.rank))

    def largest_shape(self) -> tuple[int, int, int, int]:
        """``[B, 3, H, W]`` of the largest batch that there may be."""
        size = max(self._sizes, key=lambda size: size[0] * size[1])
        return (min(self.batch_size, len(self.index)), 3, *size)

    def described(self, rank: int) -> Iterator[Batch]:
        """Another rank's batches without their images: images uint8 [0, 3, H, W]."""
        for job in self._jobs(0, rank):
            yield self._batch(job, np.empty((0, 3, *job.size), np.uint8), self._plans(job))

    def _jobs(self, epoch: int, rank: int) -> Iterator[_Job]:
        for number in np.array_split(np.arange(len(self._sizes)), self._ranks.count)[rank]:
            indices = self._order[number * self.batch_size : (number + 1) * self.batch_size]
            yield _Job(epoch, indices, self._sizes[number], one_each(len(indices), self._sizes[number]))


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
    quad: bool = False,
    multi_scale: bool = False,
    extras: bool = False,
    cache: ImageCache | None = None,
    renderers: Sequence[RendererType] = (OpenCVRenderer,),
    ranks: Ranks = ALONE,
) -> TrainLoader:
    """The training loader of an index. Square batches must have a side on the grid of ``stride``.

    From epoch ``mosaic_end`` on there is no mosaic. ``cache``: of the index, for augmentation unless there is none.
    Raises ValueError for a batch that does not divide among the ranks.
    """
    choices = {"mosaic": not rect, "mosaic_end": mosaic_end, "extras": extras}
    planner = Planner(index, hyp if augment else None, imgsz, seed=seed, **choices)
    shape = {"rect": rect, "stride": stride, "quad": quad, "multi_scale": multi_scale}
    return TrainLoader(planner, batch_size, workers, **shape, cache=cache, renderers=renderers, ranks=ranks)


def val_loader(
    index: Index,
    *,
    imgsz: int,
    batch_size: int,
    workers: int,
    rect: bool = True,
    pad: float = 0.5,
    stride: int = 32,
    size: Size | None = None,
    cache: ImageCache | None = None,
    renderers: Sequence[RendererType] = (OpenCVRenderer,),
    ranks: Ranks = ALONE,
) -> ValLoader:
    """The validation loader of an index; ``pad`` is in strides and for ``rect`` only, ``size`` for others only."""
    shape = {"rect": rect, "pad": pad, "stride": stride, "size": size}
    return ValLoader(
        Planner(index, None, imgsz), batch_size, workers, **shape, cache=cache, renderers=renderers, ranks=ranks
    )

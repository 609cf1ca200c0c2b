"""What a renderer is, and which of several makes a sample."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from yolo.data.image_cache import ImageCache
from yolo.data.plan import SamplePlan
from yolo.errors import DataError


class Renderer(Protocol):
    """Makes the pixels of sample plans, on threads of its own."""

    def supports(self, plan: SamplePlan) -> bool:
        """Whether it can make this sample."""

    def render(self, plans: Sequence[SamplePlan], out: Sequence[NDArray[np.uint8]]) -> None:
        """Write each sample (RGB) into its ``[3, H, W]`` of ``out``; one of another size is resized to it, linearly.

        ``out`` is a batch, ``[B, 3, H, W]``, or a list of parts of one. Several threads may call this at once. Raises
        DataError that names the file where a sample cannot be made.
        """

    def close(self) -> None:
        """End its threads; what is being rendered is not finished, and ``render`` raises."""


class RendererType(Protocol):
    """Opens a renderer of the images in the files ``paths``, in the order of the index.

    With 0 ``threads`` it works in its caller's. Images in ``cache`` are not read again.
    """

    def __call__(self, paths: Sequence[Path], threads: int, cache: ImageCache | None) -> Renderer: ...


class RendererChain:
    """Opens renderers and gives each sample to the first that supports it."""

    def __init__(
        self, renderers: Sequence[RendererType], paths: Sequence[Path], threads: int, cache: ImageCache | None
    ) -> None:
        self._renderers = [open_one(paths, threads, cache) for open_one in renderers]
        self._paths = paths
        self._lock, self._made = threading.Lock(), [0] * len(self._renderers)

    def render(self, plans: Sequence[SamplePlan], out: Sequence[NDArray[np.uint8]]) -> None:
        """As ``Renderer.render``; raises DataError too for a sample that none supports."""
        chosen = [self._first(plan) for plan in plans]
        for number, renderer in enumerate(self._renderers):
            own = [k for k, one in enumerate(chosen) if one == number]
            if len(own) == len(plans):
                renderer.render(plans, out)
            elif own:
                renderer.render([plans[k] for k in own], [out[k] for k in own])
            with self._lock:
                self._made[number] += len(own)

    def counts(self) -> dict[str, int]:
        """How many samples each renderer has made, by its class's name; only those that made some."""
        with self._lock:
            return {type(one).__name__: made for one, made in zip(self._renderers, self._made) if made}

    def close(self) -> None:
        for renderer in self._renderers:
            renderer.close()

    def _first(self, plan: SamplePlan) -> int:
        for number, renderer in enumerate(self._renderers):
            if renderer.supports(plan):
                return number
        raise DataError("no renderer can make the sample", where=self._paths[plan.index])

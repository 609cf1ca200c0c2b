"""A detector to call with images."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from yolo.class_names import ClassNames
from yolo.config.values import COMPILE_MODES, IMAGE_SIZE, OVERLAP
from yolo.data.letterbox import Size
from yolo.errors import DataError
from yolo.inference.inputs import InputMaker, Ready
from yolo.inference.lanes import Lanes
from yolo.inference.look import Look, MadeFrame, MakeSlicer, look_at, look_at_frame, without_refused
from yolo.inference.models import ModelOptions, Weights, join_models, load_models
from yolo.inference.originals import CHANNELS, ImageLike
from yolo.inference.pipeline import Prefetcher, worker_count
from yolo.inference.results import Result
from yolo.inference.runner import PIXELS_AT_ONCE, Runner, at_once
from yolo.inference.settings import (
    calibration_file,
    check_choice,
    check_classes,
    check_flag,
    check_range,
    class_names,
    class_numbers,
    given_names,
    rounded_size,
    size_pair,
    weights_files,
)
from yolo.inference.slices.slicer import Slicer, each_window
from yolo.inference.slices.windows import given_slicing
from yolo.io.memory import free_memory
from yolo.program.detection import NmsSettings, most_detections
from yolo.program.footprint import require_memory
from yolo.tracking.bytetrack import TrackSettings

if TYPE_CHECKING:  # what images one by one do not need comes when it is needed
    from yolo.inference.calibration import Calibration
    from yolo.inference.sources.base import Frame, Task
    from yolo.inference.sources.open import Source

_LARGEST_BATCH = 16


class Detector:
    """Finds objects in images: ``Detector("best.safetensors")("street.jpg").boxes``.

    ``weights`` is a `.safetensors` or `.pt` file, or a compiled detector (`.program`: ``python -m yolo.export``), which
    runs without OneFlow; a list or tuple of them is an ensemble. ``imgsz`` (pixels; one number, or height and width;
    default: 640, or what the compiled detector was made for) is rounded up to the network's stride; ``conf`` and
    ``iou`` are the thresholds of NMS, ``classes`` the class number or numbers to keep (default: all), ``agnostic``
    suppresses overlaps between classes too; ``names`` (a list, or a dict from 0) replaces the names in the weights, and
    where they are the same in another order, it numbers the classes anew.
    ``device`` is what ``--device`` takes: "cpu", "0" or "cuda:0"; default: a GPU that programs run on, else the CPU.
    ``half`` computes in bfloat16, on a GPU in float16; ``int8`` names a data set (YAML) and computes in 8 bits, on the
    CPU, calibrated on its images, which takes about a minute (``yolo.export`` does it once); ``compile`` "off" runs
    plain OneFlow operators instead of the compiled program; ``exact`` computes convolutions in float32 as they are
    defined, not by Winograd's algorithm, which is faster and whose sums round otherwise (on a GPU it is refused: there
    cuDNN chooses), and decodes JPEG files whole; ``augment`` looks at each image three times, scaled and mirrored.
    ``channels`` "bgr" says that arrays are as OpenCV has them; Results hold RGB in any case.
    JPEG files that become less than half as large are decoded at a half, a quarter or an eighth of their size.
    ``slice`` looks at each image as a whole and, where it is larger, in square slices of so many pixels too, which
    overlap by the share ``overlap``: small objects of large images are found, and what a seam cuts becomes one.
    Threads may share a detector. On a processor as many calls as it has threads go beside one another, on a thread
    each; fewer go one after the other, on all of them, as on a GPU. Both give the same, in every bit. In a fork's child
    only that of a compiled detector's file on the CPU works: neither OneFlow, which runs the others, nor a GPU does.

    Raises WeightsError, ConfigError (an option out of range) or RuntimeSetupError.
    """

    def __init__(
        self,
        weights: Weights | Sequence[Weights],
        *,
        device: str | int | None = "",
        imgsz: int | Sequence[int] | None = None,
        conf: float = 0.25,
        iou: float = 0.45,
        max_det: int = 1000,
        classes: int | Iterable[int] | None = (),
        agnostic: bool = False,
        names: Sequence[str] | Mapping[int, str] | None = None,
        half: bool = False,
        int8: str | Path | None = None,
        compile: str = "program",
        exact: bool = False,
        augment: bool = False,
        channels: str = "rgb",
        slice: int | None = None,
        overlap: float = OVERLAP,
    ) -> None:
        size = None if imgsz is None else size_pair(imgsz)
        check_range("conf", conf, 0, 1)
        check_range("iou", iou, 0, 1)
        check_range("max_det", max_det, 1, whole=True)
        max_det = most_detections(int(max_det))
        check_choice("compile", compile, COMPILE_MODES)
        check_choice("channels", channels, CHANNELS)
        device = "" if device is None else str(device)
        flags = {"agnostic": agnostic, "half": half, "exact": exact, "augment": augment}
        agnostic, half, exact, augment = map(check_flag, flags, flags.values())
        self.conf, self.iou, self.max_det, self.agnostic = float(conf), float(iou), max_det, agnostic
        self.classes, self._slicing = class_numbers(classes), given_slicing(slice, overlap)
        files, dataset, new = weights_files(weights), calibration_file(int8), given_names(names)
        looked_at = None if dataset is None else _calibration(dataset, size or (IMAGE_SIZE, IMAGE_SIZE))
        wanted = None if new is None else ClassNames(new, "the names given", new=True)
        options = ModelOptions(device, half, compile, looked_at, exact=exact)
        self.models = tuple(load_models(files, options, classes=wanted))
        """What the weights hold."""
        self.names = class_names(new, self.models[0].names)
        check_classes(self.classes, self.names)
        self.stride = max(max(model.strides) for model in self.models)
        self.imgsz: Size = rounded_size(size or (self.models[0].imgsz or IMAGE_SIZE,) * 2, self.stride)
        self._augment, self._lock = augment, threading.Lock()
        self._fitting: set[Size] = set()
        decoding = {"exact": exact or self._slicing is not None, "channels": channels}
        self._inputs = InputMaker(self.imgsz, self.stride, self._require_memory, **decoding)
        self._set_up(NmsSettings(self.conf, self.iou, self.max_det, self.classes, agnostic))
        self._runner.prepare(*self.imgsz)

    def _set_up(self, settings: NmsSettings) -> None:
        """All that depends on these, and that tracking therefore has of its own (``_down_to``)."""
        kept = settings if self._slicing is None else each_window(settings)
        self._settings, self._runner = settings, join_models(self.models, kept, augment=self._augment)
        whole = Look(self._runner, self.names, self._slicer(self._runner), self._lock)
        lanes = self._runner.lanes()
        needed = len(lanes) * sum(model.least_bytes((1, 3, *self.imgsz)) for model in self.models)
        lanes = lanes if needed < free_memory() / 2 else []
        how = {"turn": contextlib.nullcontext(), "beside": len(lanes)}
        self._lanes = Lanes(whole, [Look(lane, self.names, self._slicer(lane), **how) for lane in lanes])

    def _slicer(self, runner: Runner) -> MakeSlicer | None:
        """What makes a slicer that looks by means of this runner; None without slices."""
        if self._slicing is None:
            return None
        how = (self._slicing, self.imgsz, self.stride, self._settings)
        slicer = functools.partial(Slicer, *how, pixels_at_once=runner.pixels_at_once)
        self._require_memory(slicer(runner.detect).largest_input()[2:])
        return slicer

    def __call__(
        self, images: ImageLike | Sequence[ImageLike] | Iterator[ImageLike]
    ) -> Result | list[Result] | Iterator[Result]:
        """The Result of one image, or the list of Results of a list or tuple of them, in its order.

        An image is a path, an http(s) URL, a file's bytes or something to read them from, Pillow's image, or an array
        uint8: ``[H, W, 3]`` in the order of ``channels``, ``[H, W, 4]`` with alpha, which is dropped, or grey. Those
        of a generator are asked for while the Results, an iterator then, are gone through, a few ahead.

        On a processor each of its threads takes an image of the list, from its file to its boxes. Elsewhere small
        images of one letterboxed shape go through the network together, and threads read the next ones meanwhile. Each
        new shape is compiled once. Raises DataError for an image that cannot be used, DownloadError for one that cannot
        be fetched, ConfigError for one that memory has no room for at this ``imgsz``.
        """
        if isinstance(images, Iterator) and not hasattr(images, "read"):
            return self._one_by_one(images)
        if not isinstance(images, (list, tuple)):
            return look_at(self._lanes, self._inputs.ready(images))
        if self._lanes.count:
            return list(self._one_by_one(images))
        workers = worker_count() if len(images) > 1 else 1
        tasks = [functools.partial(self._inputs.ready, image) for image in images]
        with Prefetcher(tasks, workers, 2 * workers) as ahead:
            return self._grouped(ahead)

    def _one_by_one(self, images: Iterable[ImageLike]) -> Iterator[Result]:
        tasks = (functools.partial(self._inputs.ready, image) for image in images)
        with self._lanes.through(tasks, look_at) as results:
            yield from results

    def stream(
        self,
        source: Source | ImageLike | Iterable[ImageLike | Task],
        *,
        vid_stride: int = 1,
        live: bool = False,
        whole: bool = False,
    ) -> Iterator[tuple[Frame, Result]]:
        """The frames of ``source``, in their order, each with its Result.

        ``source`` is what ``--source`` takes: an image, a video, a folder, a glob, a list file, a URL, a camera's
        number; or a list of files, or of streams. It may also be images as a call takes them: one, a list of all
        kinds, or a generator, which runs beside the network, a few images ahead. Of videos and streams every
        ``vid_stride``-th frame is taken. A source is opened when the first frame is asked for, and closed at the end.
        Threads take the next frames meanwhile, on a processor an image each as in a call with a list; frames of cameras
        and streams are asked for when the network is free, so that none is old when it is looked at. ``whole``: all
        images are decoded at their full size, for whoever draws on them.

        Whoever has opened a source gives its tasks instead, and says whether they are ``live``. Raises DataError,
        DownloadError or ConfigError for a source that cannot be used.
        """
        from yolo.inference.sources.given import are_images, image_tasks
        from yolo.inference.sources.open import open_sources

        if are_images(source):
            yield from self._frames(image_tasks(source, self._inputs.original), live=live, whole=whole)
            return
        check_range("vid_stride", vid_stride, 1, whole=True)
        with contextlib.closing(open_sources(source, int(vid_stride))) as sources:
            yield from self._frames(sources.tasks(), live=sources.live, whole=whole)

    def track(
        self,
        source: Source | ImageLike | Iterable[ImageLike | Task],
        *,
        low_thresh: float = TrackSettings.low_thresh,
        new_thresh: float = TrackSettings.new_thresh,
        match_thresh: float = TrackSettings.match_thresh,
        track_buffer: int = TrackSettings.track_buffer,
        vid_stride: int = 1,
        live: bool = False,
        whole: bool = False,
    ) -> Iterator[tuple[Frame, Result]]:
        """As ``stream``, but with the objects followed: Results hold what belongs to a track, and its ``ids``.

        Each video and stream of ``source`` has a tracker of its own. The images of a folder, and arrays and other
        images without a folder, are taken for the frames of a film. Boxes above the detector's ``conf`` are what is
        looked for; those above ``low_thresh`` continue tracks, too. The others are
        ``yolo.tracking.bytetrack.TrackSettings``, which says what they mean; whoever gives tasks says with
        ``vid_stride`` which of a video's frames they are.
        """
        from yolo.inference.followers import Followers

        check_range("vid_stride", vid_stride, 1, whole=True)
        followers = Followers(TrackSettings(self.conf, low_thresh, new_thresh, match_thresh, track_buffer), vid_stride)
        found = self._down_to(low_thresh).stream(source, vid_stride=vid_stride, live=live, whole=whole)
        with contextlib.closing(found):
            for frame, result in found:
                yield frame, followers.follow(frame, result)

    def _down_to(self, conf: float) -> Detector:
        """The same with a lower confidence threshold, where it is lower; both use the models one after the other."""
        if conf >= self.conf:
            return self
        other = copy.copy(self)
        other.conf = conf
        other._set_up(dataclasses.replace(self._settings, conf=conf))
        return other

    def _frames(self, tasks: Iterable[Task], *, live: bool, whole: bool) -> Iterator[tuple[Frame, Result]]:
        ready = (functools.partial(self._ready_frame, task, whole) for task in tasks)
        if live:
            yield from without_refused(look_at_frame(self._lanes, task()) for task in ready)
            return
        with self._lanes.through(ready, look_at_frame) as looked:
            yield from without_refused(looked)

    def network_input(self, image: ImageLike) -> NDArray[np.uint8]:
        """What the network sees of an image: uint8 ``[3, H, W]``, letterboxed."""
        return self._inputs.ready(image).image

    def ready(self, image: ImageLike) -> Ready:
        """An image read and letterboxed, for ``detect_ready``; threads may do so meanwhile. Raises as a call does."""
        return self._inputs.ready(image)

    def detect_ready(self, group: Sequence[Ready]) -> list[Result]:
        """The Results of images made ready, of one letterboxed shape, which go through the network together.

        Each number of images is compiled once for each shape.
        """
        return self._lanes(group)

    @property
    def calls_at_once(self) -> int:
        """So many threads are worth calling it at the same time; their images go through beside one another."""
        return max(1, self._lanes.count)

    def most_together(self, size: Size) -> int:
        """How many images of a letterboxed size are worth a run together: on a processor one, but of small ones."""
        pixels = None if self._runner.pixels_at_once is None else PIXELS_AT_ONCE
        return min(_LARGEST_BATCH, at_once(*size, pixels) or _LARGEST_BATCH)

    def _ready_frame(self, task: Task, whole: bool) -> MadeFrame:
        """In any thread; what is wrong with an image is said when its turn comes."""
        frame = task()
        if frame is None:
            return None
        try:
            return frame, self._inputs.letterboxed(frame.original, whole=whole)
        except DataError as error:
            return frame, error

    def _require_memory(self, size: Size) -> None:
        """Raise ConfigError where an image of a letterboxed size cannot go through; each size is looked at once."""
        if size not in self._fitting:
            shape = (1, 3, *size)
            needed = max(model.least_bytes(shape) for model in self.models)
            require_memory(needed, shape, f"--imgsz {max(self.imgsz)}")
            self._fitting.add(size)

    def _grouped(self, images: Iterable[Ready]) -> list[Result]:
        """Look at images as soon as there are enough of one letterboxed shape for a run."""
        results: dict[int, Result] = {}
        groups: dict[Size, list[tuple[int, Ready]]] = {}
        count = 0
        for count, ready in enumerate(images, 1):
            group = groups.setdefault(ready.box.size, [])
            group.append((count - 1, ready))
            if len(group) >= self.most_together(ready.box.size):
                results.update(self._with_numbers(groups.pop(ready.box.size)))
        for group in groups.values():
            results.update(self._with_numbers(group))
        return [results[index] for index in range(count)]

    def _with_numbers(self, group: list[tuple[int, Ready]]) -> Iterable[tuple[int, Result]]:
        return zip((index for index, _ in group), self._lanes([ready for _, ready in group]))


def _calibration(dataset: str | Path, size: Size) -> Calibration:
    from yolo.data.load import load_dataset
    from yolo.inference.calibration import Calibration

    return Calibration(load_dataset(dataset), size)

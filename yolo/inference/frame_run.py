"""One way through the frames of a source: what ``yolo.detect`` and ``yolo.track`` have in common."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolo.command import new_run_folder, remove_if_empty, speed_line
from yolo.config.commands import DetectConfig, ServeConfig
from yolo.data.images import limit_opencv_threads
from yolo.data.load import load_dataset
from yolo.errors import ConfigError
from yolo.inference.detector import Detector
from yolo.inference.outputs.strip import strip_weights
from yolo.inference.outputs.viewer import Viewer
from yolo.inference.outputs.writer import Outputs, ResultWriter, refuse_own_results
from yolo.inference.pipeline import worker_count
from yolo.inference.results import Result
from yolo.inference.sources.base import Frame, LeftOut
from yolo.inference.sources.default import default_source
from yolo.inference.sources.open import LiveSources, ScreenSources, Sources, open_sources

if TYPE_CHECKING:
    from yolo.inference.features import FeatureMaps

logger = logging.getLogger("yolo")

Opened = Sources | LiveSources | ScreenSources
Look = Callable[[Detector, Opened, bool], Iterator[tuple[Frame, Result]]]
"""Gives the frames of opened sources with their results; the last argument says whether pixels are looked at."""


def run_over_frames(config: DetectConfig, outputs: Outputs, look: Look) -> dict[str, Any]:
    """Look at all frames of the source and write ``outputs``; give the command's JSON object without its head."""
    # All that can be refused is refused before a folder is made; the source first, as it is quickly looked at.
    limit_opencv_threads()  # reading and writing have threads of their own
    with contextlib.closing(open_sources(config.source or default_source(), config.vid_stride)) as sources:
        if config.exist_ok:
            refuse_own_results(sources.files, Path(config.project) / config.name)
        if config.update:
            config = dataclasses.replace(config, weights=tuple(str(strip_weights(path)) for path in config.weights))
        run = _Run(config, outputs, make_detector(config), sources, look)
        if not outputs.any and not config.visualize:
            run.through(None)
            return run.summary(None)
        folder = new_run_folder(config.project, config.name, config.exist_ok)
        try:
            with ResultWriter(folder, outputs, worker_count()) as writer:
                run.through(writer)
        except BaseException:
            remove_if_empty(folder)
            raise
    found = run.summary(folder)
    if outputs.tracks:
        found["sequences"] = [sequence.to_dict() for sequence in writer.sequences]
    logger.info("results: %s", folder)
    for sequence in writer.sequences:
        logger.info("%s", sequence)
    if outputs.text:
        logger.info("labels: %s (%d)", folder / "labels", writer.labels)
    return found


def make_detector(config: DetectConfig | ServeConfig) -> Detector:
    """The detector that the options describe; raises YoloError subclasses for what they name wrongly."""
    if len(config.imgsz) > 2:
        raise ConfigError(f"{len(config.imgsz)} numbers", where="--imgsz", hint="give one, or height and width")
    return Detector(
        config.weights,
        device=config.device,
        imgsz=config.imgsz,
        conf=config.conf_thres,
        iou=config.iou_thres,
        max_det=config.max_det,
        classes=config.classes,
        agnostic=config.agnostic_nms,
        names=load_dataset(config.data).names if config.data else None,
        half=config.half,
        int8=_calibration(config),
        compile=config.compile,
        exact=config.exact,
        augment=config.augment,
        slice=config.slice,
        overlap=config.overlap,
    )


def _calibration(config: DetectConfig) -> str | None:
    if config.int8 and not config.data:
        raise ConfigError("needs a data set to be calibrated on", where="--int8", hint="name one with --data")
    return config.data if config.int8 else None


def make_outputs(config: DetectConfig) -> Outputs:
    """Which files the options ask for."""
    return Outputs(
        images=not config.nosave,
        text=config.save_txt,
        confidence=config.save_conf,
        crops=config.save_crop,
        table=config.save_csv,
        line_width=config.line_thickness,
        hide_labels=config.hide_labels,
        hide_conf=config.hide_conf,
    )


class _Run:
    """One way through all frames."""

    def __init__(self, config: DetectConfig, outputs: Outputs, detector: Detector, sources: Opened, look: Look) -> None:
        self._config, self._looks, self._detector = config, outputs, detector
        self._sources, self._look = sources, look
        self._viewer = Viewer() if config.view_img else None
        self._images: list[dict[str, Any]] = []
        self._sizes: set[tuple[int, int]] = set()
        self._total: Counter[str] = Counter()
        self._frames = 0

    def through(self, writer: ResultWriter | None) -> None:
        """Look at all frames. Ctrl-C is how streams end."""
        features = _features(self._detector, writer.folder) if self._config.visualize else None
        found = self._look(self._detector, self._sources, self._needs_pixels(writer))
        try:
            for frame, result in found:
                self._note(frame, result, writer, features)
        except KeyboardInterrupt:
            if not self._sources.live:
                raise
        finally:
            found.close()
            if self._viewer is not None:
                self._viewer.close()

    def summary(self, folder: Path | None) -> dict[str, Any]:
        """Say how fast it was; give the JSON object."""
        speed = {name: milliseconds / max(self._frames, 1) for name, milliseconds in self._total.items()}
        slices = f", and in slices of {self._config.slice} pixels" if self._config.slice else ""
        logger.info("%s%s", _speed_line(speed, self._frames, self._sizes), slices)
        speed = {name: round(milliseconds, 2) for name, milliseconds in speed.items()}
        left_out = [entry.to_dict() for entry in self._sources.left_out]
        if left_out:
            logger.warning("%s", _left_out_line(self._sources.left_out))
        return {
            "save_dir": None if folder is None else str(folder),
            "images": self._images,
            "left_out": left_out,
            "speed_ms": speed,
        }

    def _needs_pixels(self, writer: ResultWriter | None) -> bool:
        """Whether anybody looks at the images themselves."""
        drawn = writer is not None and (self._looks.images or self._looks.crops)
        return drawn or self._config.view_img or self._config.visualize

    def _note(self, frame: Frame, result: Result, writer: ResultWriter | None, features: FeatureMaps | None) -> None:
        try:
            if writer is not None:
                writer.write(result, frame)
            if features is not None:
                features.write(frame.path.stem, self._detector.network_input(frame.image))
            if self._viewer is not None:
                self._viewer.show(str(frame.path), self._looks.drawn(result))
        finally:  # it was looked at, also where an earlier result turns out not to be on disk
            logger.info("%s", _line(result, frame, self._sources.count))
        self._total.update(result.speed_ms)
        self._sizes.add(result.input_size)
        self._frames += 1
        if self._config.json:  # a long video has many
            self._images.append(result.to_dict())


def _features(detector: Detector, folder: Path) -> FeatureMaps:
    network = detector.models[0].network
    from yolo.inference.features import FeatureMaps

    return FeatureMaps(folder, network)


def _line(result: Result, frame: Frame, count: int) -> str:
    height, width = result.input_size
    kind, place = "image", ""
    if frame.live:
        kind, place = "stream", f" ({frame.number})"
    elif frame.number is not None:
        kind, place = "video", f" ({frame.number}/{frame.count or '?'})"
    where = f"{kind} {frame.position}/{count}{place} {frame.path}"
    return f"{where}: {height}x{width} {result.summary()}, {result.speed_ms['inference']:.1f}ms"


def _speed_line(speed: dict[str, float], images: int, sizes: Iterable[tuple[int, int]]) -> str:
    shapes = ", ".join(f"{height}x{width}" for height, width in sorted(sizes))
    return f"{speed_line(speed)}, over {images} image{'' if images == 1 else 's'} at {shapes}"


def _left_out_line(left_out: Sequence[LeftOut]) -> str:
    """All of it in one line at the end, since what was said meanwhile is far above."""
    frames = sum(entry.frames or 0 for entry in left_out)
    files = len({entry.path for entry in left_out if not entry.frames})
    counts = [f"{count} {word}{'s' * (count > 1)}" for count, word in ((frames, "frame"), (files, "file")) if count]
    return f"left out, wholly or in part: {', '.join(counts)}; named above"

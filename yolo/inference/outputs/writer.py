"""What a detection run leaves on disk: annotated images and videos, label files, cut-out objects, a table."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolo.data.images import write_image
from yolo.errors import ConfigError
from yolo.inference.outputs.crops import CropFiles
from yolo.inference.outputs.csv import DetectionTable
from yolo.inference.outputs.mot import MotFiles, Sequence
from yolo.inference.outputs.names import UniqueNames
from yolo.inference.pipeline import AsyncWriter
from yolo.inference.results import Result
from yolo.inference.sources.base import Frame
from yolo.inference.sources.video import LEAST_SIDE, VideoWriter
from yolo.io.files import write_text_atomic

logger = logging.getLogger("yolo")

# Image formats that can be read but not written become JPEG.
_WRITABLE = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What to write.

    images: annotated images and videos; text: label files; crops: one image an object; table: all detections in
    predictions.csv; tracks: each sequence's in MOTChallenge's format.
    """

    images: bool = True
    text: bool = False
    confidence: bool = False
    crops: bool = False
    table: bool = False
    tracks: bool = False
    line_width: int | None = None
    hide_labels: bool = False
    hide_conf: bool = False

    @property
    def any(self) -> bool:
        """Whether anything is written at all."""
        return self.images or self.text or self.crops or self.table or self.tracks

    def drawn(self, result: Result) -> NDArray[np.uint8]:
        """A copy of the result's image with its detections, in this look."""
        return result.plot(line_width=self.line_width, hide_labels=self.hide_labels, hide_conf=self.hide_conf)


@dataclasses.dataclass
class _Place:
    """Where a source's results go."""

    target: Path
    """Of the annotated image or video."""
    stem: str
    video: VideoWriter | None = None
    drawn: bool = True


class ResultWriter:
    """Writes Results into ``folder``; a context manager, at whose end all files are in place.

    Every file appears whole or not at all, and no file of a run replaces another one of it. ``workers`` threads draw,
    encode and write; with 0 that is done at once. When it ends by Ctrl-C videos keep the frames that they have, when
    it ends by an error they are removed; table and tracks have what was found until then. Raises DataError or OSError
    when something cannot be written, which may be somewhat later than the call that it is about.
    """

    def __init__(self, folder: Path, outputs: Outputs, workers: int = 0) -> None:
        self.folder, self.outputs = folder, outputs
        self.labels = 0
        """Label files written."""
        self._behind = AsyncWriter(workers)
        self._places: dict[Path, _Place] = {}
        self._videos: list[_Place] = []
        self._stems = set[str]()
        self._images, self._texts = UniqueNames(), UniqueNames()
        self._crops: CropFiles | None = None
        self._table = DetectionTable(ids=outputs.tracks)
        self._mot = MotFiles(folder / "mot")

    @property
    def sequences(self) -> list[Sequence]:
        """What there is of tracks."""
        return self._mot.sequences

    def __enter__(self) -> ResultWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None or issubclass(kind, KeyboardInterrupt):
                for path in list(self._places):
                    self._end(path)
                self._behind.finish()
            with contextlib.nullcontext() if kind is None else contextlib.suppress(OSError):
                if self.outputs.table and (kind is None or self._table.count):
                    self._table.write(self.folder / "predictions.csv")
                self._mot.finish()
        finally:
            self._behind.close()
            self._mot.abort()
            for place in self._videos:
                if place.video is not None:
                    place.video.abort()

    def write(self, result: Result, frame: Frame) -> None:
        """Write everything about ``frame``; the frames of a file come one after the other, those of streams mixed."""
        if frame.path not in self._places:
            if not frame.live:
                for path in list(self._places):
                    self._end(path)
            self._places[frame.path] = self._begin(frame)
        place = self._places[frame.path]
        if self.outputs.text:
            self._write_text(result, place.stem)
        if self.outputs.crops:
            self._write_crops(result, place.stem)
        if self.outputs.table:
            self._table.add(result)
        if self.outputs.tracks:
            self._mot.add(result, frame)
        if self.outputs.images and place.drawn:
            self._behind.do(functools.partial(self._draw, result, place), in_order=place.video is not None)

    def _begin(self, frame: Frame) -> _Place:
        """Find names for a new file, and begin its video."""
        suffix = frame.path.suffix
        if frame.number is not None:
            suffix = ".mp4"
        elif suffix.lower() not in _WRITABLE:
            suffix = ".jpg"
        name = self._images.take(frame.path.name if frame.live else frame.path.stem, suffix)
        # bus.jpg and bus.png keep their names; the labels of the second are in bus.png.txt.
        stem = name[: len(name) - len(suffix)]
        place = _Place(self.folder / name, name if stem in self._stems else stem)
        self._stems.add(place.stem)
        if frame.number is not None and self.outputs.images:
            height, width = frame.image.shape[:2]
            if min(height, width) < LEAST_SIDE:
                logger.warning("%s: no video of %d x %d pixels can be written; skipped", frame.path, width, height)
                place.drawn = False
                return place
            place.video = VideoWriter(place.target, frame.fps, frame.image.shape[:2])
            self._videos = [other for other in self._videos if other.video is not None] + [place]
        return place

    def _end(self, path: Path) -> None:
        """The file has no more frames: its video is put in place behind its last one."""
        place = self._places[path]
        if place.video is not None:
            self._behind.do(functools.partial(self._finish, place), in_order=True)
        del self._places[path]

    def _finish(self, place: _Place) -> None:
        video, place.video = place.video, None
        video.finish()

    def _draw(self, result: Result, place: _Place) -> None:
        drawn = self.outputs.drawn(result)
        if place.video is not None:
            place.video.add(drawn)
        else:
            write_image(place.target, drawn)

    def _write_text(self, result: Result, stem: str) -> None:
        stem = stem if result.frame is None else f"{stem}_{result.frame}"
        path = self.folder / "labels" / self._texts.take(stem, ".txt")
        if len(result):
            lines = result.label_lines(confidence=self.outputs.confidence)
            self._behind.do(functools.partial(write_text_atomic, path, lines))
            self.labels += 1
        else:
            path.unlink(missing_ok=True)  # of an earlier run into the same folder

    def _write_crops(self, result: Result, stem: str) -> None:
        if self._crops is None:
            self._crops = CropFiles(self.folder / "crops", result.names, replace=True)
        for path, crop in self._crops.cut(result.image, result.boxes, stem):
            self._behind.do(functools.partial(write_image, path, crop))


def refuse_own_results(files: tuple[Path, ...], folder: Path) -> None:
    """Raise ConfigError when a result would be written over one of the ``files`` it comes from."""
    inside = folder.resolve()
    for path in files:
        if inside in path.resolve().parents:
            raise ConfigError(
                "the results would be written over the source", where=folder, hint="choose another --project or --name"
            )

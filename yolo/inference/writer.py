"""What a detection run leaves on disk: annotated pictures and videos, label files, cut-out objects."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolo.data.images import write_image
from yolo.errors import ConfigError
from yolo.files import write_text_atomic
from yolo.inference.results import Result
from yolo.inference.sources import Frame
from yolo.inference.video import VideoWriter
from yolo.inference.writer_names import UniqueNames, class_folders

# Picture formats that can be read but not written become JPEG.
_WRITABLE = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
# A cut-out object has this much around it.
_CROP_GAIN, _CROP_PAD = 1.02, 10


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What to write. pictures: annotated pictures and videos; text: label files; crops: one picture an object."""

    pictures: bool = True
    text: bool = False
    confidence: bool = False
    crops: bool = False
    line_width: int | None = None
    hide_labels: bool = False
    hide_conf: bool = False

    @property
    def any(self) -> bool:
        """Whether anything is written at all."""
        return self.pictures or self.text or self.crops


class ResultWriter:
    """Writes Results into ``folder``; a context manager, at whose end the last video is put in place.

    Every file appears whole or not at all, and no file of a run replaces another one of it. Raises DataError or
    OSError when something cannot be written.
    """

    def __init__(self, folder: Path, outputs: Outputs) -> None:
        self.folder, self.outputs = folder, outputs
        self.labels = 0
        """Label files written."""
        self._file: Path | None = None
        self._stem, self._stems = "", set[str]()
        self._video: VideoWriter | None = None
        self._pictures, self._texts = UniqueNames(), UniqueNames()
        self._crops: dict[str, UniqueNames] = {}
        self._classes: tuple[str, ...] = ()

    def __enter__(self) -> ResultWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        video, self._video = self._video, None
        if video is not None:
            video.abort() if kind else video.finish()

    def write(self, result: Result, frame: Frame) -> None:
        """Write everything about ``frame``; the frames of a file come one after the other."""
        if frame.path != self._file:
            self._begin(frame)
        if self.outputs.text:
            self._write_text(result)
        if self.outputs.crops:
            self._write_crops(result)
        if self.outputs.pictures:
            self._write_picture(result)

    def _begin(self, frame: Frame) -> None:
        """Close the previous video and find names for a new file."""
        video, self._video = self._video, None
        if video is not None:
            video.finish()
        self._file = frame.path
        suffix = frame.path.suffix
        if frame.number is not None:
            suffix = ".mp4"
        elif suffix.lower() not in _WRITABLE:
            suffix = ".jpg"
        name = self._pictures.take(frame.path.stem, suffix)
        self._target = self.folder / name
        # bus.jpg and bus.png keep their names; the labels of the second are in bus.png.txt.
        stem = name[: len(name) - len(suffix)]
        self._stem = name if stem in self._stems else stem
        self._stems.add(self._stem)
        if frame.number is not None and self.outputs.pictures:
            self._video = VideoWriter(self._target, frame.fps, frame.picture.shape[:2])

    def _write_picture(self, result: Result) -> None:
        look = self.outputs
        drawn = result.annotated(line_width=look.line_width, hide_labels=look.hide_labels, hide_conf=look.hide_conf)
        if self._video is not None:
            self._video.add(drawn)
        else:
            write_image(self._target, drawn)

    def _write_text(self, result: Result) -> None:
        stem = self._stem if result.frame is None else f"{self._stem}_{result.frame}"
        path = self.folder / "labels" / self._texts.take(stem, ".txt")
        if len(result):
            write_text_atomic(path, result.label_lines(confidence=self.outputs.confidence))
            self.labels += 1
        else:
            path.unlink(missing_ok=True)  # of an earlier run into the same folder

    def _write_crops(self, result: Result) -> None:
        self._classes = self._classes or class_folders(result.names)
        for box, number in zip(result.boxes[::-1], result.classes[::-1]):
            crop = cut_out(result.picture, box)
            if crop.size:
                folder = self._classes[number]
                name = self._crops.setdefault(folder, UniqueNames("")).take(self._stem, ".jpg")
                write_image(self.folder / "crops" / folder / name, crop)


def cut_out(picture: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The part of ``picture`` in ``box`` (xyxy, pixels) and a little around it: 1.02 times as large and 10 pixels."""
    corners = np.round(box.astype(np.float64))
    centre, size = (corners[:2] + corners[2:]) / 2, corners[2:] - corners[:2]
    half = (size * _CROP_GAIN + _CROP_PAD) / 2
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = np.clip(np.trunc([*(centre - half), *(centre + half)]), 0, [width, height] * 2).astype(int)
    return np.ascontiguousarray(picture[y1:y2, x1:x2])


def refuse_own_results(files: tuple[Path, ...], folder: Path) -> None:
    """Raise ConfigError when a result would be written over one of the ``files`` it comes from."""
    inside = folder.resolve()
    for path in files:
        if inside in path.resolve().parents:
            raise ConfigError(
                "the results would be written over the source", where=folder, mend="choose another --project or --name"
            )

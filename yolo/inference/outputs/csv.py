"""All detections of a run as a CSV table."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from yolo.inference.results import Result
from yolo.io.files import write_text_atomic

HEADER = ("Image Name", "Prediction", "Confidence")
"""YOLOv5's columns."""


class DetectionTable:
    """Collects a line a detection: file name, class name, confidence with two digits; the track's id with ``ids``."""

    def __init__(self, *, ids: bool = False) -> None:
        self._text = io.StringIO(newline="")
        self._lines = csv.writer(self._text, lineterminator="\n")
        self._lines.writerow((*HEADER, "Track") if ids else HEADER)
        self.count = 0
        """Detections so far."""

    def add(self, result: Result) -> None:
        """The detections of one image or frame, the most confident last as in label files."""
        name = "" if result.path is None else result.path.name
        columns = [result.boxes.cls, result.boxes.conf, *([] if result.ids is None else [result.ids])]
        for number, confidence, *track in zip(*(column[::-1] for column in columns)):
            self.count += 1
            self._lines.writerow((name, result.names[number], f"{confidence:.2f}", *track))

    def write(self, path: Path) -> Path:
        """The whole table as a file, whole or not at all."""
        return write_text_atomic(path, self._text.getvalue())

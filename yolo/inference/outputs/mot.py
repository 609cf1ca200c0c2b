"""Tracks as text in the format of MOTChallenge, one file for each sequence.

A line a box: frame, id, left, top, width, height, confidence, -1, -1, -1. Frames and ids count from 1, and so do pixels
in MOTChallenge: 1 is added to left and top. Ten columns, no blanks, no header and no class, since evaluators refuse or
lose other lines. Frames that were not looked at keep their numbers. A sequence without tracks is an empty file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import tempfile
from pathlib import Path
from typing import Any

from yolo.inference.outputs.names import UniqueNames
from yolo.inference.results import Result
from yolo.inference.sources.base import Frame
from yolo.io.files import write_atomic

# What MOTChallenge calls the folder of a sequence's images, so that the sequence's name is its parent's.
_IMAGES = "img1"
# Lines kept in memory: a stream may last for days.
_MOST_LINES = 1000


def mot_lines(number: int, result: Result) -> list[str]:
    """The lines of frame ``number``, which ``result`` has ids for."""
    lines = []
    for identity, (x1, y1, x2, y2, confidence, _) in zip(result.ids, result.rows.astype(float).tolist()):
        box = f"{x1 + 1:.2f},{y1 + 1:.2f},{x2 - x1:.2f},{y2 - y1:.2f}"
        lines.append(f"{number},{identity},{box},{confidence:.4f},-1,-1,-1\n")
    return lines


@dataclasses.dataclass
class Sequence:
    """What is written of one: ``target`` is its file, ``tracks`` the highest id."""

    source: Path
    target: Path
    frames: int = 0
    tracks: int = 0
    lines: list[str] = dataclasses.field(default_factory=list, repr=False)
    spilt: Path | None = None
    """Where earlier lines are."""

    def add(self, number: int, result: Result) -> None:
        """The tracks of frame ``number``. Raises OSError."""
        self.frames += 1
        self.tracks = max([self.tracks, *result.ids.tolist()])
        self.lines += mot_lines(number, result)
        if len(self.lines) >= _MOST_LINES:
            self.spill()

    def spill(self) -> Path:
        """Move all lines into a temporary file beside the target."""
        if self.spilt is None:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.target.parent, prefix=f".{self.target.stem}.", suffix=".txt")
            os.close(handle)
            self.spilt = Path(name)
        with open(self.spilt, "a", encoding="ascii") as stream:
            stream.writelines(self.lines)
        self.lines.clear()
        return self.spilt

    def __str__(self) -> str:
        counts = ((self.tracks, "track"), (self.frames, "frame"))
        tracks, frames = (f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts)
        return f"{tracks} in {frames}: {self.target}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON: ``path``, ``mot`` (the file), ``frames`` looked at, ``tracks``."""
        return {"path": str(self.source), "mot": str(self.target), "frames": self.frames, "tracks": self.tracks}


class MotFiles:
    """Writes ``FOLDER/SEQUENCE.txt`` for each sequence, whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sequences: list[Sequence] = []
        """All so far."""
        self._names = UniqueNames()
        self._open: dict[Path, Sequence] = {}

    def add(self, result: Result, frame: Frame) -> None:
        """The tracks of one frame; the frames of a sequence come in their order. Raises OSError."""
        if frame.sequence not in self._open:
            if frame.number is not None and not frame.live:  # a video: what was there before it is through
                self.finish()
            name = self._names.take(_name(frame), ".txt")
            self._open[frame.sequence] = Sequence(frame.sequence, self.folder / name)
            self.sequences.append(self._open[frame.sequence])
        self._open[frame.sequence].add(frame.number_there, result)

    def finish(self) -> None:
        """Put all files in place. Raises OSError where one cannot be written."""
        for path, sequence in list(self._open.items()):
            spilt = sequence.spill()
            write_atomic(sequence.target, lambda temporary, spilt=spilt: os.replace(spilt, temporary))
            del self._open[path]

    def abort(self) -> None:
        """Remove what is not in place."""
        for sequence in self._open.values():
            if sequence.spilt is not None:
                sequence.spilt.unlink(missing_ok=True)
        self._open.clear()
        with contextlib.suppress(OSError):  # where nothing is in it
            self.folder.rmdir()


def _name(frame: Frame) -> str:
    if frame.live:
        return frame.path.name
    if frame.number is not None:
        return frame.path.stem
    folder = frame.sequence.absolute()
    return (folder.parent if folder.name == _IMAGES else folder).name or "images"

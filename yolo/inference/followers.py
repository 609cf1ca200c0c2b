"""Detections of a source's frames become tracks: a tracker for each video, stream and folder of images."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from yolo.inference.results import Result
from yolo.inference.sources.base import Frame
from yolo.tracking.bytetrack import NO_TRACK, USUAL_FPS, ByteTrack, TrackSettings


class Followers:
    """Gives results the ids of tracks; see ``yolo.tracking.bytetrack``.

    The images of one folder are the frames of one film, in the source's order. Frames that were not looked at (of
    ``vid_stride``, of a stream while the network ran, what could not be decoded) move tracks on and age them.
    """

    def __init__(self, settings: TrackSettings, vid_stride: int = 1) -> None:
        self._settings, self._vid_stride = settings, vid_stride
        self._trackers: dict[Path, tuple[ByteTrack, int]] = {}

    def follow(self, frame: Frame, result: Result) -> Result:
        """Those of a frame's detections that belong to tracks, with ids; a sequence's frames come in their order."""
        sequence, number = frame.sequence, frame.number_there
        tracker, last = self._trackers.get(sequence, (None, 0))
        if tracker is None or number <= last:  # a film that begins, or begins anew
            # Numbers count all frames, the rate only those of the stride.
            tracker, last = ByteTrack(self._settings, fps=frame.fps * self._vid_stride or USUAL_FPS), number - 1
        ids = tracker.update(result.rows, number - last)
        self._trackers[sequence] = tracker, number
        tracked = ids != NO_TRACK
        return dataclasses.replace(result, rows=result.rows[tracked], ids=ids[tracked])

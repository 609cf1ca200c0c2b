"""ByteTrack: every detection box is matched, those of low confidence behind the others.

From the algorithm of Zhang et al., ByteTrack: Multi-Object Tracking by Associating Every Detection Box, ECCV 2022
(arXiv 2110.06864), with IoU as the likeness in all matchings. As there, the second matching is open to lost tracks too,
and a new track is confirmed by its second frame. Otherwise than there: thresholds are those at which ``yolo.detect``
shows boxes (the paper's are 0.6 and 0.7), another class costs something, and a lost box keeps its size. Boxes that are
given out are the detector's, not the filter's.
"""

from __future__ import annotations

import dataclasses
import math
import numbers

import numpy as np
from numpy.typing import ArrayLike, NDArray

from yolo.errors import ConfigError
from yolo.io.brief import brief
from yolo.tracking.matching import match, overlap_costs
from yolo.tracking.tracks import CANDIDATE, Found, Places, Tracks

USUAL_FPS = 30.0
"""At which a buffer is as many frames as it says; also where the rate is not known."""
NO_TRACK = -1
"""Instead of an id."""


@dataclasses.dataclass(frozen=True)
class TrackSettings:
    """When detections are one object.

    Thresholds are confidences but for ``match_thresh``. A track is found again by a box above ``track_thresh``, or else
    by one above ``low_thresh``. Where no track explains a box, a new one begins with it above ``new_thresh`` (and
    ``track_thresh``). ``match_thresh`` is the largest cost of a match, 1 − IoU: 0.8 asks for an IoU of 0.2. A lost
    track is looked for through ``track_buffer`` frames, counted at 30 a second: at 60 through twice as many.
    Raises ConfigError for what is out of range.
    """

    track_thresh: float = 0.25
    low_thresh: float = 0.1
    new_thresh: float = 0.25
    match_thresh: float = 0.8
    track_buffer: int = 30

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, share = getattr(self, field.name), field.name != "track_buffer"
            if not (isinstance(value, numbers.Real) and 0 <= value <= (1 if share else math.inf)):  # NaN is not
                bounds = "between 0 and 1" if share else "at least 0"
                raise ConfigError(f"is {brief(value)}", where=field.name, hint=f"give {bounds}")


class ByteTrack:
    """Follows objects through one video: ``ids = tracker.update(rows)`` for each of its frames, in their order.

    Ids count from 1 in the order in which tracks are confirmed and are never used twice. Those that begin in the first
    frame are confirmed at once, later ones when they are found again in the next frame; until then they have no id.
    A track that is not found keeps its id and moves on as it did, through ``track_buffer``. Classes do not part
    objects: a track whose class flips keeps its id. But where boxes lie on each other each track takes the one of its
    class (``matching.OTHER_CLASS``). What a match is allowed to cost, and what that means: ``yolo.tracking.matching``.
    """

    def __init__(self, settings: TrackSettings | None = None, *, fps: float = USUAL_FPS) -> None:
        """``fps``: frames a second, those that are not looked at included; raises ValueError for none above 0."""
        if not 0 < fps < math.inf:
            raise ValueError(f"{fps} frames a second")
        self.settings = settings or TrackSettings()
        self._buffer = math.ceil(self.settings.track_buffer * fps / USUAL_FPS - 1e-6)
        self._frame = self._given = 0
        self._tracks = Tracks.begun(Found.of(np.empty((0, 6))), np.empty(0, np.int64), 0)

    @property
    def count(self) -> int:
        """How many tracks were confirmed so far, which is the highest id."""
        return self._given

    def update(self, rows: ArrayLike, frames: int = 1) -> NDArray[np.int64]:
        """The track of each detection of the next frame, int64 ``[n]``: its id, or ``NO_TRACK``.

        rows: ``[n, 6]`` x1, y1, x2, y2 (pixels), confidence, class. n may be 0, and a frame in which nothing was found
        must be given too. ``frames`` is how many frames on from the last one it is: 1, or more where those between
        were not looked at. Raises ValueError for other shapes, what is not finite, and ``frames`` below 1.
        """
        found = Found.of(rows)
        if frames < 1:
            raise ValueError(f"{frames} frames on")
        is_first = self._frame == 0
        self._frame += frames
        self._tracks = self._tracks.after(frames)
        taken = self._associate(found)
        matched = np.flatnonzero(taken != NO_TRACK)
        self._tracks = self._tracks.seen_at(taken[matched], found[matched], self._frame)
        ids = np.full(len(found), NO_TRACK, np.int64)
        ids[matched] = self._confirmed(taken[matched])
        self._forget()
        new = self._begun(found, taken)
        if is_first:
            ids[new] = self._confirmed(np.arange(len(new)))
        return ids

    def _associate(self, found: Found) -> Places:
        """The place of the track that each detection is of, or ``NO_TRACK``.

        Confirmed tracks, lost ones too, take boxes of high confidence; those that are left, boxes of low confidence;
        candidates, boxes of high confidence that are left.
        """
        taken = np.full(len(found), NO_TRACK, np.int64)
        known = self._tracks.ids != CANDIDATE
        high = found.confidences > self.settings.track_thresh
        low = ~high & (found.confidences > self.settings.low_thresh)
        for tracks, boxes in ((known, high), (known, low), (~known, high)):
            free = np.setdiff1d(np.flatnonzero(tracks), taken)
            left = np.flatnonzero(boxes & (taken == NO_TRACK))
            if not (len(free) and len(left)):
                continue
            ours, theirs = self._tracks[free], found[left]
            costs = overlap_costs(ours.motion.xyxy, theirs.xyxy, ours.classes, theirs.classes)
            pairs = match(costs, self.settings.match_thresh)
            taken[left[pairs[1]]] = free[pairs[0]]
        return taken

    def _confirmed(self, places: Places) -> NDArray[np.int64]:
        """The ids of tracks that were found; candidates among them get theirs now."""
        ids = self._tracks.ids.copy()
        again = places[ids[places] == CANDIDATE]
        ids[again] = self._given + 1 + np.arange(len(again))
        self._given += len(again)
        self._tracks = dataclasses.replace(self._tracks, ids=ids)
        return ids[places]

    def _forget(self) -> None:
        """Drop candidates that were not found again, and what is lost for too long."""
        lost = self._frame - self._tracks.seen
        self._tracks = self._tracks[lost <= np.where(self._tracks.ids == CANDIDATE, 0, self._buffer)]

    def _begun(self, found: Found, taken: Places) -> Places:
        """The detections that no track explains and that are good enough: candidates begin with them."""
        least = max(self.settings.new_thresh, self.settings.track_thresh)
        new = np.flatnonzero((taken == NO_TRACK) & (found.confidences > least))
        candidates = Tracks.begun(found[new], np.full(len(new), CANDIDATE, np.int64), self._frame)
        self._tracks = self._tracks.joined(candidates)
        return new

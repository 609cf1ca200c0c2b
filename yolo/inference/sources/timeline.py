"""When a video's frames are shown, by its packets: what a file announces of them is often an estimate."""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np
from numpy.typing import NDArray

USUAL_FPS = 30.0
"""Of videos and streams that do not say."""
# What a video can be written with.
_MOST_FPS = 1000.0
# Sound often lasts somewhat longer than the frames, and some files announce the longer of both: seconds, and a share.
_TAIL_SECONDS, _TAIL_SHARE = 0.25, 0.1


@dataclasses.dataclass(frozen=True, eq=False)
class Timeline:
    """times: ascending seconds, one for each packet of a video, ``[n]``; empty where packets cannot be had.

    announced: frames that the file says it has, None when it does not say; announced_fps: their rate. With uneven
    times either may be an estimate, and only their quotient, the length, is right. Some codecs have packets that show
    nothing, or two a frame.
    """

    times: NDArray[np.float64]
    announced: int | None
    announced_fps: float

    @classmethod
    def of(cls, path: str, capture: cv2.VideoCapture) -> Timeline:
        """Of the file that ``capture`` has open; goes through its packets once and decodes none."""
        announced, fps = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
        return cls(
            _packet_times(path),
            int(announced) if 0 < announced < 2**31 else None,
            fps if math.isfinite(fps) and fps > 0 else USUAL_FPS,
        )

    @property
    def length(self) -> float | None:
        """Seconds that the file announces."""
        return None if self.announced is None else self.announced / self.announced_fps

    @property
    def end(self) -> float:
        """Seconds from the first frame to the end of the last one, which lasts as long as all do on average."""
        packets, span = len(self.times), float(np.ptp(self.times)) if len(self.times) else 0.0
        credible = self.length is None or span <= 2 * self.length + 1  # times may jump where films were joined
        return span * packets / (packets - 1) if span > 0 and credible else packets / self.announced_fps

    @property
    def count(self) -> int | None:
        """How many frames there are, as far as that can be known without decoding; None when it cannot."""
        packets = len(self.times) or None
        if packets is None or self.announced is None:
            return packets or self.announced
        return self.announced if self.announced < packets and self.length > 0.9 * self.end else packets

    @property
    def fps(self) -> float:
        """Frames a second; on average over the film's length where their times are uneven."""
        if not len(self.times):
            return self.announced_fps if self.announced_fps <= _MOST_FPS else USUAL_FPS
        length = self.length if self.announced == len(self.times) else self.end
        if abs(self.count / self.announced_fps - length) <= 1 / self.announced_fps:
            return min(self.announced_fps, _MOST_FPS)
        return min(float(f"{self.count / length:.4g}"), _MOST_FPS)  # MPEG-4 keeps no finer fractions

    @property
    def is_cut_off(self) -> bool:
        """Whether the last packet's time is clearly before the announced end, and packets are missing."""
        if self.announced is None or not len(self.times) or len(self.times) >= self.announced:
            return False
        return self.length - self.end > min(_TAIL_SECONDS, _TAIL_SHARE * self.length)

    def later_than(self, seconds: float) -> int:
        """How many packets are to be shown after that."""
        return int((self.times > seconds).sum())


def _packet_times(path: str) -> NDArray[np.float64]:
    try:
        packets = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    except cv2.error:
        return np.empty(0)
    times = []
    while packets.grab():
        times.append(packets.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    packets.release()
    return np.sort(np.array(times, np.float64))

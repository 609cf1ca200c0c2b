"""Streams: a thread for each keeps its newest frame and connects again when it breaks off."""

from __future__ import annotations

import dataclasses
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolo.errors import DataError
from yolo.inference.sources.base import Frame, Task
from yolo.inference.sources.capture import Capture, open_capture, shown_name

logger = logging.getLogger("yolo")

# A thread that hangs in a library's call is not waited for longer; it ends with the process.
_JOIN_SECONDS = 2.0


@dataclasses.dataclass(frozen=True)
class Patience:
    """How a stream that broke off is waited for, in seconds: pauses from ``first``, doubled up to ``longest``, until
    nothing came for ``most``."""

    first: float = 0.5
    longest: float = 8.0
    most: float = 60.0


PATIENCE = Patience()


class LiveStream:
    """One camera or stream; ``source`` is a camera's number or a URL.

    Connects at once and raises DataError when that fails. ``changed`` is notified of every new frame and of the end.
    """

    def __init__(self, source: str, stride: int, changed: threading.Condition, patience: Patience) -> None:
        self.name = shown_name(source)
        self.ended = False
        self._source, self._stride, self._patience = source, stride, patience
        self._changed, self._stopped = changed, threading.Event()
        self._newest: tuple[int, NDArray[np.uint8]] | None = None
        self._number = 0
        capture = open_capture(source)
        self.fps = capture.fps / stride
        self._thread = threading.Thread(target=self._run, args=(capture,), name="stream", daemon=True)
        self._thread.start()

    def take(self) -> tuple[int, NDArray[np.uint8]] | None:
        """The newest frame (RGB) with its number, if it was not taken yet; ``changed`` must be held."""
        newest, self._newest = self._newest, None
        return newest

    def stop(self) -> None:
        """Tell the thread to end."""
        self._stopped.set()

    def join(self) -> None:
        """Wait for the thread to end; not for long."""
        self._thread.join(_JOIN_SECONDS)

    def _run(self, capture: Capture | None) -> None:
        try:
            while capture is not None:
                try:
                    self._read(capture)
                finally:
                    capture.release()
                capture = self._again()
        finally:
            with self._changed:
                self.ended = True
                self._changed.notify_all()

    def _read(self, capture: Capture) -> None:
        """Keep the newest frame until there is none."""
        while not self._stopped.is_set() and capture.grab():
            self._number += 1
            if (self._number - 1) % self._stride:
                continue
            image = capture.retrieve()
            if image is None:
                return
            with self._changed:
                self._newest = (self._number, image)
                self._changed.notify_all()

    def _again(self) -> Capture | None:
        """Connect anew; None when that is no longer wanted or took too long."""
        pause, begin = self._patience.first, time.monotonic()
        while not self._stopped.is_set():
            if time.monotonic() - begin >= self._patience.most:
                logger.warning("%s: nothing for %g seconds, given up", self.name, self._patience.most)
                return None
            logger.warning("%s: no frame; connecting again in %g s", self.name, pause)
            if self._stopped.wait(pause):
                return None
            pause = min(2 * pause, self._patience.longest)
            try:
                return open_capture(self._source)
            except DataError:
                continue
        return None


class LiveSources:
    """The newest frames of streams, in turn, until all have ended or ``close`` is called."""

    live = True
    files: tuple[Path, ...] = ()
    left_out = ()

    def __init__(self, sources: Sequence[str], vid_stride: int = 1, patience: Patience | None = None) -> None:
        """Connects to all; raises DataError for the first that fails."""
        self.count = len(sources)
        self._changed = threading.Condition()
        self._streams: list[LiveStream] = []
        try:
            for source in sources:
                self._streams.append(LiveStream(source, vid_stride, self._changed, patience or PATIENCE))
        except BaseException:
            self.close()
            raise
        self._names = _different([file_name(stream.name) for stream in self._streams])

    def tasks(self) -> Iterator[Task]:
        """Each waits for a frame that was not looked at yet; None tells that a stream has ended meanwhile."""
        while (frames := self._wait()) is not None:
            for position, number, image in frames:
                yield self._task(position, number, image)

    def _task(self, position: int, number: int, image: NDArray[np.uint8]) -> Callable[[], Frame]:
        name, fps = self._names[position], self._streams[position].fps
        return lambda: Frame(image, Path(name), position + 1, number, fps=fps, live=True)

    def _wait(self) -> list[tuple[int, int, NDArray[np.uint8]]] | None:
        """All untaken frames (at least one), or None when none will come any more."""
        with self._changed:
            while True:
                ended = all(stream.ended for stream in self._streams)
                found = [(position, stream.take()) for position, stream in enumerate(self._streams)]
                frames = [(position, *newest) for position, newest in found if newest is not None]
                if frames or ended:
                    return frames or None
                self._changed.wait()

    def close(self) -> None:
        """End all threads."""
        for stream in self._streams:
            stream.stop()
        for stream in self._streams:
            stream.join()


def file_name(name: str) -> str:
    """A source's name as a file's."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "stream"


def _different(names: list[str]) -> list[str]:
    """The names, those that come again with a number."""
    return [f"{name}_{names[:i].count(name) + 1}" if name in names[:i] else name for i, name in enumerate(names)]

"""``python -m yolo.track``: follow objects through videos, streams and folders of frames."""

from __future__ import annotations

if __name__ == "__main__":  # before whatever takes time to load
    from yolo.stops import run

    run("yolo.track")

import dataclasses
from collections.abc import Iterator
from typing import Any

from yolo.command import run_command
from yolo.config.commands import TrackConfig
from yolo.inference.detector import Detector
from yolo.inference.frame_run import Opened, make_outputs, run_over_frames
from yolo.inference.results import Result
from yolo.inference.sources.base import Frame


def track(config: TrackConfig) -> dict[str, Any]:
    """Track as ``config`` says; give the command's JSON object without its head."""

    def look(detector: Detector, sources: Opened, whole: bool) -> Iterator[tuple[Frame, Result]]:
        return detector.track(
            sources.tasks(),
            low_thresh=config.low_thresh,
            new_thresh=config.new_thresh,
            match_thresh=config.match_thresh,
            track_buffer=config.track_buffer,
            vid_stride=config.vid_stride,
            live=sources.live,
            whole=whole,
        )

    return run_over_frames(config, dataclasses.replace(make_outputs(config), tracks=True), look)


def main(argv: list[str] | None = None) -> int:
    """Run the command; give its exit code."""
    return run_command("yolo.track", TrackConfig, track, argv)

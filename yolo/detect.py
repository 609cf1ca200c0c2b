"""``python -m yolo.detect``: find objects in images, videos and streams."""

from __future__ import annotations

if __name__ == "__main__":  # before whatever takes time to load
    from yolo.stops import run

    run("yolo.detect")

from collections.abc import Iterator
from typing import Any

from yolo.command import run_command
from yolo.config.commands import DetectConfig
from yolo.inference.detector import Detector
from yolo.inference.frame_run import Opened, make_outputs, run_over_frames
from yolo.inference.results import Result
from yolo.inference.sources.base import Frame


def detect(config: DetectConfig) -> dict[str, Any]:
    """Detect as ``config`` says; give the command's JSON object without its head."""
    return run_over_frames(config, make_outputs(config), _look)


def _look(detector: Detector, sources: Opened, whole: bool) -> Iterator[tuple[Frame, Result]]:
    return detector.stream(sources.tasks(), live=sources.live, whole=whole)


def main(argv: list[str] | None = None) -> int:
    """Run the command; give its exit code."""
    return run_command("yolo.detect", DetectConfig, detect, argv)

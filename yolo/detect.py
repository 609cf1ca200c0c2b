"""``python -m yolo.detect``: find objects in pictures and videos."""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from yolo.command import new_run_folder, remove_if_empty, require_source, run_command
from yolo.config.commands import DetectConfig
from yolo.data.dataset import load_dataset
from yolo.errors import ConfigError
from yolo.inference.detector import Detector
from yolo.inference.results import Result
from yolo.inference.sources import Frame, Sources, open_sources
from yolo.inference.writer import Outputs, ResultWriter, refuse_own_results

logger = logging.getLogger("yolo")


def detect(config: DetectConfig) -> dict[str, Any]:
    """Detect as ``config`` says; give the command's JSON object without its head."""
    # All that can be refused is refused before a folder is made; the source first, as it is quickly looked at.
    sources = open_sources(require_source(config.source, "--source"), config.vid_stride)
    if config.exist_ok:
        refuse_own_results(sources.files, Path(config.project) / config.name)
    detector = make_detector(config)
    outputs = make_outputs(config)
    if not outputs.any:
        return _look(detector, sources, None, config.json)
    run = new_run_folder(config.project, config.name, config.exist_ok)
    try:
        with ResultWriter(run, outputs) as writer:
            found = _look(detector, sources, writer, config.json)
    except BaseException:
        remove_if_empty(run)
        raise
    logger.info("results: %s", run)
    if outputs.text:
        logger.info("labels: %s (%d)", run / "labels", writer.labels)
    return {**found, "save_dir": str(run)}


def make_detector(config: DetectConfig) -> Detector:
    """The detector that the options describe; raises YoloError subclasses for what they name wrongly."""
    if len(config.imgsz) > 2:
        raise ConfigError(f"{len(config.imgsz)} numbers", where="--imgsz", mend="give one, or height and width")
    return Detector(
        config.weights,
        device=config.device,
        imgsz=config.imgsz,
        conf=config.conf_thres,
        iou=config.iou_thres,
        max_det=config.max_det,
        classes=config.classes,
        agnostic=config.agnostic_nms,
        names=load_dataset(config.data).names if config.data else None,
        half=config.half,
        compile=config.compile,
    )


def make_outputs(config: DetectConfig) -> Outputs:
    """Which files the options ask for."""
    return Outputs(
        pictures=not config.nosave,
        text=config.save_txt,
        confidence=config.save_conf,
        crops=config.save_crop,
        line_width=config.line_thickness,
        hide_labels=config.hide_labels,
        hide_conf=config.hide_conf,
    )


def _look(detector: Detector, sources: Sources, writer: ResultWriter | None, wanted: bool) -> dict[str, Any]:
    """Go through all frames; ``wanted`` says whether their detections are returned (a long video has many)."""
    images, sizes, total, frames = [], set(), Counter(), 0
    for frame in sources:
        result = dataclasses.replace(detector(frame.picture), path=frame.path, frame=frame.number)
        if writer is not None:
            writer.write(result, frame)
        logger.info("%s", _line(result, frame, len(sources.files)))
        total.update(result.speed_ms)
        sizes.add(result.input_size)
        frames += 1
        if wanted:
            images.append(result.to_dict())
    speed = {name: milliseconds / frames for name, milliseconds in total.items()}
    logger.info("%s", _speed_line(speed, frames, sizes))
    return {"save_dir": None, "images": images, "speed_ms": {name: round(ms, 2) for name, ms in speed.items()}}


def _line(result: Result, frame: Frame, files: int) -> str:
    height, width = result.input_size
    kind, place = "image", ""
    if frame.number is not None:
        kind, place = "video", f" ({frame.number}/{frame.count or '?'})"
    where = f"{kind} {frame.position}/{files}{place} {frame.path}"
    return f"{where}: {height}x{width} {result.summary()}, {result.speed_ms['inference']:.1f}ms"


def _speed_line(speed: dict[str, float], pictures: int, sizes: Iterable[tuple[int, int]]) -> str:
    parts = ", ".join(f"{ms:.1f} ms {name}" for name, ms in speed.items())
    shapes = ", ".join(f"{height}x{width}" for height, width in sorted(sizes))
    return f"speed of {pictures} {'picture' if pictures == 1 else 'pictures'} at {shapes}: {parts}"


def main(argv: list[str] | None = None) -> int:
    """Run the command; give its exit code."""
    return run_command("yolo.detect", DetectConfig, detect, argv)


if __name__ == "__main__":
    sys.exit(main())

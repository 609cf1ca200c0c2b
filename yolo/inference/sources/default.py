"""What ``yolo.detect`` looks at when no ``--source`` is given."""

from __future__ import annotations

import logging
from pathlib import Path

from yolo.errors import DataError
from yolo.inference.sources.files import find_files

FOLDER = Path("data", "images")
"""In the current folder: YOLOv5's default."""

DEMO = Path(__file__).resolve().parents[2] / "demo"
"""Folder of the images that come with the package; ``scripts/draw_demo_images.py`` draws them."""

logger = logging.getLogger("yolo")


def default_source() -> Path:
    """``data/images`` where it holds an image or a video, else the package's own images; says which."""
    try:
        count, source = len(find_files(FOLDER)), FOLDER
        what = f"{count} file{'s' * (count > 1)} of {FOLDER}"
    except DataError:
        source, what = DEMO, f"the {len(find_files(DEMO))} demo images in {DEMO}"
    logger.info("no --source is given: looking at %s", what)
    return source

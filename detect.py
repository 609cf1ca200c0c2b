"""``python detect.py`` is ``python -m yolo.detect``: find objects in images and videos."""

from __future__ import annotations

if __name__ == "__main__":
    from yolo.stops import run

    run("yolo.detect")

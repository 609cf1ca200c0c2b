"""``python export.py`` is ``python -m yolo.export``: write weights as files that other programs run."""

from __future__ import annotations

if __name__ == "__main__":
    from yolo.stops import run

    run("yolo.export")

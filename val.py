"""``python val.py`` is ``python -m yolo.val``: measure a detector."""

from __future__ import annotations

if __name__ == "__main__":
    from yolo.stops import run

    run("yolo.val", ranks=True)

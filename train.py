"""``python train.py`` is ``python -m yolo.train``: train a detector."""

from __future__ import annotations

if __name__ == "__main__":
    from yolo.stops import run

    run("yolo.train", ranks=True)

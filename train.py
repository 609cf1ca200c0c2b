"""``python train.py`` is ``python -m yolo.train``: train a detector."""

from __future__ import annotations

from yolo.links import depart
from yolo.train import main

if __name__ == "__main__":
    depart(main())

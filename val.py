"""``python val.py`` is ``python -m yolo.val``: measure a detector."""

from __future__ import annotations

from yolo.links import depart
from yolo.val import main

if __name__ == "__main__":
    depart(main())

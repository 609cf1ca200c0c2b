"""``python detect.py`` is ``python -m yolo.detect``: find objects in pictures and videos."""

from __future__ import annotations

import sys

from yolo.detect import main

if __name__ == "__main__":
    sys.exit(main())

"""``python export.py`` is ``python -m yolo.export``: write weights as files that other programs run."""

from __future__ import annotations

import sys

from yolo.export import main

if __name__ == "__main__":
    sys.exit(main())

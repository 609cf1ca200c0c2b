"""Where the published YOLOv5 numbers lie, and the mark for tests that read them."""

from __future__ import annotations

from pathlib import Path

import pytest

PARITY = Path(__file__).parents[2] / "shared" / "parity"

needs_parity = pytest.mark.skipif(
    not PARITY.is_dir(), reason="the parity reference (../shared/parity beside the repository) is absent"
)

"""What is wrong in the folder of an entry of the troubleshooting guide, by the entry's heading."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

PREPARED: dict[str, Callable[[Path], object]] = {}

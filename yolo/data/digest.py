"""Whether two indices are of the same data."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

import numpy as np

from yolo.data.records import Index


def index_digest(index: Index) -> str:
    """SHA-256 of the images' names and sizes and their labels and outlines, in order; not of where they lie."""
    total = hashlib.sha256()
    total.update("\0".join(map(os.path.basename, index.paths.texts())).encode("utf-8", "surrogateescape"))
    for array in (index.shapes, index.labels.counts, index.labels.joined(), *index.segments.joined()):
        total.update(f"{array.shape}".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def names_digest(names: Sequence[str]) -> str:
    """SHA-256 of class names, in order."""
    return hashlib.sha256("\0".join(names).encode("utf-8", "surrogateescape")).hexdigest()

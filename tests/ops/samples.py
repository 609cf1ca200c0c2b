"""Inputs for the operators' tests: plausible predictions, and numbers that no sane model gives."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

ODD_NUMBERS = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 3e38, -3e38, 1e-40, 7680.0, -7680.0, 1e7]


def crowded_predictions(rng: np.random.Generator, images: int, rows: int, nc: int, span: float = 640) -> np.ndarray:
    """Boxes around few centres, so that many overlap, with scores rounded so that many are equal."""
    predictions = np.empty((images, rows, 5 + nc), np.float32)
    centres = rng.uniform(0, span, (8, 2))
    predictions[..., :2] = centres[rng.integers(0, 8, (images, rows))] + rng.normal(0, 10, (images, rows, 2))
    predictions[..., 2:4] = rng.uniform(10, 120, (images, rows, 2))
    predictions[..., 4:] = rng.random((images, rows, 1 + nc)).round(2)
    return predictions


def any_floats(shape) -> st.SearchStrategy[np.ndarray]:
    """float32 arrays of likely box numbers, odd ones, and anything at all."""
    numbers = st.one_of(
        st.floats(0, 640, width=32),
        st.floats(0, 1, width=32),
        st.sampled_from(ODD_NUMBERS).map(lambda v: float(np.float32(v))),
        st.floats(width=32),
    )
    return hnp.arrays(np.float32, shape, elements=numbers)

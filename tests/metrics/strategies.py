"""Random small images, with many equal boxes, overlaps and confidences."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

CLASSES = 3
# No deadline: the machine is shared.
few = settings(max_examples=60, deadline=None)
_corner = st.integers(0, 6)
_box = st.tuples(_corner, _corner, st.integers(0, 5), st.integers(0, 5)).map(
    lambda b: (b[0] * 4, b[1] * 4, (b[0] + b[2]) * 4, (b[1] + b[3]) * 4)
)
_class = st.integers(0, CLASSES - 1)
_confidence = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5000001, 0.9, 1.0])
_detection = st.tuples(_box, _confidence, _class).map(lambda d: (*d[0], d[1], d[2]))
_label = st.tuples(_class, _box).map(lambda d: (d[0], *d[1]))


def _array(columns):
    return lambda rows: np.array(rows, np.float32).reshape(-1, columns)


detections = st.lists(_detection, max_size=12).map(_array(6))
labels = st.lists(_label, max_size=8).map(_array(5))
images = st.lists(st.tuples(detections, labels), max_size=5)

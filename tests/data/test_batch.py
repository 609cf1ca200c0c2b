import numpy as np
import pytest

from yolo.data.batch import pad_labels


def test_labels_are_padded_and_counted():
    rows = [np.ones((2, 5), np.float32), np.zeros((0, 5), np.float32), np.full((3, 5), 2, np.float32)]
    padded, counts = pad_labels(rows, 4)
    assert padded.shape == (3, 4, 5) and padded.dtype == np.float32
    assert counts.tolist() == [2, 0, 3] and counts.dtype == np.int32
    assert padded.sum((1, 2)).tolist() == [10, 0, 30]
    assert padded[0, 2:].sum() == 0


def test_edges():
    padded, counts = pad_labels([], 4)
    assert padded.shape == (0, 4, 5) and counts.shape == (0,)
    with pytest.raises(ValueError, match="3 labels"):
        pad_labels([np.ones((3, 5), np.float32)], 2)

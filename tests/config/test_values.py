"""Sizes that the stride does not divide."""

import logging

import pytest

from yolo.config.values import stride_multiple


@pytest.mark.parametrize(
    ("size", "stride", "used"),
    [(640, 32, 640), (639, 32, 640), (641, 32, 672), (1, 32, 32), (32, 32, 32), (33, 32, 64), (640, 64, 640)]
    + [(600, 64, 640), (100, 8, 104), (16, 8, 16)],
)
def test_stride_multiple(size, stride, used, caplog):
    with caplog.at_level(logging.WARNING, "yolo"):
        assert stride_multiple(size, stride) == used
    said = [record.getMessage() for record in caplog.records]
    warning = f"--imgsz {size} is not a multiple of the stride {stride}: using {used}"
    assert said == ([] if used == size else [warning])

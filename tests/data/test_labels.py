import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolo.data.labels import parse_labels


def test_boxes_and_polygons_are_read():
    found = parse_labels(b"1 0.5 0.25 0.1 0.2\n\n0 0.1 0.2 0.5 0.2 0.3 0.8\n", 2)
    np.testing.assert_allclose(found.rows, [[1, 0.5, 0.25, 0.1, 0.2], [0, 0.3, 0.5, 0.4, 0.6]], rtol=1e-6)
    assert found.segments[0].shape == (0, 2)
    np.testing.assert_allclose(found.segments[1], [[0.1, 0.2], [0.5, 0.2], [0.3, 0.8]], rtol=1e-6)
    assert found.lines == [1, 3] and not found.problems and not found.out_of_range


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 0.5 0.5 0.1", "4 values"),
        ("0 0.5 0.5 0.1 0.1 0.9", "6 values"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4", "8 values"),
        ("0 nan 0.5 0.1 0.1", "finite"),
        ("0 0.5 0.5 inf 0.1", "finite"),
        ("inf 0.5 0.5 0.1 0.1", "finite"),
        ("0 a 0.5 0.1 0.1", "finite"),
        ("0 0_5 0.5 0.1 0.1", "finite"),
        ("0 -0.1 0.5 0.1 0.1", "within 0..1"),
        ("0 0.5 1.001 0.1 0.1", "within 0..1"),
        ("0.5 0.5 0.5 0.1 0.1", "whole number"),
        ("0 0.5 0.5 0 0.1", "no area"),
        ("0 0.5 0.5 0.2 0.2", "duplicate of line 1"),
    ],
)
def test_only_the_bad_line_is_dropped(line, reason):
    found = parse_labels(f"0 0.5 0.5 0.2 0.2\n{line}\n1 0.5 0.5 0.2 0.2\n".encode(), 2)
    assert found.rows[:, 0].tolist() == [0, 1]
    assert len(found.segments) == len(found.lines) == 2
    assert [number for number, _ in found.problems] == [2]
    assert reason in found.problems[0][1]


def test_a_class_without_a_name_is_told_apart():
    found = parse_labels(b"2 0.5 0.5 0.2 0.2\n-1 0.5 0.5 0.2 0.2\n1.0 0.5 0.5 0.2 0.2", 2)
    assert found.out_of_range == [(1, 2), (2, -1)]
    assert found.rows[:, 0].tolist() == [1]
    assert len(parse_labels(b"7 0.5 0.5 0.2 0.2", None).rows) == 1
    assert parse_labels(b"1e30 0.5 0.5 0.2 0.2", 2).out_of_range == [(1, int(1e30))]
    assert len(parse_labels(b"1e30 0.5 0.5 0.2 0.2", None).problems) == 1


def test_line_ends_byte_order_marks_and_bytes_that_are_no_text():
    assert len(parse_labels(b"\xef\xbb\xbf0 .5 .5 .1 .1\r\n0 .5 .5 .2 .2\r0 .5 .5 .3 .3", 1).rows) == 3
    found = parse_labels(b"\xff\xfe\x00\x01\n0 0.5 0.5 0.1 0.1", 1)
    assert len(found.rows) == 1 and [number for number, _ in found.problems] == [1]


LINE = st.lists(
    st.one_of(st.floats().map(repr), st.integers().map(str), st.text(max_size=8), st.just("0.5"), st.just("1e999")),
    max_size=10,
).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.lists(LINE, max_size=6).map(lambda x: "\n".join(x).encode())))
def test_no_bytes_raise_and_what_is_kept_is_sound(content):
    for classes in (3, None):
        found = parse_labels(content, classes)
        assert found.rows.shape == (len(found.segments), 5) and found.rows.dtype == np.float32
        assert np.isfinite(found.rows).all() and (found.rows >= 0).all() and (found.rows[:, 1:] <= 1).all()
        assert (found.rows[:, 0] == found.rows[:, 0].round()).all()

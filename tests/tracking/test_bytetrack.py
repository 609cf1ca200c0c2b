"""Ids through a film: when they begin, what they survive, what continues them."""

from __future__ import annotations

import numpy as np
import pytest

from yolo.errors import ConfigError
from yolo.tracking.bytetrack import ByteTrack, TrackSettings

NOTHING = np.empty((0, 6), np.float32)


def box(x: float, y: float = 50, *, conf: float = 0.9, kind: int = 0, size: tuple[float, float] = (20, 40)) -> list:
    """A detection row around a centre."""
    w, h = size
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2, conf, kind]


def ids(tracker: ByteTrack, *rows: list) -> list[int]:
    return tracker.update(np.array(rows, np.float32) if rows else NOTHING).tolist()


def test_tracks_of_the_first_frame_have_ids_at_once_later_ones_in_their_second() -> None:
    tracker = ByteTrack()
    assert ids(tracker, box(20), box(100)) == [1, 2]
    assert ids(tracker, box(200), box(101), box(21)) == [-1, 2, 1]
    assert ids(tracker, box(22), box(201), box(102)) == [1, 3, 2]
    assert tracker.count == 3


def test_one_that_was_there_for_a_frame_has_no_id_and_takes_none() -> None:
    tracker = ByteTrack()
    ids(tracker, box(20))
    assert ids(tracker, box(20), box(200)) == [1, -1]
    assert ids(tracker, box(20)) == [1]
    assert ids(tracker, box(20), box(200)) == [1, -1]  # not two frames in a row
    assert ids(tracker, box(20), box(200)) == [1, 2]


def test_a_first_frame_without_anything() -> None:
    tracker = ByteTrack()
    assert ids(tracker) == [] and ids(tracker, box(20)) == [-1] and ids(tracker, box(20)) == [1]


@pytest.mark.parametrize(("fps", "survived"), [(30, 5), (60, 10), (15, 3), (1, 1), (29.97, 5)])
def test_an_id_survives_as_many_empty_frames_as_the_buffer_has_at_30_a_second(fps: float, survived: int) -> None:
    for empty, expected in ((survived, [1]), (survived + 1, [-1])):
        tracker = ByteTrack(TrackSettings(track_buffer=5), fps=fps)
        ids(tracker, box(20))
        for _ in range(empty):
            assert ids(tracker) == []
        assert ids(tracker, box(20)) == expected


def test_without_a_buffer_nothing_is_looked_for() -> None:
    tracker = ByteTrack(TrackSettings(track_buffer=0))
    assert [ids(tracker, box(20)), ids(tracker), ids(tracker, box(20)), ids(tracker, box(20))] == [[1], [], [-1], [2]]


def test_a_lost_track_is_looked_for_where_it_would_be() -> None:
    tracker = ByteTrack()
    for frame in range(10):
        assert ids(tracker, box(20 + 6 * frame)) == [1]
    for _ in range(10):
        ids(tracker)
    assert ids(tracker, box(20 + 6 * 20), box(74)) == [1, -1]


def test_frames_that_were_not_looked_at_move_and_age_tracks() -> None:
    moving = [box(20 + 6 * frame) for frame in range(100)]

    def learnt() -> ByteTrack:
        tracker = ByteTrack()
        for rows in moving[:30]:
            ids(tracker, rows)
        return tracker

    for ahead in (12, 45):  # tried once, however long nobody looked
        assert learnt().update([moving[29 + ahead]], ahead).tolist() == [1]
        assert learnt().update([moving[29 + ahead]]).tolist() == [-1]
    tracker = learnt()
    tracker.update(NOTHING, 31)  # longer than the buffer, and not found: forgotten
    assert ids(tracker, moving[61]) == [-1]


def test_low_confidence_continues_a_track_and_begins_none() -> None:
    tracker = ByteTrack()
    assert ids(tracker, box(20), box(200, conf=0.2)) == [1, -1]
    for frame in range(1, 8):
        assert ids(tracker, box(20 + frame, conf=0.15), box(200, conf=0.2)) == [1, -1]
    assert ids(tracker, box(28, conf=0.09)) == [-1]  # below what counts at all
    assert ids(tracker, box(29, conf=0.3)) == [1]


def test_high_boxes_come_first() -> None:
    """A low box that overlaps better is for a track that found no high one."""
    tracker = ByteTrack()
    ids(tracker, box(20))
    assert ids(tracker, box(20, conf=0.2), box(24)) == [-1, 1]


def test_thresholds_are_exclusive() -> None:
    tracker = ByteTrack(TrackSettings(track_thresh=0.5, low_thresh=0.25, new_thresh=0.75))
    assert ids(tracker, box(20, conf=0.75), box(100, conf=0.76)) == [-1, 1]
    assert ids(tracker, box(100, conf=0.25)) == [-1]
    assert ids(tracker, box(100, conf=0.26)) == [1]


def test_a_track_that_begins_needs_both_thresholds() -> None:
    tracker = ByteTrack(TrackSettings(track_thresh=0.6, new_thresh=0.1))
    assert ids(tracker, box(20, conf=0.5), box(100, conf=0.7)) == [-1, 1]


def test_the_limit_of_a_match() -> None:
    near, far = box(20 + 13), box(20 + 14)  # IoU 7/33 and 6/34
    for rows, expected in ((near, [1]), (far, [-1])):
        tracker = ByteTrack()
        ids(tracker, box(20))
        assert ids(tracker, rows) == expected
    tracker = ByteTrack(TrackSettings(match_thresh=1))
    ids(tracker, box(20))
    assert ids(tracker, box(20 + 19.5)) == [1] and ids(tracker, box(200)) == [-1]


def test_two_that_cross_keep_their_ids() -> None:
    tracker = ByteTrack()
    for frame in range(40):
        assert ids(tracker, box(20 + 5 * frame, 50), box(220 - 5 * frame, 58)) == [1, 2]


def test_a_class_that_flips_keeps_its_id() -> None:
    tracker = ByteTrack()
    for frame in range(10):
        assert ids(tracker, box(20 + frame, kind=frame % 2)) == [1]


def test_two_classes_on_one_object_keep_theirs() -> None:
    """Boxes of a car that is a truck, too: which lies nearer to which track changes from frame to frame."""
    rng, tracker = np.random.default_rng(0), ByteTrack()
    ids(tracker, box(50, kind=2), box(50, kind=7))
    for _ in range(20):
        shift = rng.normal(0, 0.5, 2)
        assert ids(tracker, box(50 + shift[0], kind=2), box(50 + shift[1], kind=7)) == [1, 2]


def test_no_id_comes_twice_in_a_frame_or_again() -> None:
    rng, tracker, seen = np.random.default_rng(1), ByteTrack(), set()
    for _ in range(60):
        rows = [box(*rng.uniform(0, 120, 2), conf=rng.uniform(0, 1), kind=rng.integers(3)) for _ in range(12)]
        given = [number for number in ids(tracker, *rows) if number != -1]
        assert len(set(given)) == len(given)
        seen.update(given)
    assert seen == set(range(1, tracker.count + 1)) and tracker.count > 20


def test_trackers_know_nothing_of_each_other() -> None:
    first, second = ByteTrack(), ByteTrack()
    assert ids(first, box(20), box(100)) == [1, 2] and ids(second, box(100)) == [1]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((3, 5)), r"rows of shape \[3, 5\]; give \[n, 6\]"),
        (np.zeros(6), r"rows of shape \[6\]"),
        (np.full((1, 6), np.nan), "not finite"),
    ],
)
def test_what_is_no_detection(rows: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ByteTrack().update(rows)


def test_numbers_out_of_range() -> None:
    with pytest.raises(ConfigError, match=r"match_thresh: is 1\.5; give between 0 and 1"):
        TrackSettings(match_thresh=1.5)
    with pytest.raises(ConfigError, match="new_thresh: is 'x'; give between 0 and 1"):
        TrackSettings(new_thresh="x")
    with pytest.raises(ConfigError, match="track_buffer: is -1; give at least 0"):
        TrackSettings(track_buffer=-1)
    with pytest.raises(ConfigError, match="low_thresh: is nan"):
        TrackSettings(low_thresh=float("nan"))
    for fps in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="frames a second"):
            ByteTrack(fps=fps)
    with pytest.raises(ValueError, match="0 frames on"):
        ByteTrack().update(NOTHING, 0)

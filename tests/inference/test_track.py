"""``Detector.track``: ids through videos, folders and streams."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.inference.samples import NAMES, make_image, make_video, noise
from tests.inference.sources.matroska import write_matroska
from yolo.errors import ConfigError, DataError
from yolo.inference.detector import Detector
from yolo.inference.followers import Followers
from yolo.inference.results import Result
from yolo.inference.sources.base import Frame
from yolo.tracking.bytetrack import TrackSettings

LOOSE = {"low_thresh": 0, "new_thresh": 0}


def test_a_still_video_has_the_same_ids_throughout(detector: Detector, tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.avi", frames=6)
    first, *others = [result for _, result in detector.track(path, **LOOSE)]
    assert 3 < len(first) <= 20 and sorted(first.ids) == list(range(1, len(first) + 1))
    assert first.ids.dtype == np.int64 and len(others) == 5
    for number, result in enumerate(others, 2):
        assert result.frame == number and len(result.ids) == len(result.rows) == len(result)
        common = set(result.ids) & set(first.ids)
        assert len(common) > len(first) / 2
        assert result.boxes.id is result.ids and result.to_dict()["detections"][0]["id"] == result.ids[0]


def test_boxes_below_the_detectors_threshold_continue_tracks(weights: Path, tmp_path: Path) -> None:
    paths = [make_image(tmp_path / "film/1.png"), make_image(tmp_path / "film/2.png")]
    everything = Detector(weights, device="cpu", imgsz=64, conf=0.001, max_det=20)(paths[0])
    middle = float(np.median(everything.boxes.conf))
    detector = Detector(weights, device="cpu", imgsz=64, conf=middle, max_det=20)
    found = [len(result) for _, result in detector.track(tmp_path / "film", low_thresh=0.001, new_thresh=0)]
    surer = int((everything.boxes.conf > middle).sum())
    assert found == [surer, surer] and 0 < surer < len(everything)
    assert len(detector(paths[0])) <= surer + 1 and detector.conf == middle  # it is as it was


def film(*confidences: float | None) -> list[Result]:
    """A frame for each: a box of that confidence, or none."""
    rows = [[[10, 10, 40, 40, confidence, 0]] if confidence else [] for confidence in confidences]
    return [Result(noise(), np.array(found, np.float32).reshape(-1, 6), NAMES) for found in rows]


def followed(followers: Followers, frames: list[Frame], results: list[Result]) -> list[list[int]]:
    return [followers.follow(frame, result).ids.tolist() for frame, result in zip(frames, results)]


def test_each_video_and_stream_has_a_tracker_of_its_own() -> None:
    followers = Followers(TrackSettings())
    turns = [Frame(noise(), Path(name), 1, number, live=True) for number in (1, 2) for name in ("a", "b")]
    assert followed(followers, turns, film(0.9, None, 0.9, 0.9)) == [[1], [], [1], []]
    assert followed(followers, [Frame(noise(), Path("b"), 1, 3)], film(0.9)) == [[1]]


def test_a_video_that_begins_anew_has_new_tracks() -> None:
    frames = [Frame(noise(), Path("a.mp4"), 1, number) for number in (1, 2, 1)]
    moved = dataclasses.replace(film(0.9)[0], rows=np.array([[50, 10, 60, 40, 0.9, 0]], np.float32))
    assert followed(Followers(TrackSettings()), frames, [*film(0.9, 0.9), moved]) == [[1], [1], [1]]


@pytest.mark.parametrize(("stride", "fps"), [(1, 60.0), (2, 30.0), (4, 15.0)])
def test_the_buffer_is_time_whatever_the_stride(stride: int, fps: float) -> None:
    """10 frames at 30 a second are 20 at 60, of which a stride leaves some out."""
    for last, expected in ((1 + 20, [1]), (1 + 20 + stride, [])):
        followers = Followers(TrackSettings(track_buffer=10), stride)
        numbers = [*range(1, last + 1, stride), last + stride]
        frames = [Frame(noise(), Path("a.mp4"), 1, number, fps=fps) for number in numbers]
        results = film(0.9, *[None] * (len(numbers) - 2), 0.9)
        assert followed(followers, frames, results)[-1] == expected


def test_frames_that_cannot_be_decoded_count(detector: Detector, tmp_path: Path) -> None:
    path = write_matroska(tmp_path / "clip.mkv", range(0, 400, 40), 400, damaged=[4, 10])
    numbers = [(frame.number, result.frame) for frame, result in detector.track(path)]
    assert numbers == [(number, number) for number in (1, 2, 3, 5, 6, 7, 8, 9)]


def test_the_images_of_a_folder_are_a_film(detector: Detector, tmp_path: Path) -> None:
    for name in ("a/10.png", "a/9.png", "b/1.png"):
        make_image(tmp_path / name)
    (tmp_path / "a/8.png").write_bytes(b"nonsense")
    found = list(detector.track(tmp_path / "*/*.png", **LOOSE))
    assert [(frame.sequence.name, frame.number_there, result.path.name) for frame, result in found] == [
        ("a", 2, "9.png"),
        ("a", 3, "10.png"),
        ("b", 1, "1.png"),
    ]
    nine, ten, one = (result.ids.tolist() for _, result in found)
    assert nine == ten == one and nine  # equal images, so equal tracks, each folder from 1
    assert found[0][1].frame is None


@pytest.mark.parametrize("form", [list, iter])
def test_arrays_are_a_film(detector: Detector, form: Callable[[list], object]) -> None:
    found = [result.ids.tolist() for _, result in detector.track(form([noise()] * 3), **LOOSE)]
    assert found[0] == found[1] == found[2] and found[0]
    other = [result.ids.tolist() for _, result in detector.track(form([noise(), noise(seed=1)]), **LOOSE)]
    assert other[0] == found[0] and other[1] != found[0]  # a new tracker would begin at 1 again


def test_vid_stride(detector: Detector, tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.avi", frames=5)
    assert [frame.number for frame, _ in detector.track(path, vid_stride=2)] == [1, 3, 5]


def test_what_cannot_be_tracked_is_refused(detector: Detector) -> None:
    with pytest.raises(ConfigError, match=r"match_thresh: is 2; give between 0 and 1"):
        next(detector.track("a.mp4", match_thresh=2))
    with pytest.raises(ConfigError, match="vid_stride: is 0"):
        next(detector.track("a.mp4", vid_stride=0))
    with pytest.raises(DataError, match=r"absent\.mp4: does not exist"):
        next(detector.track("absent.mp4"))

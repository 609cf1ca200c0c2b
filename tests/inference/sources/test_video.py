"""Videos: numbered frames, every n-th of them, upright; written whole or not at all."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.inference.samples import make_video, noise
from tests.inference.sources.matroska import write_matroska
from yolo.errors import DataError
from yolo.inference.sources.video import VideoReader, VideoWriter


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv", ".mov"])
def test_frames_come_in_order_with_their_numbers(tmp_path: Path, suffix: str) -> None:
    video = VideoReader(make_video(tmp_path / f"clip{suffix}", frames=5, fps=12))
    frames = list(video)
    assert [number for number, _ in frames] == [1, 2, 3, 4, 5]
    assert [round(float(image.mean()) / 20) for _, image in frames] == [1, 2, 3, 4, 5]
    assert frames[0][1].shape == (48, 64, 3) and frames[0][1].dtype == np.uint8
    assert (video.count, video.fps, video.missed, video.timeline.is_cut_off) == (5, 12, 0, False)


@pytest.mark.parametrize(("stride", "numbers"), [(1, [1, 2, 3, 4, 5]), (2, [1, 3, 5]), (3, [1, 4]), (9, [1])])
def test_every_nth_frame_is_taken_beginning_with_the_first(tmp_path: Path, stride: int, numbers: list[int]) -> None:
    video = VideoReader(make_video(tmp_path / "clip.mp4", frames=5), stride)
    assert [number for number, _ in video] == numbers
    assert video.read == 5


def test_a_turned_video_is_set_upright(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4")
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40
    quarter = [0, 0x10000, 0, 0xFFFF0000, 0, 0, 0, 0, 0x40000000]
    content[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big") for value in quarter)
    path.write_bytes(content)
    assert next(iter(VideoReader(path)))[1].shape == (64, 48, 3)


@pytest.mark.parametrize("content", [b"", b"\0" * 4000, b"GIF89a"])
def test_what_is_no_video_is_refused_quietly(tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"clip\.mp4: the video"):
        list(VideoReader(path))
    assert capfd.readouterr() == ("", "")


def test_a_video_that_was_cut_off_is_known_as_such(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.avi", frames=100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    video = VideoReader(path)
    assert 0 < len(list(video)) < 90
    assert video.timeline.is_cut_off


EVEN = range(0, 1600, 40)
UNEVEN = [round(100 / 3 * (number + 3 * (number // 3))) for number in range(100)]


@pytest.mark.parametrize(
    ("damaged", "stride", "numbers"),
    [
        ([16], 1, [*range(1, 16), *range(17, 41)]),
        ([1, 2], 1, [*range(3, 41)]),
        ([39, 40], 1, [*range(1, 39)]),
        ([*range(2, 40)], 1, [1, 40]),
        ([5, 8], 4, [1, *range(9, 41, 4)]),
    ],
)
def test_a_damaged_frame_is_counted_and_does_not_end_the_video(
    tmp_path: Path, damaged: list[int], stride: int, numbers: list[int], capfd: pytest.CaptureFixture[str]
) -> None:
    video = VideoReader(write_matroska(tmp_path / "clip.mkv", EVEN, 1600, damaged), stride)
    frames = list(video)
    assert [number for number, _ in frames] == numbers
    assert [round(float(image.mean()) / 2) for _, image in frames] == numbers
    assert (video.read, video.missed, video.timeline.is_cut_off) == (40 - len(damaged), len(damaged), False)


def test_a_stretch_longer_than_any_patience_does_not_end_it(tmp_path: Path) -> None:
    video = VideoReader(write_matroska(tmp_path / "clip.mkv", range(0, 30_000, 100), 30_000, range(2, 300)))
    assert [number for number, _ in video] == [1, 300] and video.missed == 298


def test_frames_that_are_fetched_in_vain_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = VideoReader(make_video(tmp_path / "clip.mp4", frames=5))
    real, calls = video._capture, iter(range(5))

    class Capture:
        """Whose third frame comes and cannot be had."""

        grab, get, release = real.grab, real.get, real.release

        def retrieve(self) -> tuple[bool, np.ndarray | None]:
            return (False, None) if next(calls) == 2 else real.retrieve()

    monkeypatch.setattr(video, "_capture", Capture())
    assert [number for number, _ in video] == [1, 2, 4, 5] and (video.read, video.missed) == (4, 1)


def test_uneven_times_are_no_cut_and_keep_their_length(tmp_path: Path) -> None:
    """Of which Matroska announces twice as many frames: only the length is right."""
    video = VideoReader(write_matroska(tmp_path / "clip.mkv", UNEVEN, UNEVEN[-1] + 33))
    assert video.timeline.announced == 199
    assert len(list(video)) == video.count == 100
    assert (video.missed, video.timeline.is_cut_off) == (0, False)
    writer = VideoWriter(tmp_path / "out.mp4", video.fps, (48, 64))
    for _ in range(100):
        writer.add(noise())
    writer.finish()
    written = VideoReader(tmp_path / "out.mp4")
    assert written.timeline.length == pytest.approx((UNEVEN[-1] + 33) / 1000, abs=0.05) and written.count == 100


@pytest.mark.parametrize("times", [EVEN, UNEVEN])
def test_a_film_that_ends_before_its_announced_length_is_cut_off(tmp_path: Path, times: Sequence[int]) -> None:
    """Also one that has 95 of 100 seconds."""
    path = write_matroska(tmp_path / "clip.mkv", times, times[-1] / 0.95)
    assert VideoReader(path).timeline.is_cut_off == (times is UNEVEN)
    path = write_matroska(path, times, times[-1] / 0.8)
    assert VideoReader(path).timeline.is_cut_off


def test_odd_names_are_paths_and_not_patterns(tmp_path: Path) -> None:
    for name in ("猫 100%03d.mp4", "http:x.mp4", "-i.mp4"):
        make_video(tmp_path / "clip.mp4").rename(tmp_path / name)
        assert len(list(VideoReader(tmp_path / name))) == 4


@pytest.mark.parametrize("size", [(48, 64), (47, 65), (2, 2)])
def test_a_written_video_reads_back(tmp_path: Path, size: tuple[int, int]) -> None:
    writer = VideoWriter(tmp_path / "out.mp4", 7.5, size)
    for seed in range(3):
        writer.add(noise(size, seed))
    writer.add(noise((30, 30)))
    assert not (tmp_path / "out.mp4").exists()
    assert writer.finish() == tmp_path / "out.mp4"
    video = VideoReader(tmp_path / "out.mp4")
    assert [image.shape[:2] for _, image in video] == [(size[0] & ~1, size[1] & ~1)] * 4
    assert video.fps == 7.5
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_a_size_without_codec_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="64 x 1 pixels"):
        VideoWriter(tmp_path / "out.mp4", 10, (1, 64))
    assert not list(tmp_path.iterdir())


def test_an_aborted_video_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_text("earlier")
    writer = VideoWriter(tmp_path / "out.mp4", 10, (48, 64))
    writer.add(noise())
    writer.abort()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["earlier"]


def test_a_folder_of_its_name_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").mkdir()
    writer = VideoWriter(tmp_path / "out.mp4", 10, (48, 64))
    writer.add(noise())
    with pytest.raises(IsADirectoryError):
        writer.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_a_full_disk_is_noticed_and_nothing_half_written_stays(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    writer = VideoWriter(tmp_path / "out.mp4", 10, (240, 320))
    random = np.random.default_rng(0)
    with _largest_file(60_000):
        for _ in range(30):
            writer.add(random.integers(0, 256, (240, 320, 3), dtype=np.uint8))
        with pytest.raises(DataError, match=r"out\.mp4: the video could not be written whole"):
            writer.finish()
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


@contextlib.contextmanager
def _largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond ``size`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

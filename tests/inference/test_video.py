"""Videos: numbered frames, every n-th of them, upright; written whole or not at all."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.inference.samples import make_video, noise
from yolo.errors import DataError
from yolo.inference.video import VideoReader, VideoWriter


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv", ".mov"])
def test_frames_come_in_order_with_their_numbers(tmp_path: Path, suffix: str) -> None:
    video = VideoReader(make_video(tmp_path / f"clip{suffix}", frames=5, fps=12))
    frames = list(video)
    assert [number for number, _ in frames] == [1, 2, 3, 4, 5]
    assert [round(float(picture.mean()) / 20) for _, picture in frames] == [1, 2, 3, 4, 5]
    assert frames[0][1].shape == (48, 64, 3) and frames[0][1].dtype == np.uint8
    assert (video.count, video.fps, video.is_cut_off) == (5, 12, False)


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
    assert video.is_cut_off


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
    assert [picture.shape[:2] for _, picture in video] == [(size[0] & ~1, size[1] & ~1)] * 4
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

"""Streams: the newest frame, connections that break off, several at once; a camera over HTTP on this machine."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.inference.sources.mjpeg import Camera
from yolo.errors import ConfigError, DataError
from yolo.inference.sources.base import Frame
from yolo.inference.sources.open import open_sources
from yolo.inference.sources.screen import ScreenSources
from yolo.inference.sources.streams import LiveSources, Patience, file_name

SHORT = Patience(first=0.02, longest=0.05, most=0.2)


def frames(sources: LiveSources, pause: float = 0.0) -> Iterator[Frame]:
    for task in sources.tasks():
        yield task()
        time.sleep(pause)


def streams_running() -> int:
    return sum(thread.name == "stream" for thread in threading.enumerate())


def test_a_slow_consumer_gets_the_newest_frame() -> None:
    with Camera(frames=30) as camera:
        seen = list(frames(LiveSources([camera.url], patience=SHORT), pause=0.06))
    numbers = [frame.number for frame in seen]
    assert numbers == sorted(set(numbers)) and numbers[-1] == 30
    assert 2 <= len(seen) < 20
    for frame in seen:  # the image is that of its number, and not an older one
        assert frame.image.shape == (48, 64, 3) and frame.image.dtype == np.uint8
        assert abs(frame.image.mean() - min(8 * frame.number, 255)) < 3
        assert frame.live and frame.count is None and frame.position == 1
    assert streams_running() == 0


def test_a_stream_that_breaks_off_is_connected_to_again(caplog: pytest.LogCaptureFixture) -> None:
    with Camera(frames=5, connections=3) as camera, caplog.at_level(logging.WARNING, "yolo"):
        seen = list(frames(LiveSources([camera.url], patience=SHORT)))
    assert camera.connected == 3 and seen[-1].number == 15
    said = [record.message for record in caplog.records]
    assert "no frame; connecting again in 0.02 s" in said[0] and "nothing for 0.2 seconds, given up" in said[-1]
    assert all("secret" not in line for line in said)
    assert streams_running() == 0


def test_several_streams_at_once() -> None:
    with Camera(frames=8) as first, Camera(frames=20) as second:
        sources = LiveSources([first.url, second.url], patience=SHORT)
        seen = list(frames(sources))
    last = {frame.position: frame.number for frame in seen}
    assert last == {1: 8, 2: 20} and sources.count == 2
    names = {frame.path for frame in seen}
    assert len(names) == 2 and all(str(name).startswith("http_127.0.0.1_") for name in names)


def test_equal_sources_have_different_names() -> None:
    with Camera(frames=3, connections=2) as camera:
        seen = list(frames(LiveSources([camera.url] * 2, patience=SHORT)))
    assert len({frame.path for frame in seen}) == 2


def test_every_nth_frame() -> None:
    with Camera(frames=10) as camera:
        sources = LiveSources([camera.url], 3, SHORT)
        seen = list(frames(sources))
    assert {frame.number % 3 for frame in seen} == {1}
    assert seen[0].fps == pytest.approx(25 / 3)


def test_it_ends_when_it_is_closed() -> None:
    with Camera(frames=1000) as camera:
        sources = LiveSources([camera.url], patience=SHORT)
        next(frames(sources))
        sources.close()
        assert streams_running() == 0


def test_a_stream_that_is_not_there_is_one_line_and_ends_the_others() -> None:
    with Camera(frames=1000) as camera:
        gone = "http://user:secret@127.0.0.1:9/x"
        with pytest.raises(DataError, match=r"http://127\.0\.0\.1:9/x: cannot be connected to") as caught:
            LiveSources([camera.url, gone], patience=SHORT)
    assert "secret" not in str(caught.value) and streams_running() == 0


def test_a_camera_that_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match="there is no camera 63"):
        open_sources("63")
    with pytest.raises(DataError, match="there is no camera"):
        open_sources("9" * 40)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"a\.streams: the list is empty"),
        ("0\n\na.jpg\n", r"a\.streams:3: a\.jpg is neither"),
        (b"\xff", "cannot be read"),
    ],
)
def test_lists_of_streams_that_are_wrong(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "a.streams"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        open_sources(path)


def test_names_are_file_names() -> None:
    assert file_name("rtsp://10.0.0.1:554/a b?c=d&e") == "rtsp_10.0.0.1_554_a_b_c_d_e"
    assert file_name("0") == "0" and file_name("://") == "stream"


class Grabber:
    """Stands for mss, with two screens side by side."""

    monitors = (
        {"left": 0, "top": 0, "width": 40, "height": 20},
        {"left": 0, "top": 0, "width": 20, "height": 20},
        {"left": 20, "top": 0, "width": 20, "height": 20},
    )

    def grab(self, area: dict[str, int]) -> np.ndarray:
        self.area = area
        bgra = np.zeros((area["height"], area["width"], 4), np.uint8)
        bgra[..., 0], bgra[..., 3] = 200, 255
        return bgra

    def close(self) -> None:
        self.area = None


@pytest.mark.parametrize(
    ("source", "area"),
    [
        ("screen", (0, 0, 40, 20)),
        ("screen 2", (20, 0, 20, 20)),
        ("screen 1 2 8 6", (1, 2, 8, 6)),
        ("screen 2 1 2 8 6", (21, 2, 8, 6)),
    ],
)
def test_the_screen(monkeypatch: pytest.MonkeyPatch, source: str, area: tuple[int, ...]) -> None:
    grabber = Grabber()
    monkeypatch.setitem(sys.modules, "mss", type("mss", (), {"mss": staticmethod(lambda: grabber)}))
    sources = open_sources(source)
    assert isinstance(sources, ScreenSources) and sources.live
    tasks = sources.tasks()
    frame = next(tasks)()
    assert frame.image.shape == (area[3], area[2], 3) and frame.image[0, 0].tolist() == [0, 0, 200]
    assert tuple(grabber.area[key] for key in ("left", "top", "width", "height")) == area
    assert (frame.number, next(tasks)().number, str(frame.path)) == (1, 2, "screen")
    sources.close()
    assert grabber.area is None


@pytest.mark.parametrize(
    ("source", "message"),
    [("screen x", "cannot be understood"), ("screen 1 2", "cannot be understood"), ("screen 0 0 0 5", "an empty part"),
     ("screen 7", "there is no screen 7")],
)  # fmt: skip
def test_screens_that_are_none(monkeypatch: pytest.MonkeyPatch, source: str, message: str) -> None:
    monkeypatch.setitem(sys.modules, "mss", type("mss", (), {"mss": Grabber}))
    with pytest.raises((ConfigError, DataError), match=message):
        open_sources(source)


def test_the_screen_needs_mss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mss", None)
    with pytest.raises(ConfigError, match="--source screen: needs mss; pip install mss"):
        open_sources("screen")

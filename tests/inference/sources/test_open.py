"""Sources: which files a path means, in which order, and what is refused in one line."""

from __future__ import annotations

import functools
import logging
import os
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.inference.samples import make_image, make_video, noise
from tests.inference.sources.matroska import write_matroska
from yolo.data.image_file import ImageFile
from yolo.errors import DataError, DownloadError
from yolo.inference.sources.files import find_files
from yolo.inference.sources.open import open_sources


def names(source: object) -> list[str]:
    return [path.name for path in find_files(str(source))]


def test_a_folder_gives_images_then_videos_and_not_its_subfolders(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "._a.png", "notes.txt", "z.bmp", "sub/c.jpg", "A.MP4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    assert names(tmp_path) == ["a.png", "b.JPG", "z.bmp", "A.MP4"]
    assert names(tmp_path / "*.[pb]*") == ["a.png", "z.bmp"]
    assert names(tmp_path / "**" / "*.jpg") == ["c.jpg"]
    assert names(tmp_path / "**" / "**" / "*") == ["a.png", "b.JPG", "c.jpg", "z.bmp", "A.MP4"]


def test_frames_come_by_their_numbers(tmp_path: Path) -> None:
    images = ("f10.png", "f9.png", "f09.png", "f9b.png", "f100.png", "f.png", "10/f1.png", "9/f2.png")
    for name in (*images, "g10.mp4", "g9.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    videos = ["g9.mp4", "g10.mp4"]
    assert names(tmp_path) == ["f.png", "f09.png", "f9.png", "f9b.png", "f10.png", "f100.png", *videos]
    assert names(tmp_path / "*" / "*.png") == ["f2.png", "f1.png"]


def test_a_name_with_brackets_is_itself(tmp_path: Path) -> None:
    (tmp_path / "a[1].jpg").touch()
    assert names(tmp_path / "a[1].jpg") == ["a[1].jpg"]


def test_a_pattern_below_a_folder_with_brackets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "set [v1]"
    folder.mkdir()
    for name in ("a.png", "b.jpg"):
        (folder / name).touch()
    assert names(folder / "*.png") == ["a.png"] and names(folder / "**/*") == ["a.png", "b.jpg"]
    (tmp_path / "list.txt").write_text("set [v1]/*.jpg\n")
    assert names(tmp_path / "list.txt") == ["b.jpg"]
    monkeypatch.chdir(tmp_path)
    assert find_files("set [v1]/[ab].*") == (Path("set [v1]/a.png"), Path("set [v1]/b.jpg"))
    assert names("list.txt") == ["b.jpg"]
    with pytest.raises(DataError, match="no image and no video matches"):
        find_files("set [v1]/*.bmp")
    with pytest.raises(DataError, match="does not exist"):
        find_files("set [v1]/absent.jpg")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("absent.jpg", "does not exist"),
        ("empty", "no image and no video in the folder"),
        ("empty/*.jpg", "no image and no video matches"),
        ("notes.text", "neither an image nor a video"),
        ("pipe.jpg", "not a regular file"),
        ("x" * 5000 + ".jpg", "does not exist"),
        ("a\0b*.jpg", "does not exist"),
    ],
)
def test_unusable_sources_are_refused(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.text").touch()
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(DataError, match=message):
        open_sources(f"{tmp_path}/{source}")


def test_a_list_of_files_folders_and_patterns(tmp_path: Path) -> None:
    for name in ("in/b.jpg", "in/a.png", "z.mp4", "c d.jpg", "y.bmp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "list.txt").write_text(f"z.mp4\n\n  c d.jpg \nin\n{tmp_path}/*.bmp\nc d.jpg\n")
    assert names(tmp_path / "list.txt") == ["c d.jpg", "a.png", "b.jpg", "y.bmp", "z.mp4"]


def test_a_list_is_relative_to_the_working_folder_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("here", "lists"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").touch()
    (tmp_path / "lists/list.txt").write_text("a.png\n")
    monkeypatch.chdir(tmp_path / "here")
    assert find_files(tmp_path / "lists/list.txt") == (Path("a.png"),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"list\.txt: the list is empty"),
        (b"a.png\nabsent.jpg\n", r"list\.txt:2: absent\.jpg: does not exist"),
        (b"list.txt\n", r"list\.txt:1: list\.txt is a list itself"),
        (b"rtsp://camera/1\n", r"list\.txt:1: rtsp://camera/1: does not exist"),
        (b"\xff\xfe\x00", "the list cannot be read"),
    ],
)
def test_lists_that_are_wrong(tmp_path: Path, content: bytes, message: str) -> None:
    make_image(tmp_path / "a.png")
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_sources(tmp_path / "list.txt")


def test_a_file_elsewhere_is_fetched_for_the_run(tmp_path: Path) -> None:
    make_image(tmp_path / "a b.png")
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        sources = open_sources(f"http://127.0.0.1:{server.server_port}/a%20b.png?size=1")
        (frame,) = sources
        assert frame.path.name == "a b.png" and frame.path.is_file()
        sources.close()
        assert not frame.path.exists()
        with pytest.raises(DownloadError, match="404"):
            open_sources(f"http://127.0.0.1:{server.server_port}/absent.jpg")
        server.shutdown()
    np.testing.assert_array_equal(frame.image, noise())


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_frames_say_where_they_are_from(tmp_path: Path) -> None:
    make_image(tmp_path / "a.png")
    make_video(tmp_path / "b.mp4", frames=4, fps=10)
    sources = open_sources(tmp_path, 2)
    frames = list(sources)
    assert len(sources.files) == 2
    assert [(f.path.name, f.position, f.number, f.count, f.fps) for f in frames] == [
        ("a.png", 1, None, None, 0.0),
        ("b.mp4", 2, 1, 4, 5.0),
        ("b.mp4", 2, 3, 4, 5.0),
    ]
    np.testing.assert_array_equal(frames[0].image, noise())


def test_an_unreadable_file_is_passed_over_while_there_are_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.jpg", "c.png", "d.mp4"):
        (tmp_path / name).write_bytes(b"nonsense")
    make_image(tmp_path / "b.jpg")
    with caplog.at_level(logging.WARNING, "yolo"):
        assert [frame.path.name for frame in open_sources(tmp_path)] == ["b.jpg"]
    assert [record.message.split(": ")[0] for record in caplog.records] == ["left out"] * 3
    assert capfd.readouterr().err == ""
    (tmp_path / "b.jpg").unlink()
    with pytest.raises(DataError, match="none of 3 files can be read"):
        open_sources(tmp_path)


def test_what_is_left_out_of_videos_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_matroska(tmp_path / "a.mkv", range(0, 1600, 40), 1600, [2, 3, 40])
    write_matroska(tmp_path / "b.mkv", range(0, 800, 40), 1600)
    (tmp_path / "c.png").write_bytes(b"nonsense")
    sources = open_sources(tmp_path)
    with caplog.at_level(logging.WARNING, "yolo"):
        assert len(list(sources)) == 37 + 20
    assert [(entry.path.name, entry.reason, entry.frames) for entry in sources.left_out] == [
        ("c.png", "the image cannot be decoded", None),
        ("a.mkv", "3 of 40 frames cannot be decoded", 3),
        ("b.mkv", "cut off: its frames end at 0.80 s of 1.60 s", None),
    ]
    assert [record.message.startswith("left out: ") for record in caplog.records[-2:]] == [True] * 2


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_an_image_that_was_cut_off_is_refused_quietly(
    tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = make_image(tmp_path / f"a{suffix}", (200, 300))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DataError, match="corrupt image"):
        open_sources(path)
    assert capfd.readouterr().err == ""


def test_bytes_behind_a_jpeg_do_no_harm(tmp_path: Path) -> None:
    path = make_image(tmp_path / "a.jpg")
    expected = ImageFile(path).pixels
    path.write_bytes(path.read_bytes() + b"trailer of a camera")
    np.testing.assert_array_equal(ImageFile(path).pixels, expected)


def test_images_of_every_kind_become_upright_rgb(tmp_path: Path) -> None:
    image = noise()
    cv2.imwrite(str(tmp_path / "grey.png"), image[..., 0])
    cv2.imwrite(str(tmp_path / "alpha.png"), np.dstack([image[..., ::-1], image[..., 0]]))
    cv2.imwrite(str(tmp_path / "deep.png"), image[..., ::-1].astype(np.uint16) * 257)
    make_image(tmp_path / "猫 café.webp", (1, 300))
    turned = Image.Exif()
    turned[274] = 6
    Image.fromarray(image).save(tmp_path / "turned.jpg", exif=turned)
    read = {frame.path.name: frame.image for frame in open_sources(tmp_path)}
    np.testing.assert_array_equal(read["grey.png"], np.repeat(image[..., :1], 3, axis=2))
    np.testing.assert_array_equal(read["alpha.png"], image)
    np.testing.assert_array_equal(read["deep.png"], image)
    assert read["turned.jpg"].shape == (64, 48, 3)
    assert read["猫 café.webp"].shape == (1, 300, 3)

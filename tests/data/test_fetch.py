import functools
import hashlib
import http.server
import io
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from tests.data.samples import save_image
from yolo.data.load import load_dataset
from yolo.errors import DataError, DownloadError, YoloError


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture
def source(tmp_path, monkeypatch):
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def write(url):
        (work / "set.yaml").write_text(f"path: set\ntrain: images\nnames: [a]\ndownload: {url}\n")
        return work / "set.yaml"

    return write


def fill(archive, prefix, image):
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as opened:
            opened.write(image, f"{prefix}images/0.png")
    else:
        with tarfile.open(archive, "w:gz") as opened:
            opened.add(image, f"{prefix}images/0.png")


@pytest.mark.parametrize("name", ["set.zip", "set.tar.gz"])
@pytest.mark.parametrize("prefix", ["", "whatever/"])
def test_an_archive_is_fetched_once(server, source, tmp_path, name, prefix):
    folder, url = server
    fill(folder / name, prefix, save_image(tmp_path / "p.png"))
    dataset = load_dataset(source(f"{url}/{name}"))
    assert (tmp_path / "work" / "datasets" / "set" / "images" / "0.png").is_file()
    (folder / name).unlink()
    assert load_dataset(dataset.source).root == dataset.root


def attack_zip():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as opened:
        opened.writestr("../../escaped.txt", "x")
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no zip", "broken"),
        (b"", "broken"),
        (attack_zip(), "unsafe path"),
        (None, "404"),
    ],
)
def test_bad_archives_leave_nothing_behind(server, source, tmp_path, content, reason):
    folder, url = server
    if content is not None:
        (folder / "set.zip").write_bytes(content)
    with pytest.raises(YoloError, match=reason):
        load_dataset(source(f"{url}/set.zip"))
    assert not (tmp_path / "work" / "datasets").exists()
    assert not list(tmp_path.rglob("escaped.txt"))


def test_links_in_a_tar_are_left_out(server, source, tmp_path):
    folder, url = server
    with tarfile.open(folder / "set.tar", "w") as opened:
        opened.add(save_image(tmp_path / "p.png"), "images/0.png")
        link = tarfile.TarInfo("images/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        opened.addfile(link)
    root = load_dataset(source(f"{url}/set.tar")).root
    assert [path.name for path in (root / "images").iterdir()] == ["0.png"]


def test_offline_and_incomplete_are_clear_lines(server, source, tmp_path):
    with pytest.raises(DownloadError, match="cannot be fetched"):
        load_dataset(source("http://127.0.0.1:9/set.zip"))
    save_image(tmp_path / "work" / "datasets" / "set" / "other" / "0.png")
    with pytest.raises(DataError, match="lacks parts"):
        load_dataset(source("http://127.0.0.1:9/set.zip"))
    folder, url = server
    (folder / "set.zip").write_bytes(b"")
    with zipfile.ZipFile(folder / "set.zip", "w") as opened:
        opened.writestr("elsewhere/a.txt", "x")
    (tmp_path / "work" / "datasets" / "set" / "other" / "0.png").unlink()
    (tmp_path / "work" / "datasets" / "set" / "other").rmdir()
    with pytest.raises(DataError, match="does not exist"):
        load_dataset(source(f"{url}/set.zip"))


def test_archives_of_one_name_are_two(server, source, tmp_path):
    folder, url = server
    for name in "ab":
        (folder / name).mkdir()
        with zipfile.ZipFile(folder / name / "set.zip", "w") as opened:
            opened.writestr(f"images/{name}.txt", name)
    root = load_dataset(source(f"[{url}/a/set.zip, {url}/b/set.zip]")).root
    assert sorted(path.name for path in (root / "images").iterdir()) == ["a.txt", "b.txt"]


def test_archives_are_kept_where_only_room_is_lacking(server, source, tmp_path, monkeypatch):
    folder, url = server
    fill(folder / "set.zip", "", save_image(tmp_path / "p.png"))
    with monkeypatch.context() as patched:
        patched.setattr("yolo.data.unpack._write", lambda *_: Path("/dev/full").write_text("x"))
        with pytest.raises(DataError, match="No space left on device"):
            load_dataset(source(f"{url}/set.zip"))
    assert [path.suffix for path in (tmp_path / "work" / "datasets").iterdir()] == [".zip"]
    (folder / "set.zip").unlink()
    assert load_dataset(source(f"{url}/set.zip")).root.is_dir()


def test_a_kept_archive_must_have_the_stated_sum(server, source, tmp_path):
    folder, url = server
    fill(folder / "set.zip", "", save_image(tmp_path / "p.png"))
    with zipfile.ZipFile(folder / "set.zip", "a") as opened:
        opened.writestr("../up", "")
    right = hashlib.sha256((folder / "set.zip").read_bytes()).hexdigest()
    datasets = tmp_path / "work" / "datasets"
    address = f"{url}/set.zip"
    datasets.mkdir()
    kept = datasets / f".set-{hashlib.sha256(address.encode()).hexdigest()[:8]}-set.zip"
    kept.write_bytes(b"of somebody else")
    load_dataset(source(f"[{{url: '{address}', sha256: {right}}}]"))
    assert (datasets / "set" / "images" / "0.png").is_file() and not kept.exists()

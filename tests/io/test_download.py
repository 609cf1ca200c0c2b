"""Fetching from a server on this machine: whole, in pieces, wrong, or not at all."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.web import Web, serve, silent
from yolo.errors import DownloadError
from yolo.io import download as module
from yolo.io.download import download, sha256_of

CONTENT = np.random.default_rng(0).bytes(3_000_000)
SUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr(module, "PAUSES", (0.0, 0.0))
    with serve() as web:
        web.files["/file.pt"] = CONTENT
        yield web


def fetch(web: Web, target: Path, **options: str) -> bytes:
    return download(f"{web.address}/file.pt", target, **options).read_bytes()


@pytest.mark.parametrize("sum_", [None, SUM, SUM.upper()])
def test_whole(web: Web, tmp_path: Path, sum_: str | None) -> None:
    target = tmp_path / "new" / "file.pt"
    assert fetch(web, target, sha256=sum_) == CONTENT and web.asked == [("/file.pt", None)]
    assert [path.name for path in target.parent.iterdir()] == ["file.pt"]
    assert sha256_of(target) == SUM and target.stat().st_mode & 0o777 == 0o644


def test_redirects_are_followed(web: Web, tmp_path: Path) -> None:
    web.redirects = {"/a": "/b", "/b": "/file.pt"}
    assert download(f"{web.address}/a", tmp_path / "x").read_bytes() == CONTENT
    web.redirects["/b"] = "/a"
    with pytest.raises(DownloadError, match="cannot be fetched"):
        download(f"{web.address}/a", tmp_path / "y")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_cut_connections_are_taken_up_again(web: Web, tmp_path: Path) -> None:
    web.cuts = [1_000_000, 0, 500_000, 0]
    assert fetch(web, tmp_path / "f") == CONTENT
    ranges = [asked for _, asked in web.asked]
    assert ranges == [None, "bytes=1000000-", "bytes=1000000-", "bytes=1500000-", "bytes=1500000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_the_next_run_goes_on(web: Web, tmp_path: Path) -> None:
    web.cuts = [1_000_000, 0, 0]
    with pytest.raises(DownloadError, match=r"broke off at 1\.0 MB of 3\.0 MB .*it goes on from there"):
        fetch(web, tmp_path / "f")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".f.part", ".f.part.json"]
    assert fetch(web, tmp_path / "f", sha256=SUM) == CONTENT and web.asked[-1][1] == "bytes=1000000-"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_killed_process_is_gone_on_from(web: Web, tmp_path: Path) -> None:
    web.stall = 2_500_000
    command = "import sys; from yolo.io.download import download; download(*sys.argv[1:])"
    process = subprocess.Popen([sys.executable, "-c", command, f"{web.address}/file.pt", str(tmp_path / "f")])
    part = tmp_path / ".f.part"
    while not part.exists() or part.stat().st_size < 2_000_000:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    size = part.stat().st_size
    assert fetch(web, tmp_path / "f") == CONTENT and web.asked[1:] == [("/file.pt", f"bytes={size}-")]


@pytest.mark.parametrize("change", ["tag", "ranges", "url", "notes", "longer"])
def test_a_part_of_something_else_is_not_built_upon(web: Web, tmp_path: Path, change: str) -> None:
    web.cuts = [1_000_000, 0, 0]
    with pytest.raises(DownloadError):
        fetch(web, tmp_path / "f")
    other = web.files["/file.pt"] = bytes(reversed(CONTENT))
    if change == "tag":
        web.tag = '"two"'
    elif change == "ranges":
        web.ranges = False
    elif change == "url":
        web.files["/other.pt"] = other
        assert download(f"{web.address}/other.pt", tmp_path / "f").read_bytes() == other
        return
    elif change == "notes":
        (tmp_path / ".f.part.json").write_text("[]")
    else:
        (tmp_path / ".f.part").write_bytes(CONTENT + b"more")
    assert fetch(web, tmp_path / "f") == other


def test_a_whole_part_needs_no_more(web: Web, tmp_path: Path) -> None:
    (tmp_path / ".f.part").write_bytes(CONTENT)
    assert fetch(web, tmp_path / "f", sha256=SUM) == CONTENT and web.asked == [("/file.pt", "bytes=3000000-")]


def test_without_length_or_tag(web: Web, tmp_path: Path) -> None:
    web.length, web.tag = False, ""
    assert fetch(web, tmp_path / "f") == CONTENT


def test_another_sum_is_not_kept(web: Web, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=f"has SHA-256 {SUM}, expected was 0000.*not kept"):
        fetch(web, tmp_path / "new" / "f", sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_a_busy_server_is_asked_again(web: Web, tmp_path: Path) -> None:
    web.failures = [503, 429]
    assert fetch(web, tmp_path / "f") == CONTENT
    web.failures = [503] * 3
    with pytest.raises(DownloadError, match="503"):
        fetch(web, tmp_path / "g")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("{}/absent", "404"),
        ("http://127.0.0.1:9/f", r"connection refused.*fetch it by hand"),
        ("http://name.invalid/f", "no network|no connection|no answer"),
        ("https://{}/f", "cannot be fetched"),
        ("file:///etc/hosts", "not a valid URL"),
        ("http://[::1/f", "not a valid URL"),
        ("http:///f", "not a valid URL"),
        ("http://a b/f", "not a valid URL"),
    ],
)
def test_nothing_is_left_of_what_cannot_be(web: Web, tmp_path: Path, url: str, says: str) -> None:
    place = web.address if url.startswith("{}") else web.address.removeprefix("http://")
    with pytest.raises(DownloadError, match=says) as caught:
        download(url.format(place), tmp_path / "new" / "f")
    assert list(tmp_path.iterdir()) == [] and "\n" not in str(caught.value)


def test_a_silent_server_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.2)
    with silent() as address, pytest.raises(DownloadError, match="no answer in time"):
        download(f"{address}/f", tmp_path / "f")


def test_several_at_once_fetch_it_once(web: Web, tmp_path: Path) -> None:
    barrier, results = threading.Barrier(4), []

    def work() -> None:
        barrier.wait()
        results.append(fetch(web, tmp_path / "f", sha256=SUM))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [CONTENT] * 4 and len(web.asked) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_full_disk_is_seen_before(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: FullDisk)
    with pytest.raises(DownloadError, match=r"needs 3\.0 MB, 0\.1 MB are free.*free some space"):
        fetch(web, tmp_path / "f")


class FullDisk:
    free = 100_000

"""Archives: whole or not at all, whatever is wrong with them."""

from __future__ import annotations

import io
import logging
import os
import shutil
import stat
import tarfile
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from yolo.data import unpack as module
from yolo.data.unpack import BrokenArchiveError, unpack
from yolo.errors import DataError

FORMATS = ("zip", "tar", "tar.gz", "tar.bz2", "tar.xz")
_RNG = np.random.default_rng(0)
FILES = {f"images/{k}.png": _RNG.bytes(700) for k in range(3)} | {
    f"labels/{k}.txt": b"0 0.5 0.5 1 1\n" for k in range(3)
}


def make(path: Path, files: dict[str, bytes] = FILES) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
            for name, content in files.items():
                opened.writestr(name, content)
        return path
    packing = path.suffix.removeprefix(".").replace("tar", "")
    with tarfile.open(path, f"w:{packing}") as opened:
        for name, content in files.items():
            opened.addfile(_entry(name, len(content)), io.BytesIO(content))
    return path


def _entry(name: str, size: int = 0, **fields: object) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = size
    for field, value in fields.items():
        setattr(entry, field, value)
    return entry


def held(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(file: Path, folder: Path, kind: type[DataError] = BrokenArchiveError) -> str:
    with pytest.raises(kind) as caught:
        unpack(file, folder)
    assert "\n" not in str(caught.value) and file.name in str(caught.value)
    assert list(folder.parent.iterdir()) == [], "something was left behind"
    return str(caught.value)


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_in_it_comes_out(kind: str, tmp_path: Path) -> None:
    unpack(make(tmp_path / f"set.{kind}"), tmp_path / "new" / "set")
    assert held(tmp_path / "new" / "set") == FILES and len(list((tmp_path / "new").iterdir())) == 1


@pytest.mark.parametrize("count", [60, pytest.param(None, marks=pytest.mark.stress)], ids=["some", "every bit"])
@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "tar"])
def test_a_flipped_bit_is_noticed_or_changes_nothing(kind: str, count: int | None, tmp_path: Path, caplog) -> None:
    """All formats but a bare tar have a checksum of the content; the bits without one are times and the like."""
    whole = make(tmp_path / f"set.{kind}").read_bytes()
    file, out, noticed = tmp_path / f"bad.{kind}", tmp_path / "out", 0
    bits = range(0, 8 * len(whole), 8 * len(whole) // count if count else 1)
    for bit in bits:
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        file.write_bytes(damaged)
        out.mkdir()
        caplog.clear()
        try:
            unpack(file, out / "set")
        except DataError as error:  # broken, or of a size that it says it would unpack to
            noticed += 1
            assert "\n" not in str(error) and list(out.iterdir()) == []
        else:
            assert len(held(out / "set")) == len(FILES) - caplog.text.count("left out: "), bit
            assert held(out / "set").items() <= FILES.items(), bit
        shutil.rmtree(out)
    assert noticed > len(bits) / 2


@pytest.mark.parametrize("kind", FORMATS)
def test_an_archive_that_is_cut_off_is_refused(kind: str, tmp_path: Path) -> None:
    whole = make(tmp_path / f"set.{kind}").read_bytes()
    ends = range(0, len(whole) - 1, len(whole) // 30)
    if kind == "tar":  # where its blocks end; what is behind the last one is the mark, and no more than zeros
        ends = range(0, len(whole.rstrip(b"\0")) + 512, 512)
    (tmp_path / "out").mkdir()
    for end in ends:
        file = tmp_path / f"cut.{kind}"
        file.write_bytes(whole[:end])
        refused(file, tmp_path / "out" / "set")


@pytest.mark.parametrize("damage", ["header", "zeros", "behind"])
def test_files_of_a_bare_tar_do_not_vanish(damage: str, tmp_path: Path) -> None:
    """tarfile takes a damaged header, or one of zeros, for the end, and does not look at what comes after it."""
    data = bytearray(make(tmp_path / "set.tar").read_bytes())
    third = bytes(data).index(b"images/2.png")
    if damage == "header":
        data[third + 10 : third + 210] = b"\xaa" * 200
    elif damage == "zeros":
        data[third : third + 512] = bytes(512)
    else:
        data *= 2
    (tmp_path / "bad.tar").write_bytes(data)
    (tmp_path / "out").mkdir()
    assert "broken" in refused(tmp_path / "bad.tar", tmp_path / "out" / "set")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_may_not_grow_without_end(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = make(tmp_path / f"bomb.{kind}", {"zeros": bytes(2_000_000)})
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(module, "ALWAYS", 100_000)
    message = refused(file, tmp_path / "out" / "set", DataError)
    assert "more than 200 times its own size" in message and str(file) in message
    if kind != "zip":  # what is skipped costs time too
        with pytest.raises(DataError, match="200 times"):
            unpack(file, tmp_path / "out" / "set", "elsewhere")
    monkeypatch.setattr(module, "ALWAYS", 2_100_000)
    unpack(file, tmp_path / "out" / "set")
    assert held(tmp_path / "out" / "set") == {"zeros": bytes(2_000_000)}


def test_a_disk_without_room_is_said_before_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 4096 * len(FILES) - 1

    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: Usage)
    (tmp_path / "out").mkdir()
    assert "not enough disk space" in refused(make(tmp_path / "set.zip"), tmp_path / "out" / "set", DataError)
    Usage.free += 1
    unpack(tmp_path / "set.zip", tmp_path / "out" / "set")


def _hostile_tar(path: Path) -> Path:
    with tarfile.open(path, "w") as opened:
        for name in ("/etc/absolute", "../above", "a/../../b", "good.txt", *(f"/{k}" for k in range(3))):
            opened.addfile(_entry(name, 1), io.BytesIO(b"x"))
        for name, type_ in (("soft", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("pipe", tarfile.FIFOTYPE)):
            opened.addfile(_entry(name, type=type_, linkname="good.txt"))
    return path


def _hostile_zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as opened:
        for name in ("/etc/absolute", "../above", "a/../../b", "good.txt", *(f"/{k}" for k in range(3))):
            opened.writestr(name, "x")
        for name, mode in (("soft", stat.S_IFLNK), ("hard", stat.S_IFLNK), ("pipe", stat.S_IFIFO)):
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode | 0o644) << 16
            opened.writestr(info, "good.txt")
    return path


@pytest.mark.parametrize("fill", [_hostile_tar, _hostile_zip])
def test_names_that_are_left_out_are_counted(fill, tmp_path: Path, caplog) -> None:
    file = fill(tmp_path / f"set.{fill.__name__[-3:]}")
    unpack(file, tmp_path / "set")
    assert held(tmp_path / "set") == {"good.txt": b"x"} and not (tmp_path / "above").exists()
    assert caplog.messages == [
        f"{file.name}: left out: unsafe paths, absolute: 4 ('/etc/absolute', '/0', '/1', …); "
        "unsafe paths, that lead elsewhere: 2 ('../above', 'a/../../b'); links: 2 ('soft', 'hard'); "
        "devices and pipes: 1 ('pipe')"
    ]


def test_an_archive_without_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert "holds no file" in refused(make(tmp_path / "none.zip", {}), tmp_path / "out" / "set")
    only = make(tmp_path / "only.tar", {"../up": b"x"})
    assert "unsafe paths, that lead elsewhere: 1 ('../up')" in refused(only, tmp_path / "out" / "set")
    with pytest.raises(DataError, match="no file in elsewhere"):
        unpack(make(tmp_path / "set.zip"), tmp_path / "out" / "set", "elsewhere")


def test_what_is_there_stays(tmp_path: Path, caplog) -> None:
    folder = tmp_path / "set"
    unpack(make(tmp_path / "one.zip", {"images/0.png": b"0", "README.md": b"one"}), folder)
    unpack(make(tmp_path / "two.zip", {"images/0.png": b"0", "images/1.png": b"1", "README.md": b"two"}), folder)
    together = {"images/0.png": b"0", "images/1.png": b"1", "README.md": b"one"}
    assert held(folder) == together and "notes of a name that is there already: 1 ('README.md')" in caplog.text
    other = make(tmp_path / "three.zip", {"images/1.png": b"other", "images/2.png": b"2"})
    with pytest.raises(DataError, match=r"1 of its files are in .* already, with other content \(images/1\.png\)"):
        unpack(other, folder)
    assert held(folder) == together and not list(tmp_path.glob(".*"))


def test_a_move_that_fails_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "set"
    unpack(make(tmp_path / "one.zip", {"a": b"a"}), folder)
    rename, calls = os.rename, []

    def failing(*paths: Path) -> None:
        calls.append(paths)
        if len(calls) == 3:
            raise PermissionError(13, "Permission denied")
        rename(*paths)

    monkeypatch.setattr(module.os, "rename", failing)
    with pytest.raises(DataError, match=r"cannot be unpacked into .*Permission denied"):
        unpack(make(tmp_path / "two.zip", {name: b"x" for name in "bcde"}), folder)
    assert len(calls) == 3 and held(folder) == {"a": b"a"}


def test_several_unpack_the_same_at_once(tmp_path: Path) -> None:
    file = make(tmp_path / "set.tar.gz")
    barrier, errors = threading.Barrier(4), []

    def work() -> None:
        barrier.wait()
        try:
            unpack(file, tmp_path / "set")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and held(tmp_path / "set") == FILES and not list(tmp_path.glob(".*"))


def _long_name(opened: tarfile.TarFile) -> None:
    opened.addfile(_entry("x" * 2_000_000))


def _long_number(opened: tarfile.TarFile) -> None:
    opened.addfile(_entry("x", pax_headers={"comment": "1" * 1000}))


def _many_headers(opened: tarfile.TarFile) -> None:
    opened.fileobj.write(tarfile.TarInfo.create_pax_global_header({"comment": "x"}) * 2000)
    opened.addfile(_entry("x"))


@pytest.mark.parametrize("add", [_long_name, _long_number, _many_headers])
def test_hostile_headers_cost_nothing(add, tmp_path: Path) -> None:
    """tarfile takes memory and time for them without a bound."""
    gnu = tarfile.GNU_FORMAT if add is _long_name else tarfile.PAX_FORMAT
    with tarfile.open(tmp_path / "bad.tar.gz", "w:gz", format=gnu) as opened:
        add(opened)
    (tmp_path / "out").mkdir()
    assert "broken" in refused(tmp_path / "bad.tar.gz", tmp_path / "out" / "set")


@pytest.mark.parametrize("files", [{"a": b"", "a/b": b""}, {"a/b": b"", "a": b""}])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_file_where_another_has_its_folder(files: dict[str, bytes], kind: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    refused(make(tmp_path / f"bad.{kind}", files), tmp_path / "out" / "set")


@pytest.fixture(autouse=True)
def _warnings_are_seen(caplog) -> None:
    caplog.set_level(logging.WARNING, "yolo.data")

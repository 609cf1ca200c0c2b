"""A file is there whole, or as it was before; nothing is left lying beside it."""

from __future__ import annotations

import errno
import os
import stat
import threading

import pytest

from yolo.io.files import remove_leftovers, write_atomic, write_text_atomic

OLD, NEW = "what was there", "what shall be there"


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "last.safetensors"
    path.write_text(OLD)
    return path


def contents(folder) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_new_file_and_its_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b" / "opt.yaml"
    assert write_text_atomic(str(path), "naïve 血") == path
    assert path.read_bytes() == "naïve 血".encode()
    assert contents(path.parent) == {"opt.yaml": "naïve 血"}


def test_an_earlier_file_is_replaced(target):
    write_text_atomic(target, NEW)
    assert contents(target.parent) == {target.name: NEW}


def test_the_earlier_file_is_there_until_the_new_one_is_whole(target):
    def write(temporary):
        assert temporary.parent == target.parent, "a rename between disks is not atomic"
        assert temporary.suffix == target.suffix, "writers choose the format by the suffix"
        temporary.write_text(NEW)
        assert target.read_text() == OLD

    write_atomic(target, write)
    assert target.read_text() == NEW


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), ValueError("odd"), KeyboardInterrupt(), SystemExit(1)],
    ids=lambda error: type(error).__name__,
)
def test_a_failure_in_the_middle_leaves_the_earlier_file(target, error):
    def write(temporary):
        temporary.write_text(NEW[:5])
        raise error

    with pytest.raises(type(error)) as caught:
        write_atomic(target, write)
    assert caught.value is error
    assert contents(target.parent) == {target.name: OLD}


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_found_full_at_the_end_leaves_the_earlier_file(target, monkeypatch, call):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(OSError, match="No space"):
            write_text_atomic(target, NEW)
    assert contents(target.parent) == {target.name: OLD}


def test_contents_reach_the_disk_before_the_name(target, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append(_kind(handle)), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append("rename"), replace(*paths)))
    write_text_atomic(target, NEW)
    assert calls == ["file", "rename", "folder"]


def _kind(handle: int) -> str:
    return "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"


def test_a_writer_may_put_another_file_in_the_place_of_the_temporary_one(target):
    def write(temporary):
        other = temporary.with_name("other")
        other.write_text(NEW)
        other.replace(temporary)

    write_atomic(target, write)
    assert contents(target.parent) == {target.name: NEW}


def test_others_may_read_the_file(target):
    target.chmod(0o600)
    assert stat.S_IMODE(write_text_atomic(target, NEW).stat().st_mode) == 0o644


def test_a_folder_of_that_name_is_left_alone(tmp_path):
    folder = tmp_path / "best.safetensors"
    folder.mkdir()
    (folder / "kept").write_text(OLD)
    with pytest.raises(IsADirectoryError):
        write_text_atomic(folder, NEW)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert contents(folder) == {"kept": OLD}


def test_a_file_where_a_folder_is_needed(target):
    with pytest.raises(OSError):
        write_text_atomic(target / "inner.yaml", NEW)
    assert contents(target.parent) == {target.name: OLD}


def test_writers_at_the_same_time_never_mix(target):
    texts = [letter * 20_000 for letter in "abcd"]
    done = threading.Event()
    seen = set()

    def read():
        while not done.is_set():
            seen.add(target.read_text())

    def write(text):
        for _ in range(5):
            write_text_atomic(target, text)

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in [reader, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert seen <= {OLD, *texts}
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_what_a_killed_process_left_is_removed(target, tmp_path):
    """And nothing else: not the file, not what others hide beside it."""
    names = []
    for path in (target, tmp_path / "results.csv", tmp_path / "README"):
        write_atomic(path, lambda temporary: names.append(temporary.name))
    kept = {".gitignore", ".hidden", ".cache.npz", ".a.b.c", *(path.name for path in tmp_path.iterdir())}
    for name in {*names, *kept}:
        (tmp_path / name).touch()
    (tmp_path / ".folder.abcdefgh.csv").mkdir()
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept | {".folder.abcdefgh.csv"}
    remove_leftovers(tmp_path / "absent")

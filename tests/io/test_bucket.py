"""Files go to a bucket and come back, by fsspec or by gsutil; what cannot be reached is refused in one line."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec import AbstractFileSystem, register_implementation

from yolo.errors import ConfigError
from yolo.io import bucket
from yolo.io.bucket import Bucket, BucketError
from yolo.loggers.upload import Upload


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.txt", "sub/b.txt", ".hidden", ".cache/c.txt"):
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).write_text(name)
    return tmp_path / "run"


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_there_and_back(tmp_path: Path, folder: Path, kind: str) -> None:
    place = Bucket("memory://there-and-back" if kind == "memory" else f"file://{tmp_path}/bucket/")
    assert place.upload_folder(folder, "exp") == 2
    assert place.download("exp/sub/b.txt", tmp_path / "back.txt") and (tmp_path / "back.txt").read_text() == "sub/b.txt"
    assert not place.download("exp/.hidden", tmp_path / "none.txt") and not (tmp_path / "none.txt").exists()
    (folder / "a.txt").write_text("new")
    place.upload(folder / "a.txt", "exp/a.txt")
    assert place.download("exp/a.txt", tmp_path / "back.txt") and (tmp_path / "back.txt").read_text() == "new"


def test_a_bucket_that_cannot_be_written(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "bucket").write_text("a file")
    place = Bucket(f"file://{tmp_path}/bucket")
    with pytest.raises(BucketError, match=r"bucket/exp/a\.txt: cannot be written"):
        place.upload_folder(folder, "exp")


@pytest.mark.parametrize("url", ["nonsense://x", "gs://bucket", "s3://bucket/x", "my-bucket"])
def test_what_cannot_be_reached_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """gcsfs and s3fs are not installed here, nor is gsutil."""
    for name in ("gcsfs", "s3fs"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(bucket.shutil, "which", lambda _: None)
    hint = {"gs": "pip install fsspec gcsfs", "s3": "pip install fsspec s3fs", "my-bucket": "gcsfs"}
    with pytest.raises(ConfigError, match=hint.get(url.partition("://")[0], "give gs://")) as caught:
        Bucket(url)
    assert caught.value.where == f"--bucket {url}"


def test_without_fsspec_the_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(bucket, "importlib", types.SimpleNamespace(import_module=absent))
    with pytest.raises(ConfigError, match=r"pip install fsspec$"):
        Bucket("memory://x")
    assert importlib.import_module("fsspec")


GSUTIL = """#!/bin/sh
echo "$@" >> {log}
case "$2 $3" in
  "stat gs://b/exp/absent") exit 1;;
  "cp {bad}") echo "AccessDenied: no" >&2; exit 1;;
esac
"""


def test_gsutil_where_only_that_is_there(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, bad = tmp_path / "log", folder / "sub/b.txt"
    program = tmp_path / "gsutil"
    program.write_text(GSUTIL.format(log=log, bad=bad))
    program.chmod(0o755)
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    place = Bucket("b")
    place.upload(folder / "a.txt", "exp/a.txt")
    assert place.download("exp/a.txt", tmp_path / "back") and not place.download("exp/absent", tmp_path / "back")
    assert log.read_text().splitlines() == [
        f"-q cp {folder}/a.txt gs://b/exp/a.txt",
        "-q stat gs://b/exp/a.txt",
        f"-q cp gs://b/exp/a.txt {tmp_path}/back",
        "-q stat gs://b/exp/absent",
    ]
    with pytest.raises(BucketError, match="gs://b/exp/b: AccessDenied: no"):
        place.upload(bad, "exp/b")


class Stuck(AbstractFileSystem):
    """A bucket behind a network that is gone: files are taken until it is; what comes then gets no answer."""

    protocol = "stuck"
    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.gone, self.taken, self.asked = True, [], lambda: None
        self.end = threading.Event()

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """There are no folders."""

    def rm_file(self, path: str) -> None:
        self.taken.remove(path.rpartition("/")[2])

    def put_file(self, file: str, path: str, **options: object) -> None:
        if self.gone:
            self.asked()
            self.end.wait()
        self.taken.append(path.rpartition("/")[2])


@pytest.fixture
def stuck() -> Iterator[Bucket]:
    register_implementation("stuck", Stuck, clobber=True)
    place = Bucket("stuck://b")
    yield place
    place._files.end.set()


def test_a_bucket_is_tried_before_anything_else(stuck: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stuck._files.gone = False
    stuck.check()
    assert not stuck._files.taken
    Bucket(f"file://{tmp_path}/new").check()
    assert not os.listdir(tmp_path / "new")
    stuck._files.gone = True
    monkeypatch.setattr(bucket, "ANSWER_SECONDS", 0.01)
    with pytest.raises(ConfigError, match=r"^--bucket stuck://b: cannot be written: no answer within 0 s; check the"):
        stuck.check()


def test_a_trial_that_cannot_be_removed_is_named(
    stuck: Bucket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("yolo"), "propagate", True)
    stuck._files.gone = False
    stuck._files.rm_file = lambda path: (_ for _ in ()).throw(PermissionError("no"))
    stuck.check()
    (name,) = stuck._files.taken
    assert caplog.messages == [f"stuck://b/{name} stays there: it cannot be removed (no)"]


def lose(place: Bucket, after: int) -> None:
    """The network goes when so many files are there, and a library says so at once."""

    def refused(file: str, path: str) -> None:
        if len(place._files.taken) == after:
            raise ConnectionError("refused")
        place._files.taken.append(path.rpartition("/")[2])

    place._files.put_file = refused


def test_what_was_not_copied_is_named_and_weights_go_first(stuck: Bucket, folder: Path) -> None:
    (folder / "weights").mkdir()
    (folder / "weights/best").touch()
    lose(stuck, after=1)
    with pytest.raises(BucketError) as caught:
        Upload(folder, stuck).after_run(None, None)
    assert stuck._files.taken == ["best"]
    assert str(caught.value) == (
        "stuck://b/run/a.txt: cannot be written: refused; 2 of 3 files were not copied: run/a.txt, run/sub/b.txt; "
        f"training is done and {folder} has all results: copy it once the bucket can be reached"
    )
    lose(stuck, after=2)
    for number in range(20):
        (folder / f"more{number:02}").touch()
    with pytest.raises(BucketError, match=r"22 of 23 .*: run/a\.txt, run/more00, .*more08, and 12 more$"):
        stuck.upload_folder(folder, "run")


def test_an_interrupt_ends_an_upload_that_is_stuck(
    stuck: Bucket, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("yolo"), "propagate", True)
    monkeypatch.setattr(bucket, "ANSWER_SECONDS", 600.0)
    stuck._files.asked = lambda: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        Upload(folder, stuck).after_run(None, None)
    assert caplog.messages == ["stuck://b: 2 of 2 files were not copied: run/a.txt, run/sub/b.txt"]


def test_a_stop_that_training_has_noted_ends_an_upload_that_is_stuck(
    stuck: Bucket, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("yolo"), "propagate", True)
    monkeypatch.setattr(bucket, "ANSWER_SECONDS", 600.0)
    for name in ("opt.yaml", "hyp.yaml"):
        (folder / name).touch()
    running = types.SimpleNamespace(stop_asked=False)
    stuck._files.asked = lambda: setattr(running, "stop_asked", True)
    Upload(folder, stuck).before_train(running)
    assert "given up, because a stop was asked for; 2 of 2 files were not copied" in caplog.messages[0]


def test_gsutil_that_does_not_answer_is_ended(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "gsutil"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(bucket, "ANSWER_SECONDS", 0.01)
    monkeypatch.setattr(bucket, "_within", lambda seconds, call: call())  # a slow import is none of its business
    place = Bucket("b")
    for call in (place.check, lambda: place.upload(folder / "a.txt", "a"), lambda: place.download("a", folder / "x")):
        with pytest.raises((BucketError, ConfigError), match=r"gsutil (cp|stat): no answer within 0 s"):
            call()

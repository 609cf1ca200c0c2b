"""Files go to a bucket and come back, by fsspec or by gsutil; what cannot be reached is refused in one line."""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path

import pytest

from yolo import bucket
from yolo.bucket import Bucket, BucketError
from yolo.errors import ConfigError


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
    mend = {"gs": "pip install fsspec gcsfs", "s3": "pip install fsspec s3fs", "my-bucket": "gcsfs"}
    with pytest.raises(ConfigError, match=mend.get(url.partition("://")[0], "give gs://")) as caught:
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

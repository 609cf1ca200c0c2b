"""Results copied to where ``--bucket`` says: by fsspec, or for Google's buckets by gsutil where only that is there."""

from __future__ import annotations

import importlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

from yolo.errors import ConfigError, YoloError


class BucketError(YoloError):
    """A bucket that cannot be written or read."""


class Bucket:
    """A place for files, named by an fsspec URL (``gs://name/folder``, ``s3://…``, ``file://…``).

    A bare name is one of Google's buckets, as in YOLOv5. Raises ConfigError when neither fsspec nor gsutil can
    reach such a place; nothing is sent before a file is.
    """

    def __init__(self, url: str) -> None:
        self.url = (url if "://" in url else f"gs://{url}").rstrip("/")
        self._gsutil: str | None = None
        try:
            fsspec: Any = importlib.import_module("fsspec.core")
            self._files, self._root = fsspec.url_to_fs(self.url)
        except ImportError as error:  # of fsspec, or of what it needs for this kind of URL
            self._gsutil = shutil.which("gsutil") if self.url.startswith("gs://") else None
            if self._gsutil is None:
                raise ConfigError(
                    f"cannot be reached: {error}", where=f"--bucket {url}", mend=_packages(self.url)
                ) from error
        except Exception as error:  # unknown kinds of URL, missing credentials
            raise ConfigError(
                f"cannot be used: {error}", where=f"--bucket {url}", mend="give gs://…, s3://… or another fsspec URL"
            ) from error

    def upload(self, file: Path, name: str) -> None:
        """Copy ``file`` to ``name`` below the bucket's URL. Raises BucketError."""
        target = f"{self.url}/{name}"
        if self._gsutil is not None:
            self._run("cp", str(file), target)
            return
        try:
            path = f"{self._root}/{name}"
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._files.put_file(str(file), path)
        except Exception as error:  # each kind of file system has its own
            raise BucketError(f"cannot be written: {error}", where=target) from error

    def upload_folder(self, folder: Path, name: str) -> int:
        """Copy all files below ``folder`` to ``name``, less hidden ones; give how many. Raises BucketError."""
        files = [file for file in sorted(folder.rglob("*")) if file.is_file() and not _hidden(file, folder)]
        for file in files:
            self.upload(file, f"{name}/{file.relative_to(folder).as_posix()}")
        return len(files)

    def download(self, name: str, file: Path) -> bool:
        """Copy ``name`` to ``file``; False when there is no such thing. Raises BucketError when it cannot be read."""
        source = f"{self.url}/{name}"
        if self._gsutil is not None:
            if subprocess.run([self._gsutil, "-q", "stat", source], capture_output=True).returncode:
                return False
            self._run("cp", source, str(file))
            return True
        try:
            if not self._files.exists(f"{self._root}/{name}"):
                return False
            self._files.get_file(f"{self._root}/{name}", str(file))
        except Exception as error:
            raise BucketError(f"cannot be read: {error}", where=source) from error
        return True

    def _run(self, *command: str) -> None:
        done = subprocess.run([self._gsutil, "-q", *command], capture_output=True, text=True)
        if done.returncode:
            line = (done.stderr.strip().splitlines() or [f"gsutil ended with {done.returncode}"])[-1]
            raise BucketError(line, where=command[-1] if command[-1].startswith("gs:") else command[1])


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _packages(url: str) -> str:
    needed = {"gs": " gcsfs", "s3": " s3fs", "az": " adlfs", "abfs": " adlfs"}.get(url.partition("://")[0], "")
    return f"pip install fsspec{needed}"

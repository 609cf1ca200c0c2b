"""Results copied to where ``--bucket`` says: by fsspec, or for Google's buckets by gsutil where only that is there."""

from __future__ import annotations

import importlib
import logging
import queue
import shutil
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from yolo.errors import ConfigError, YoloError

logger = logging.getLogger("yolo")

ANSWER_SECONDS = 30.0
"""So long a bucket may take for anything small: libraries for buckets try again for many minutes without a network."""
LEAST_RATE = 100e3
"""Bytes a second; a larger file has so much more time, and a slower connection counts as none."""
NAMED_FILES = 10
_LOOK_SECONDS = 0.1

Stopped = Callable[[], bool]
"""Whether to give up at once."""


class BucketError(YoloError):
    """A bucket that cannot be written or read."""


class Bucket:
    """A place for files, named by an fsspec URL (``gs://name/folder``, ``s3://…``, ``file://…``).

    A bare name is one of Google's buckets, as in YOLOv5. Raises ConfigError when neither fsspec nor gsutil can
    reach such a place; nothing is sent before a file is. Every attempt ends after ``ANSWER_SECONDS``, or more for a
    large file, and at once when the process is told to end.
    """

    def __init__(self, url: str) -> None:
        self.url = (url if "://" in url else f"gs://{url}").rstrip("/")
        self._where = f"--bucket {url}"
        self._gsutil: str | None = None
        try:
            fsspec: Any = importlib.import_module("fsspec.core")
            self._files, self._root = _within(ANSWER_SECONDS, lambda: fsspec.url_to_fs(self.url))
        except ImportError as error:  # of fsspec, or of what it needs for this kind of URL
            self._gsutil = shutil.which("gsutil") if self.url.startswith("gs://") else None
            if self._gsutil is None:
                raise ConfigError(f"cannot be reached: {error}", where=self._where, hint=_packages(self.url)) from error
        except Exception as error:  # unknown kinds of URL, missing credentials
            raise ConfigError(
                f"cannot be used: {error}", where=self._where, hint="give gs://…, s3://… or another fsspec URL"
            ) from error

    def check(self) -> None:
        """Write a small file and remove it again. Raises ConfigError where it cannot be written."""
        name = f".yolo-write-test-{uuid.uuid4().hex[:12]}"
        with tempfile.NamedTemporaryFile(prefix="yolo-write-test-") as file:
            try:
                self.upload(Path(file.name), name)
            except BucketError as error:
                hint = "check the network, the name and your rights, or leave --bucket out"
                raise ConfigError(error.what, where=self._where, hint=hint) from error
        try:
            if self._gsutil is not None:
                self._run(ANSWER_SECONDS, "rm", f"{self.url}/{name}")
            else:
                _within(ANSWER_SECONDS, lambda: self._files.rm_file(f"{self._root}/{name}"))
        except Exception as error:  # rights to write alone will do
            logger.warning("%s/%s stays there: it cannot be removed (%s)", self.url, name, error)

    def upload(self, file: Path, name: str, stopped: Stopped | None = None) -> None:
        """Copy ``file`` to ``name`` below the bucket's URL. Raises BucketError, also when ``stopped``."""
        target = f"{self.url}/{name}"
        try:
            seconds = ANSWER_SECONDS + file.stat().st_size / LEAST_RATE
            if self._gsutil is not None:
                self._run(seconds, "cp", str(file), target, stopped=stopped)
                return
            _within(seconds, lambda: self._put(file, f"{self._root}/{name}"), stopped)
        except BucketError:
            raise
        except Exception as error:  # each kind of file system has its own
            raise BucketError(f"cannot be written: {error}", where=target) from error

    def upload_all(self, files: Mapping[str, Path], stopped: Stopped | None = None) -> int:
        """Copy each file to its name; give how many. The first failure ends it.

        Raises BucketError, which names all that was not copied; an interrupt says the same in a warning.
        """
        for number, (name, file) in enumerate(files.items()):
            try:
                self.upload(file, name, stopped)
            except BucketError as error:
                raise BucketError(f"{error.what}; {_left(files, number)}", where=error.where) from error
            except KeyboardInterrupt:
                logger.warning("%s: %s", self.url, _left(files, number))
                raise
        return len(files)

    def upload_folder(self, folder: Path, name: str) -> int:
        """Copy all files below ``folder`` to ``name``, less hidden ones, weights first; as ``upload_all``."""
        files = [file for file in folder.rglob("*") if file.is_file() and not _hidden(file, folder)]
        files.sort(key=lambda file: (file.parent.name != "weights", file))
        return self.upload_all({f"{name}/{file.relative_to(folder).as_posix()}": file for file in files})

    def download(self, name: str, file: Path) -> bool:
        """Copy ``name`` to ``file``; False when there is no such thing. Raises BucketError when it cannot be read."""
        source = f"{self.url}/{name}"
        if self._gsutil is not None:
            if self._gsutil_code(ANSWER_SECONDS, "stat", source, where=source)[0]:
                return False
            self._run(ANSWER_SECONDS, "cp", source, str(file))
            return True
        path = f"{self._root}/{name}"
        try:
            if not _within(ANSWER_SECONDS, lambda: self._files.exists(path)):
                return False
            seconds = ANSWER_SECONDS + (_within(ANSWER_SECONDS, lambda: self._files.size(path)) or 0) / LEAST_RATE
            _within(seconds, lambda: self._files.get_file(path, str(file)))
        except Exception as error:
            raise BucketError(f"cannot be read: {error}", where=source) from error
        return True

    def _put(self, file: Path, path: str) -> None:
        self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        self._files.put_file(str(file), path)

    def _run(self, seconds: float, *command: str, stopped: Stopped | None = None) -> None:
        where = command[-1] if command[-1].startswith("gs:") else command[1]
        code, said = self._gsutil_code(seconds, *command, where=where, stopped=stopped)
        if code:
            raise BucketError((said.strip().splitlines() or [f"gsutil ended with {code}"])[-1], where=where)

    def _gsutil_code(
        self, seconds: float, *command: str, where: str, stopped: Stopped | None = None
    ) -> tuple[int, str]:
        """Its exit code and what it said; raises BucketError when it takes longer, or when ``stopped``."""
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen([self._gsutil, "-q", *command], stdout=subprocess.DEVNULL, stderr=said)
            try:
                _await(seconds, lambda: process.poll() is not None, stopped)
            except (TimeoutError, InterruptedError) as error:
                raise BucketError(f"gsutil {command[0]}: {error}", where=where) from error
            finally:
                process.kill()
                process.wait()
            said.seek(0)
            return process.returncode, said.read()


def _within(seconds: float, call: Callable[[], Any], stopped: Stopped | None = None) -> Any:
    """What ``call`` gives or raises, from a thread that is left behind when it takes longer.

    The thread that waits can be interrupted, whatever the library does. Raises TimeoutError, or InterruptedError when
    ``stopped``.
    """
    answers: queue.SimpleQueue = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put((call(), None))
        except BaseException as error:  # raised where somebody waits for it
            answers.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    _await(seconds, lambda: not answers.empty(), stopped)
    value, error = answers.get()
    if error is not None:
        raise error
    return value


def _await(seconds: float, done: Callable[[], bool], stopped: Stopped | None) -> None:
    end, pause = time.monotonic() + seconds, 0.001
    while not done():
        if stopped is not None and stopped():
            raise InterruptedError("given up, because a stop was asked for")
        if time.monotonic() > end:
            raise TimeoutError(f"no answer within {seconds:.0f} s")
        time.sleep(pause)
        pause = min(2 * pause, _LOOK_SECONDS)


def _left(files: Mapping[str, Path], number: int) -> str:
    """Which files were not copied when the one of this number failed."""
    names = list(files)[number:]
    more = [f"and {len(names) - NAMED_FILES} more"] * (len(names) > NAMED_FILES)
    return f"{len(names)} of {len(files)} files were not copied: {', '.join([*names[:NAMED_FILES], *more])}"


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _packages(url: str) -> str:
    needed = {"gs": " gcsfs", "s3": " s3fs", "az": " adlfs", "abfs": " adlfs"}.get(url.partition("://")[0], "")
    return f"pip install fsspec{needed}"

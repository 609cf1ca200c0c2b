"""Fetching one file by HTTP: resumed where it broke off, checked, in place whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import queue
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from yolo.errors import DownloadError

if TYPE_CHECKING:
    import requests

_LOG = logging.getLogger("yolo.download")
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 15.0
"""Longest wait for the head of an answer, name look-up and redirects included."""
READ_SECONDS = 30.0
PAUSES = (0.5, 1.0, 2.0, 4.0)
"""Seconds between attempts after a connection broke off; any progress starts them anew."""
_BLOCK = 1 << 20
_BY_HAND = "check the connection, or fetch it by hand"


class _BrokenOffError(Exception):
    """The connection ended early; another attempt may go on from there."""


def download(url: str, target: str | Path, *, sha256: str | None = None, most: int | None = None) -> Path:
    """Fetch ``url`` (http or https) to ``target``, which must not be there yet; give ``target``.

    What came so far is kept beside it as ``.<name>.part`` and taken up again, now or by the next run, if the server
    says that its file is still the same one or if ``sha256`` (64 hex digits) will tell. Of several processes one
    fetches, the others wait for it. Raises DownloadError: no connection, refused, broken off, another SHA-256, more
    than ``most`` bytes.
    """
    target = Path(target)
    _check_url(url)
    made = not target.parent.exists()
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    try:
        with _held(part) as stream:
            if not target.exists():  # else another process was quicker
                _Transfer(url, stream, part.with_name(f"{part.name}.json"), sha256, most).run()
                _check_sum(part, sha256, url)
                os.fsync(stream.fileno())
                part.chmod(0o644)
                os.replace(part, target)
    except BaseException:
        if made:
            with contextlib.suppress(OSError):  # not empty: what came so far is kept
                target.parent.rmdir()
        raise
    return target


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of a file, 64 hex digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def is_url(text: str) -> bool:
    """Whether ``text`` names something on the web."""
    return text.lower().startswith(("http://", "https://"))


@dataclass
class _Transfer:
    """One file on its way into ``stream``; ``notes`` says what the part on disk belongs to."""

    url: str
    stream: BinaryIO
    notes: Path
    sha256: str | None
    most: int | None
    total: int | None = None
    validator: str | None = None

    def run(self) -> None:
        """Receive until the file is whole. Raises DownloadError."""
        self._begin()
        failures = 0
        while True:
            size = self.stream.tell()
            try:
                return self._receive(size)
            except _BrokenOffError as error:
                failures = 0 if self.stream.tell() > size else failures
                if failures == len(PAUSES):
                    raise DownloadError(
                        f"the connection broke off at {self._progress()} ({error})",
                        where=self.url,
                        hint="try again: it goes on from there",
                    ) from error
                _LOG.info("the connection broke off at %s, trying again", self._progress())
                time.sleep(PAUSES[failures])
                failures += 1

    def _begin(self) -> None:
        """Stand at the end of what an earlier run left, if it can be trusted to belong to this file."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            notes = json.loads(self.notes.read_text())
            if notes.get("url") == self.url and isinstance(notes.get("validator"), str | None):
                self.validator = notes["validator"]
        if self.stream.seek(0, 2) and not (self.validator or self.sha256):
            self._restart()

    def _restart(self) -> None:
        self.stream.seek(0)
        self.stream.truncate()

    def _receive(self, size: int) -> None:
        headers = {"Accept-Encoding": "identity"}
        if size:
            headers["Range"] = f"bytes={size}-"
            if self.validator:
                headers["If-Range"] = self.validator
        with contextlib.closing(_ask(self.url, headers, again=size > 0)) as answer:
            if answer.status_code == 416:
                if answer.headers.get("Content-Range", "").rpartition("/")[2] == str(size):
                    return
                self._restart()
                raise _BrokenOffError("the file changed meanwhile")
            _check_status(answer, self.url)
            if answer.status_code == 200:
                self._restart()
            elif not answer.headers.get("Content-Range", "").startswith(f"bytes {size}-"):
                self._restart()
                raise _BrokenOffError("the server sent another part than was requested")
            self._remember(answer)
            self._read(answer)

    def _remember(self, answer: requests.Response) -> None:
        """Note the size and what identifies this state of the file on the server."""
        size, length = self.stream.tell(), answer.headers.get("Content-Length", "")
        self.total = size + int(length) if length.isdigit() else None
        tag = answer.headers.get("ETag", "")
        self.validator = tag if tag.startswith('"') else answer.headers.get("Last-Modified")
        self.notes.write_text(json.dumps({"url": self.url, "validator": self.validator}))
        self._refuse_beyond_most(self.total or 0)
        free = shutil.disk_usage(self.notes.parent).free
        if self.total is not None and self.total - size > free:
            raise DownloadError(
                f"needs {_megabytes(self.total - size)}, {_megabytes(free)} are free in {self.notes.parent}",
                where=self.url,
                hint="free some space",
            )

    def _read(self, answer: requests.Response) -> None:
        from tqdm import tqdm
        from urllib3.exceptions import HTTPError

        bar: Any = tqdm(
            total=self.total, initial=self.stream.tell(), unit="B", unit_scale=True, leave=False,
            disable=not sys.stderr.isatty(), file=sys.stderr,
        )  # fmt: skip
        try:
            with bar:
                for block in answer.raw.stream(_BLOCK, decode_content=False):
                    self._refuse_beyond_most(self.stream.tell() + len(block))
                    self.stream.write(block)
                    bar.update(len(block))
        except (HTTPError, ConnectionError, TimeoutError) as error:
            raise _BrokenOffError(type(error).__name__) from error
        finally:
            self.stream.flush()
        if self.total is not None and self.stream.tell() != self.total:
            raise _BrokenOffError("too short")

    def _refuse_beyond_most(self, size: int) -> None:
        if self.most is not None and size > self.most:
            raise DownloadError(f"is larger than {_megabytes(self.most)}", where=self.url, hint="fetch it by hand")

    def _progress(self) -> str:
        whole = "" if self.total is None else f" of {_megabytes(self.total)}"
        return f"{_megabytes(self.stream.tell())}{whole}"


def _ask(url: str, headers: dict[str, str], *, again: bool) -> requests.Response:
    """The head of the answer to a GET request; ``again`` says that this server has answered before.

    Asked from a thread of its own, because no time limit holds for the look-up of a name.
    """
    import requests

    answers: queue.SimpleQueue = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(requests.get(url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        got = answers.get(timeout=ANSWER_SECONDS)
    except queue.Empty:
        got = requests.Timeout(f"no answer within {ANSWER_SECONDS:.0f} s")
    if not isinstance(got, Exception):
        return got
    if again and isinstance(got, requests.ConnectionError | requests.Timeout):
        raise _BrokenOffError(_reason(got)) from got
    raise DownloadError(f"cannot be fetched ({_reason(got)})", where=url, hint=_BY_HAND) from got


def _reason(error: Exception) -> str:
    """The innermost cause in a few words: requests wraps it several times."""
    import requests

    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        text = str(error)
        for sign, words in (("NameResolution", "unknown host, or no network"),
                            ("refused", "connection refused"), ("SSL", "no valid certificate")):  # fmt: skip
            if sign in text:
                return words
        return "no connection"
    return f"{type(error).__name__}: {error}"[:160]


def _check_url(url: str) -> None:
    try:
        good = is_url(url) and len(url.split()) == 1 and bool(urlsplit(url).hostname)
    except ValueError:
        good = False
    if not good:
        raise DownloadError("not a valid URL", where=url[:200], hint="give one that begins with https://")


def _check_status(answer: requests.Response, url: str) -> None:
    if url.lower().startswith("https:") and not answer.url.lower().startswith("https:"):
        raise DownloadError(f"leads to {answer.url}, which is not encrypted", where=url, hint=_BY_HAND)
    if answer.status_code in (200, 206):
        return
    reason = f"{answer.status_code} {answer.reason or ''}".strip()
    if answer.status_code in (429, 500, 502, 503, 504):
        raise _BrokenOffError(reason)
    raise DownloadError(f"cannot be fetched ({reason})", where=url, hint="check the address, or fetch it by hand")


def _check_sum(part: Path, sha256: str | None, url: str) -> None:
    if sha256 is None:
        return
    got = sha256_of(part)
    if got != sha256.lower():
        part.unlink()
        hint = "it is not kept; try again, or find out what became of that file"
        raise DownloadError(f"has SHA-256 {got}, expected was {sha256.lower()}", where=url, hint=hint)


@contextlib.contextmanager
def _held(part: Path) -> Iterator[BinaryIO]:
    """``part`` opened for reading and writing, by one process at a time; removed again when nothing is in it."""
    while True:
        with open(os.open(part, os.O_RDWR | os.O_CREAT, 0o644), "r+b") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _LOG.info("waiting for another process that fetches %s", part.name)
                fcntl.flock(stream, fcntl.LOCK_EX)
            if not _is_same(part, stream):  # the one before has put it in place, or away
                continue
            try:
                yield stream
            finally:
                if not _is_same(part, stream) or os.fstat(stream.fileno()).st_size == 0:
                    part.unlink(missing_ok=True)
                    part.with_name(f"{part.name}.json").unlink(missing_ok=True)
            return


def _is_same(path: Path, stream: BinaryIO) -> bool:
    """Whether ``stream`` is still what ``path`` names."""
    try:
        return os.path.samestat(path.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"

"""What a rank knows of its job before it meets the others: where, with whom, and what proves it."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import ipaddress
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from yolo.distributed.launcher import launcher_of_all
from yolo.distributed.ranks import Ranks
from yolo.errors import ConfigError

SECRET, SECRET_FILE = "YOLO_JOB_SECRET", "YOLO_JOB_SECRET_FILE"
"""The environment's names of what all ranks of a job have in common and nobody else has, and of a file with it."""
SHORTEST_SECRET = 16
_MAKE_ONE = """python -c 'import secrets; print(secrets.token_hex(32))'"""


@dataclasses.dataclass(frozen=True)
class Job:
    """host, port: of OneFlow's first rank; secret: b"" where there is none.

    local: all ranks are of this machine, which need no secret: the kernel says whose process is at the other end.
    launcher: which launcher has started all ranks, "" where several have, or none.
    """

    ranks: Ranks
    host: str
    port: int
    secret: bytes = b""
    local: bool = False
    launcher: str = ""

    @classmethod
    def of(cls, ranks: Ranks, environment: Mapping[str, str] = os.environ) -> Job:
        """Read what the launcher sets, and the secret. Raises ConfigError for what cannot be."""
        host, launcher = environment.get("MASTER_ADDR", "127.0.0.1"), launcher_of_all()
        local = bool(launcher) or _is_loopback(host)
        return cls(ranks, host, _port(environment, local), read_secret(environment), local, launcher)

    @property
    def launcher_digest(self) -> bytes:
        return hashlib.sha256(self.launcher.encode()).digest()

    @property
    def place(self) -> str:
        """Where the ranks meet, human-readable."""
        return f"{self.host}:{self.port if self.local else self.port + 1}"

    @property
    def ports(self) -> tuple[int, ...]:
        """Those that the first rank needs for as long as the job lives."""
        return (self.port,) if self.local else (self.port, self.port + 1)

    @property
    def another_port(self) -> str:
        """What to type where this one is taken."""
        other = self.port + 1000 if self.port < 60_000 else self.port - 1000
        return f"give another port: python -m oneflow.distributed.launch --master_port {other} …"

    @property
    def open_to_all(self) -> bool:
        """Whether whoever reaches the first rank may say that it is another one."""
        return not (self.local or self.secret)


def read_secret(environment: Mapping[str, str]) -> bytes:
    """The job's secret, b"" where none is given. Raises ConfigError for one that others may read or guess."""
    text, path = environment.get(SECRET, ""), environment.get(SECRET_FILE, "")
    if text and path:
        raise ConfigError(f"{SECRET} is given too", where=SECRET_FILE, hint="unset one of them")
    name = SECRET
    if path:
        text, name = _read_private(Path(path)), f"{SECRET_FILE}={path}"
    if (path or text) and len(text) < SHORTEST_SECRET:
        what = f"has {len(text)} characters, {SHORTEST_SECRET} at least are needed"
        raise ConfigError(what, where=name, hint=f"make one: {_MAKE_ONE}")
    return text.encode()


def _read_private(path: Path) -> str:
    try:
        with open(path, encoding="utf-8", opener=_open_at_once) as stream:
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077 or found.st_uid not in (0, os.geteuid()):
                what = f"is not this user's alone (mode {stat.S_IMODE(found.st_mode):o}, user {found.st_uid})"
                raise ConfigError(what, where=f"{SECRET_FILE}={path}", hint=f"run: chmod 600 {path}")
            return stream.read(1 << 16).strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "is no text"
        raise ConfigError(why, where=f"{SECRET_FILE}={path}", hint="give all ranks the same file") from error


def _open_at_once(path: str, flags: int) -> int:
    """A pipe without a writer does not keep us waiting."""
    return os.open(path, flags | os.O_NONBLOCK)


def _port(environment: Mapping[str, str], local: bool) -> int:
    text = environment.get("MASTER_PORT", "29500")
    most = 65535 if local else 65534  # across machines the one behind it is needed too
    if not (text.isdecimal() and 0 < int(text) <= most):
        raise ConfigError(f"MASTER_PORT={text} is not a port", where="environment", hint=f"give one from 1 to {most}")
    return int(text)


def _is_loopback(host: str) -> bool:
    """Whether an address leads nowhere but to this machine. A name may mean something else on another one."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"

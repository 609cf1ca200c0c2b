"""Where a rank runs: its host's name and process, and which ranks share cores."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class HostInfo:
    """Of one process. kernel: differs where another one runs; cores: those that the process may use."""

    host: str
    process: int
    kernel: str
    cores: tuple[int, ...]

    @classmethod
    def own(cls) -> HostInfo:
        kernel = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        cores = tuple(sorted(os.sched_getaffinity(0)))
        return cls(socket.gethostname(), os.getpid(), kernel, cores)

    @classmethod
    def from_json(cls, text: bytes) -> HostInfo:
        """Another rank's. Raises ValueError for anything else."""
        try:
            content = json.loads(text)
            info = cls(**{**content, "cores": tuple(content["cores"])})
        except (TypeError, KeyError, RecursionError) as error:
            raise ValueError("is not host information") from error
        texts, numbers = (info.host, info.kernel), (info.process, *info.cores)
        if not all(isinstance(x, str) and x.isprintable() for x in texts) or not all(type(x) is int for x in numbers):
            raise ValueError("is not host information")
        return info

    def to_json(self) -> bytes:
        return json.dumps(dataclasses.asdict(self)).encode()

    def __str__(self) -> str:
        return f"{self.host} {self.process}"

    def shares_cores_with(self, other: HostInfo) -> bool:
        """Whether both may use the very same cores: containers of one machine do."""
        return (self.kernel, self.cores) == (other.kernel, other.cores)

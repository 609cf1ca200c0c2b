"""Where a rank runs: which ranks share cores, and which one may end which."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Place:
    """Of one process. Containers and copied machines may have the same host name, and their processes the same numbers.

    kernel: differs where another one runs; numbering: of processes, of which a kernel may have several; cores: those
    that the process may use.
    """

    host: str
    process: int
    kernel: str
    numbering: str
    cores: tuple[int, ...]

    @classmethod
    def own(cls) -> Place:
        kernel = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        numbering = os.readlink("/proc/self/ns/pid")
        cores = tuple(sorted(os.sched_getaffinity(0)))
        return cls(socket.gethostname(), os.getpid(), kernel, numbering, cores)

    @classmethod
    def from_json(cls, text: bytes) -> Place:
        content = json.loads(text)
        return cls(**{**content, "cores": tuple(content["cores"])})

    def to_json(self) -> bytes:
        return json.dumps(dataclasses.asdict(self)).encode()

    def __str__(self) -> str:
        return f"{self.host} {self.process}"

    def shares_cores_with(self, other: Place) -> bool:
        """Whether both may use the very same cores: containers of one machine do."""
        return (self.kernel, self.cores) == (other.kernel, other.cores)

    def process_of(self, other: Place) -> int:
        """The number by which this process may end the other; 0 where it has none here, or is this one."""
        near = (self.host, self.kernel, self.numbering) == (other.host, other.kernel, other.numbering)
        return other.process if near and other.process != self.process else 0

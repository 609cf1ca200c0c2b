"""Which of the processes that work together this one is, as the launcher says it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

from yolo.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Ranks:
    """rank: this process's number, from 0; count: how many work together; local: its number on its machine, from 0."""

    rank: int = 0
    count: int = 1
    local: int = 0

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> Ranks:
        """Read what ``python -m oneflow.distributed.launch`` sets; without it a process is alone.

        Raises ConfigError for numbers that do not fit.
        """
        given = environment.get("RANK", "0"), environment.get("WORLD_SIZE", "1")
        if given[1] == "1":  # OneFlow itself then writes a RANK of -1
            return cls()
        given += (environment.get("LOCAL_RANK", given[0]),)
        if not all(number.isdecimal() for number in given) or not int(given[2]) <= int(given[0]) < int(given[1]):
            raise ConfigError(
                f"RANK={given[0]} WORLD_SIZE={given[1]} LOCAL_RANK={given[2]} name no rank",
                where="environment",
                hint="start with python -m oneflow.distributed.launch, or unset them",
            )
        return cls(*map(int, given))

    @property
    def alone(self) -> bool:
        return self.count == 1

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes files and prints messages."""
        return self.rank == 0

    def part(self, total: int) -> slice:
        """This rank's place in ``total`` things, of which every rank has as many. Raises ValueError for a remainder."""
        if total % self.count:
            raise ValueError(f"{total} things do not divide among {self.count} ranks")
        each = total // self.count
        return slice(self.rank * each, (self.rank + 1) * each)


ALONE = Ranks()
"""The rank of a process that no launcher started."""

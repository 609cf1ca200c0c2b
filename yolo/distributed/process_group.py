"""The processes that work together: they meet before OneFlow starts, tell each other things, and end together."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn, TypeVar

import numpy as np

from yolo import native
from yolo.distributed.host import HostInfo
from yolo.distributed.launcher import die_with_launcher, end_stopped_siblings, siblings
from yolo.distributed.pack import pack, unpack
from yolo.distributed.ranks import ALONE, Ranks
from yolo.distributed.rendezvous.job import Job
from yolo.distributed.rendezvous.lock import PortTakenError
from yolo.distributed.rendezvous.meet import Rendezvous, meet
from yolo.distributed.rendezvous.visit import RefusedError
from yolo.errors import ConfigError, Interrupted, RuntimeSetupError, YoloError

RENDEZVOUS_SECONDS = 45.0
ONEFLOW_SECONDS = 180.0
"""How long OneFlow may take to load and to connect the ranks for itself."""
PATIENCE_SECONDS = 30.0
"""How long nothing may be heard of a rank before all end."""
_LONGEST_NOTE, _LONGEST_MESSAGE = 1 << 20, 1 << 33
"""Bytes that a rank may tell about itself, and in all."""
_T = TypeVar("_T")


class ProcessGroup:
    """A lone process is a group of one: that is what the methods do here. ``RankedGroup`` is one of several.

    Every method is called by all ranks, in the same order; those that are not say so. ``exchange`` (native.Exchange) is
    the ranks' own way to each other for operators that need it; None alone.
    """

    def __init__(self) -> None:
        self.ranks, self.exchange = ALONE, None

    def share_of_cores(self, cores: int) -> int:
        """Of so many cores those for this rank, when others of its machine may use the very same ones."""
        return cores

    def all_gather(self, arrays: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
        """Everybody's arrays, in the order of ranks."""
        return [dict(arrays)]

    def all_reduce(self, values: np.ndarray) -> np.ndarray:
        """The sum of everybody's float64 ``values``, which may be overwritten."""
        return values

    @contextlib.contextmanager
    def consistent(self) -> Iterator[dict[str, str]]:
        """What the ranks must have in common is put into the dict that this gives, by human-readable names.

        After the block every rank has seen that the others' is the same; an error that one or all of them ran into is
        raised by all.
        """
        yield {}

    def advise(self, text: str) -> None:
        """What every rank says when all end early: how to go on. For one rank alone."""

    def within(self, seconds: float, reason: str) -> contextlib.AbstractContextManager[None]:
        """End all ranks, saying why, where the block takes longer: also one that keeps Python from doing anything."""
        return contextlib.nullcontext()


LONE = ProcessGroup()
"""Of a process that no launcher started."""


class RankedGroup(ProcessGroup):
    """One rank's connections to the others, besides OneFlow's."""

    def __init__(self, rendezvous: Rendezvous) -> None:
        self.ranks, self.exchange = rendezvous.ranks, rendezvous.exchange()
        self._rendezvous = rendezvous  # it holds the job's port
        own = HostInfo.own()
        self.exchange.limit(PATIENCE_SECONDS)
        told = self.exchange.tell(own.to_json(), _LONGEST_NOTE)
        self.exchange.limit(0.0)  # from now on that is the watch's business
        hosts = [_read(rank, HostInfo.from_json, text) for rank, text in enumerate(told)]
        found = siblings()
        near = [found.get(rank, (0, 0)) for rank in range(self.ranks.count)]
        self._watch = rendezvous.watch(list(map(str, hosts)), near, PATIENCE_SECONDS)
        self._neighbours = sum(map(own.shares_cores_with, hosts))
        native.set_default_threads(self.share_of_cores(len(own.cores)))

    def share_of_cores(self, cores: int) -> int:
        return max(cores // self._neighbours, 1)

    def all_gather(self, arrays: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
        everybody = self.exchange.tell(pack(arrays), _LONGEST_MESSAGE)
        return [_read(rank, unpack, data) for rank, data in enumerate(everybody)]

    def all_reduce(self, values: np.ndarray) -> np.ndarray:
        self.exchange.add_up(values)
        return values

    @contextlib.contextmanager
    def consistent(self) -> Iterator[dict[str, str]]:
        facts: dict[str, str] = {}
        try:
            yield facts
        except YoloError as error:
            facts = {"error": str(error)}
        self.check_consistent(facts)

    def check_consistent(self, facts: Mapping[str, str]) -> None:
        """Raise ConfigError on all ranks when one of the facts differs from the first rank's.

        A fact called ``error`` is a rank's reason not to start: it is raised, once for all that have the same.
        """
        own = json.dumps(dict(facts)).encode()
        told = self.exchange.tell(own, _LONGEST_NOTE)
        everybody = [_read(rank, json.loads, text) for rank, text in enumerate(told)]
        for rank, theirs in enumerate(everybody):
            if error := theirs.get("error"):
                alone = any(other.get("error") != error for other in everybody)
                raise _everywhere(ConfigError(f"rank {rank}: {error}" if alone else error))
        for rank, theirs in enumerate(everybody):
            for name, value in everybody[0].items():
                if theirs.get(name) != value:
                    what = f"rank {rank} has another {name} than rank 0: {theirs.get(name)}, not {value}"
                    raise _everywhere(ConfigError(what, hint="give all ranks the same code, data and options"))

    def advise(self, text: str) -> None:
        self._watch.advise(text)

    @contextlib.contextmanager
    def within(self, seconds: float, reason: str) -> Iterator[None]:
        self._watch.limit(seconds, reason)
        try:
            yield
        finally:
            self._watch.limit(0.0, "")

    def end(self, reason: str) -> None:
        """End this process, and with it those of all ranks, saying why. For one rank alone."""
        self._watch.end(reason)

    def leave(self) -> None:
        """Wait until the work of all ranks is done."""
        self._watch.leave()
        self._rendezvous.close()


@contextlib.contextmanager
def join_group(ranks: Ranks) -> Iterator[ProcessGroup]:
    """The group of this process.

    An error that leaves the block ends all ranks, and the process waits for the others at its very end. Raises
    RuntimeSetupError where the ranks do not find each other.
    """
    if ranks.alone:
        yield LONE
        return
    die_with_launcher(signal.SIGKILL)  # one that is stopped, too: nobody else knows of it yet
    group = _meet(ranks)
    atexit.register(group.leave)  # behind whatever else a process does at its end
    group.advise("Start the command again.")  # until there is a checkpoint
    die_with_launcher(signal.SIGTERM)  # training writes a checkpoint
    try:
        yield group
    except YoloError as error:
        if not error.everywhere:
            group.end(str(error))
        group.advise(str(error))  # it is said when all have left, or where one is lost before
        raise
    except Interrupted:
        raise  # agreed upon
    except BaseException as error:
        if not isinstance(error, OSError | KeyboardInterrupt):
            traceback.print_exc()
        group.end(f"{type(error).__name__}: {error}")


def depart(code: int) -> NoReturn:
    """End this process with an exit code; one of several ends when all do.

    Siblings that were stopped end with it. It does not go through the end of OneFlow's library, where a rank that is
    stopped keeps the others waiting.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        sys.exit(code)
    end_stopped_siblings()  # behind what this one has said: their end is that of all
    atexit._run_exitfuncs()  # OneFlow's among them; the last is the first that was registered: to leave
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _everywhere(error: YoloError) -> YoloError:
    error.everywhere = True
    return error


def starting_oneflow(group: ProcessGroup) -> contextlib.AbstractContextManager[None]:
    """Around whatever starts OneFlow, which connects the ranks for itself and would wait for one for ever."""
    port = os.environ.get("MASTER_PORT", "29500")
    reason = (
        f"OneFlow has not connected the ranks at port {port} within {ONEFLOW_SECONDS:.0f} s; let no firewall stand "
        "between them, and give --master_port one that nobody else uses"
    )
    return group.within(ONEFLOW_SECONDS, reason)


def _read(rank: int, reader: Callable[[bytes], _T], message: bytes) -> _T:
    try:
        return reader(message)
    except ValueError as error:
        hint = "give all ranks the same code"
        raise RuntimeSetupError(
            f"the message of rank {rank} cannot be read: {error}", where="ranks", hint=hint
        ) from error


def _meet(ranks: Ranks) -> RankedGroup:
    """Find the other ranks at the launcher's port, or behind it; raises RuntimeSetupError, saying what to type."""
    job = Job.of(ranks)
    hint = "start all ranks with the same --master_addr and --master_port, and let no firewall stand between them"
    try:
        return RankedGroup(meet(job, RENDEZVOUS_SECONDS))
    except PortTakenError as error:
        refusal = RuntimeSetupError(str(error), where="ranks", hint=job.another_port)
    except RefusedError as error:
        refusal = RuntimeSetupError(str(error), where="ranks", hint=error.hint)
    except (RuntimeError, OSError) as error:
        refusal = RuntimeSetupError(str(error), where="ranks", hint=hint)
    refusal.own = True
    raise refusal

"""A rank's connections to the others, besides OneFlow's: they meet before OneFlow starts, and end together."""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import NoReturn

import numpy as np

from yolo.errors import ConfigError, Interrupted, RuntimeSetupError, YoloError
from yolo.launcher import die_with_launcher, end_stopped_siblings
from yolo.place import Place
from yolo.program._native import native
from yolo.ranks import Ranks

MEETING_SECONDS = 45.0
PATIENCE_SECONDS = 30.0
"""How long nothing may be heard of a rank before all end."""


class Links:
    """Every method is called by all ranks, in the same order; those that are not say so."""

    def __init__(self, ranks: Ranks, meeting: native.Meeting) -> None:
        self.ranks, self.exchange = ranks, meeting.exchange()
        own = Place.own()
        places = list(map(Place.from_json, self.exchange.tell(own.to_json())))
        self._watch = meeting.watch(list(map(str, places)), list(map(own.process_of, places)), PATIENCE_SECONDS)
        self._neighbours = sum(map(own.shares_cores_with, places))

    def share_of_cores(self, cores: int) -> int:
        """Of so many cores those for this rank, when others of its machine may use the very same ones."""
        return max(cores // self._neighbours, 1)

    def tell(self, arrays: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
        """Everybody's arrays, in the order of ranks."""
        own = io.BytesIO()
        np.savez(own, **arrays)
        return [dict(np.load(io.BytesIO(data), allow_pickle=False)) for data in self.exchange.tell(own.getvalue())]

    def agree(self, facts: Mapping[str, str]) -> None:
        """Raise ConfigError on all ranks when one of the facts differs from the first rank's.

        A fact called ``error`` is a rank's reason not to start: it is raised, once for all that have the same.
        """
        everybody = [json.loads(text) for text in self.exchange.tell(json.dumps(dict(facts)).encode())]
        for rank, theirs in enumerate(everybody):
            if error := theirs.get("error"):
                alone = any(other.get("error") != error for other in everybody)
                raise _everywhere(ConfigError(f"rank {rank}: {error}" if alone else error))
        for rank, theirs in enumerate(everybody):
            for name, value in everybody[0].items():
                if theirs.get(name) != value:
                    what = f"rank {rank} has another {name} than rank 0: {theirs.get(name)}, not {value}"
                    raise _everywhere(ConfigError(what, mend="give all ranks the same code, data and options"))

    def advise(self, text: str) -> None:
        """What every rank tells people when all end early: how to go on. For one rank alone."""
        self._watch.advise(text)

    def end(self, reason: str) -> None:
        """End this process, and with it those of all ranks, saying why. For one rank alone."""
        self._watch.end(reason)

    def leave(self) -> None:
        """Wait until the work of all ranks is done."""
        self._watch.leave()


@contextlib.contextmanager
def linked(ranks: Ranks) -> Iterator[Links | None]:
    """The links of a process that is one of several, None of one that is alone.

    An error that leaves the block ends all ranks, and the process waits for the others at its very end. Raises
    RuntimeSetupError where the ranks do not find each other.
    """
    if ranks.alone:
        yield None
        return
    die_with_launcher(signal.SIGKILL)  # one that is stopped, too: nobody else knows of it yet
    links = meet(ranks)
    atexit.register(links.leave)  # behind whatever else a process does at its end
    links.advise("Start the command again.")  # until there is a checkpoint
    die_with_launcher(signal.SIGTERM)  # training writes a checkpoint
    try:
        yield links
    except YoloError as error:
        if not error.everywhere:
            links.end(str(error))
        links.advise(str(error))  # it is said when all have left, or where one is lost before
        raise
    except Interrupted:
        raise  # agreed upon
    except BaseException as error:
        if not isinstance(error, OSError | KeyboardInterrupt):
            traceback.print_exc()
        links.end(f"{type(error).__name__}: {error}")


@contextlib.contextmanager
def agreed(links: Links | None) -> Iterator[dict[str, str]]:
    """What the ranks must have in common is put into the dict that this gives, by names for people.

    After the block every rank has seen that the others' is the same; an error that one or all of them ran into is
    raised by all.
    """
    facts: dict[str, str] = {}
    try:
        yield facts
    except YoloError as error:
        if links is None:
            raise
        links.agree({"error": str(error)})
    if links is not None:
        links.agree(facts)


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


def meet(ranks: Ranks) -> Links:
    """Find the other ranks at the port behind the launcher's; raises RuntimeSetupError, saying what to type."""
    host, port = os.environ.get("MASTER_ADDR", "127.0.0.1"), int(os.environ.get("MASTER_PORT", "29500"))
    try:
        if ranks.first:
            _refuse_taken(port)
        return Links(ranks, native.Meeting(host, port + 1, ranks.rank, ranks.count, MEETING_SECONDS))
    except (RuntimeError, OSError) as error:
        mend = "start all ranks with the same --master_addr and --master_port, and let no firewall stand between them"
        if "in use" in str(error):
            mend = f"give another one: python -m oneflow.distributed.launch --master_port {port + 1000} …"
        refusal = RuntimeSetupError(str(error), where="ranks", mend=mend)
        refusal.own = True
        raise refusal from error


def _refuse_taken(port: int) -> None:
    """OneFlow ends the process when its port is taken, with many lines: look before."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise OSError(f"port {port}: {error.strerror}") from error

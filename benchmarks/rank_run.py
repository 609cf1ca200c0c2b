"""A training run of two ranks that something may be done to."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.launched import ROOT, free_port
from yolo.models.weights.load import load_weights

ENDS_WITHIN = 60.0
"""Seconds in which all processes have to be gone."""


class RankRun:
    """Started with the train command's words; ``folder`` is where it puts its results.

    ``program``: what runs the train command, as the launcher's words.
    """

    def __init__(
        self, argv: Sequence[str], folder: Path, ranks: int = 2, program: Sequence[str] = ("-m", "yolo.train")
    ) -> None:
        self.folder, self._argv, self._ranks = folder, list(argv), ranks
        self._begin = time.monotonic()
        self._stderr = tempfile.TemporaryFile("a+")  # noqa: SIM115
        self._filler = folder.parent / "filler"
        launcher = [sys.executable, "-m", "oneflow.distributed.launch", "--nproc_per_node", str(ranks)]
        self._launcher = subprocess.Popen(
            [*launcher, "--master_port", str(free_port()), *program, *argv],
            env={**os.environ, "PYTHONPATH": str(ROOT), "RANK_RUN": self._mark()},
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            start_new_session=True,
        )

    @property
    def launcher(self) -> int:
        """Its process, and that of its group."""
        return self._launcher.pid

    @property
    def code(self) -> int | None:
        return self._launcher.poll()

    def text(self) -> str:
        """What it has said on stderr."""
        self._stderr.seek(0)
        return self._stderr.read()

    def wait_for_checkpoint(self) -> float:
        """Seconds from the start to the first checkpoint, or to the end."""
        self._wait_for(lambda: (self.folder / "weights/last.safetensors").exists())
        return time.monotonic() - self._begin

    def wait_for_saving(self) -> None:
        """Until a checkpoint is being written, or the end."""
        self._wait_for(lambda: any((self.folder / "weights").glob(".*")))

    def wait(self, seconds: float) -> float | None:
        """Seconds from now until no process is left; None when that takes more than ``seconds``."""
        begin = time.monotonic()
        while time.monotonic() - begin < seconds:
            if self.code is not None and not self.processes():
                return time.monotonic() - (begin if seconds == ENDS_WITHIN else self._begin)
            time.sleep(0.2)
        return None

    def process(self, rank: int) -> int | None:
        """The process of a rank; waits until it is there, unless the run is over."""
        found: list[int] = []
        self._wait_for(lambda: found.extend(self.processes(rank)) or bool(found))
        return found[0] if found else None

    def processes(self, rank: int | None = None) -> list[int]:
        """Processes of this run that a launcher gave a rank; of that rank alone."""
        wanted = {f"RANK_RUN={self._mark()}".encode()} | ({f"RANK={rank}".encode()} if rank is not None else set())
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = set((process / "environ").read_bytes().split(b"\0"))
                if wanted <= words and any(word.startswith(b"LOCAL_RANK=") for word in words):
                    found.append(int(process.name))
        return found

    def fill(self, process: int, size: int) -> None:
        """Leave no room on the run's disk of ``size`` bytes; 0: let the process write no file beyond 4 KiB."""
        if not size:
            resource.prlimit(process, resource.RLIMIT_FSIZE, (4096, 4096))
            return
        with contextlib.suppress(OSError), open(self._filler, "wb", buffering=0) as filler:
            for block in (1 << 16, 1 << 12):
                with contextlib.suppress(OSError):
                    while filler.write(bytes(block)) == block:
                        pass

    def empty(self) -> None:
        """Make room again."""
        self._filler.unlink(missing_ok=True)

    def again(self, program: Sequence[str] = ("-m", "yolo.train")) -> RankRun:
        """The run that goes on: with --resume when this one has written down what it is, else from the start."""
        known = (self.folder / "opt.yaml").exists()
        return RankRun(["--resume", str(self.folder)] if known else self._argv, self.folder, self._ranks, program)

    def clear(self, *, processes: bool = False) -> None:
        """End what is left, and without ``processes`` remove what it has written, too."""
        for process in [*self.processes(), *([self._launcher.pid] if self.code is None else [])]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._launcher.wait()
        self.empty()
        if not processes:
            subprocess.run(["rm", "-rf", str(self.folder)], check=True)

    def _wait_for(self, moment: Callable[[], bool]) -> None:
        while self.code is None and not moment():
            time.sleep(0.001)

    def _mark(self) -> str:
        return f"{os.getpid()} {self._begin}"


def resumed(run: RankRun, whole: Path) -> bool:
    """Let the run go on to its end; whether weights and results are those of the uninterrupted one."""
    again = run.again()
    if again.wait(ENDS_WITHIN * 4) is None or again.code:
        print(again.text(), file=sys.stderr)
        again.clear(processes=True)
        return False
    return equal(run.folder, whole)


def equal(run: Path, whole: Path) -> bool:
    """Whether two runs have left the same weights and results."""
    ours, theirs = (load_weights(folder / "weights/last.safetensors").model for folder in (run, whole))
    same = ours.keys() == theirs.keys() and all(ours[name].tobytes() == theirs[name].tobytes() for name in ours)
    return same and (run / "results.csv").read_text() == (whole / "results.csv").read_text()

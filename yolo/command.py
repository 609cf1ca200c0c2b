"""What the commands share: reading options, errors in one line, results on stdout, folders for runs."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import json
import logging
import os
import re
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from yolo.config.options import parse
from yolo.distributed.launcher import LastWord
from yolo.errors import ConfigError, DataError, Interrupted, YoloError
from yolo.io.files import is_temporary
from yolo.stops import Stop, let_through

SCHEMA_VERSION = 1
_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EACCES, errno.EROFS, errno.EDQUOT, errno.EPERM})
_OF_NAMES = frozenset({errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP})
_IN_THE_WAY = "move what is in the way elsewhere, or choose another place"
_INTERRUPTED = "Interrupted"
_STAGES = {"preprocess": "pre-process", "nms": "NMS"}
_READER_GONE = 128 + signal.SIGPIPE


class _Terminated(KeyboardInterrupt):
    """SIGTERM, taken as Ctrl-C is."""

    code = 128 + signal.SIGTERM


def run_command(
    program: str, config_class: type, action: Callable[[Any], dict], argv: Sequence[str] | None = None
) -> int:
    """Parse ``argv``, run ``action(config)``, print its result with ``--json``; give the exit code.

    What went wrong is an object too with ``--json``: ``error`` with kind, message, where and mend, and ``exit_code``.
    A YoloError, a failing disk or a lack of memory is one line on stderr and 2 (a training that diverged 3); Ctrl-C is
    130, SIGTERM 143, a pipe that nobody reads any more 141. Of several ranks the first one speaks.
    """
    log_to_stderr()
    with _stops_answered():
        return _run(program, config_class, action, argv)


def _run(program: str, config_class: type, action: Callable[[Any], dict], argv: Sequence[str] | None) -> int:
    argv, last = sys.argv[1:] if argv is None else argv, LastWord()
    try:
        try:
            with let_through():  # what came while the command's modules were loaded
                _act(program, config_class, action, argv)
        except (YoloError, OSError, MemoryError, KeyboardInterrupt) as error:
            failure = _Failure.of(error)
            if failure is None:
                raise
            as_json = any(len(word) > 2 and "--json".startswith(word) for word in argv)
            say = functools.partial(failure.tell, program, as_json=as_json)
            # Who stops a run stops its launcher, which is told of the checkpoint meanwhile.
            if failure.kind != _INTERRUPTED:
                last.leave(say if failure.said_here else None)
            elif failure.said_here:
                say()
            return failure.code
    except BrokenPipeError:
        if not _nobody_reads_stdout():
            raise
        _give_stdout_up()
        return _READER_GONE
    return 0


def _act(program: str, config_class: type, action: Callable[[Any], dict], argv: Sequence[str]) -> None:
    config = parse(config_class, argv, program)
    if not _first():
        hush(getattr(config, "log_ranks", ()))
    result = action(config)
    if config.json and _first():
        _print_json(program, result)
    print(end="", flush=True)


def _print_json(program: str, content: dict) -> None:
    command = program.rsplit(".", 1)[-1]
    print(json.dumps({"schema_version": SCHEMA_VERSION, "command": command, **content}), flush=True)


def _first() -> bool:
    """Whether this process is the first rank, or alone."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


@dataclasses.dataclass(frozen=True)
class _Failure:
    """What ended a command that is not a mistake of ours."""

    kind: str
    message: str
    code: int = 2
    where: object = None
    hint: str | None = None
    said_here: bool = True
    """Whether it is for this process to say."""

    @classmethod
    def of(cls, error: BaseException) -> _Failure | None:
        """None for a mistake of ours."""
        kind = type(error).__name__
        if isinstance(error, YoloError):
            # What is wrong on one machine alone is said there, once.
            here = error.own or (not error.everywhere and os.environ.get("LOCAL_RANK", "0") == "0")
            return cls(kind, str(error), error.code, error.where, error.hint, _first() or here)
        if isinstance(error, MemoryError):
            hint = "lower --imgsz or --batch-size"
            return cls(kind, f"not enough memory ({error}); {hint}", hint=hint)
        if isinstance(error, OSError):
            return cls._of_disk(error)
        if isinstance(error, Interrupted | _Terminated):
            text = str(error) if isinstance(error, Interrupted) else "interrupted"
            return cls(_INTERRUPTED, text, error.code, said_here=_first())
        return cls(_INTERRUPTED, "interrupted", 130, said_here=_first())

    @classmethod
    def _of_disk(cls, error: OSError) -> _Failure | None:
        # Of what was to be renamed the second name is the one that the user knows; of a temporary one its folder.
        kind, place = type(error).__name__, error.filename2 or error.filename or "disk"
        place = os.path.dirname(place) or "." if is_temporary(place) else place
        if error.errno in _OF_THE_DISK:
            return cls(kind, f"{place}: {error.strerror}", where=place)
        if error.errno not in _OF_NAMES:
            return None
        return cls(kind, f"{place}: {error.strerror}; {_IN_THE_WAY}", where=place, hint=_IN_THE_WAY)

    def tell(self, program: str, *, as_json: bool) -> None:
        """One line on stderr, and with ``--json`` one object on stdout."""
        print(f"{program}: {self.message}", file=sys.stderr)
        if as_json and (_first() or os.environ.get("LOCAL_RANK", "0") == "0"):
            where = None if self.where is None else str(self.where)
            error = {"kind": self.kind, "message": self.message, "where": where, "mend": self.hint}
            try:
                _print_json(program, {"error": error, "exit_code": self.code})
            except BrokenPipeError:
                raise
            except OSError:  # stdout is what is full
                _give_stdout_up()


def _give_stdout_up() -> None:
    with contextlib.suppress(AttributeError, OSError):  # no stdout, or one in memory
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python's end would fail on it again


def _nobody_reads_stdout() -> bool:
    with contextlib.suppress(AttributeError, OSError):  # no stdout, or one in memory
        pipe = select.poll()
        pipe.register(sys.stdout.fileno(), 0)
        return any(event & select.POLLERR for _, event in pipe.poll(0))
    return False


@contextlib.contextmanager
def _stops_answered() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the block, so that nothing half-written stays; never in the middle of an import.

    SIGTERM not for one of several ranks, which end each other; and neither where somebody else looks after it.
    """
    handlers = {signal.SIGINT: (signal.default_int_handler, KeyboardInterrupt)}
    if os.environ.get("WORLD_SIZE", "1") == "1":
        handlers[signal.SIGTERM] = (signal.SIG_DFL, _Terminated)
    ours = {}
    for number, (default, error) in handlers.items():
        if threading.current_thread() is threading.main_thread() and signal.getsignal(number) is default:
            ours[number] = Stop(error, __name__)
            signal.signal(number, ours[number])
    try:
        yield
    finally:
        for number, stop in ours.items():
            stop.close()
            signal.signal(number, handlers[number][0])


def new_run_folder(project: str, name: str, exist_ok: bool) -> Path:
    """Create and give PROJECT/NAME, or PROJECT/NAME2, NAME3, … when it is taken."""
    base = Path(project) / name
    try:
        if exist_ok:
            base.mkdir(parents=True, exist_ok=True)
            return base
        base.parent.mkdir(parents=True, exist_ok=True)
        return _first_free(base)
    except (FileExistsError, NotADirectoryError) as error:
        raise ConfigError("is a file, not a folder", where=error.filename, hint="choose another --project") from error
    except FileNotFoundError as error:
        raise ConfigError(
            "no folder can be made there", where=error.filename, hint="choose another --project"
        ) from error


def _first_free(base: Path) -> Path:
    """Make ``base``, or it with the number after the highest there is; two runs started together get two folders."""
    pattern = re.compile(re.escape(base.name) + r"(\d+)")
    while True:
        taken = [int(m[1]) for m in map(pattern.fullmatch, (entry.name for entry in base.parent.iterdir())) if m]
        folder = base.with_name(f"{base.name}{max([1, *taken]) + 1}") if base.exists() else base
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder


def remove_if_empty(folder: Path) -> None:
    """Take a run folder away again when nothing was written into it."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def require_source(value: str, flag: str) -> str:
    """Raise DataError when an option that names an input is empty."""
    if not value:
        raise DataError("nothing to work on", where=flag, hint="name the folder with the annotations")
    return value


def speed_line(speed_ms: Mapping[str, float]) -> str:
    """Milliseconds an image by stage, in words."""
    parts = ", ".join(f"{value:.1f} ms {_STAGES.get(name, name)}" for name, value in speed_ms.items())
    return f"speed per image: {parts}"


def hush(talkative: Sequence[int]) -> None:
    """Say nothing on a rank that is not the first, or, on one that is asked for, everything with its number."""
    rank, logger = int(os.environ["RANK"]), logging.getLogger("yolo")
    if rank not in talkative:
        logger.setLevel(logging.CRITICAL)
    for handler in logger.handlers:
        handler.setFormatter(logging.Formatter(f"[rank {rank}] %(message)s"))


def log_to_stderr() -> None:
    """Send the package's messages to stderr, once, as plain lines."""
    logger = logging.getLogger("yolo")
    logger.setLevel(logging.INFO)
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.propagate = False

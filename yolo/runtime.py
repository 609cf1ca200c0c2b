"""Brings OneFlow up once: right version, right libraries, quiet logs, a device it has code for."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import importlib.util
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from yolo import cuda, no_cuda
from yolo.distributed.ranks import ALONE, Ranks
from yolo.errors import RuntimeSetupError
from yolo.stops import held

ONEFLOW_VERSION = "0.9.0"
logger = logging.getLogger("yolo")
# The wheel holds device code for these and no PTX, so a newer GPU cannot run its kernels.
CUDA_CAPABILITIES = ((6, 0), (6, 1), (7, 0), (7, 5), (8, 0), (8, 6), (8, 9))
# These two bring in the rest of cuBLAS and cuDNN through their own RPATH.
CUDA_LIBRARIES = (("cublas", "libcublas.so.11"), ("cudnn", "libcudnn_cnn_train.so.8"))
# Room for a struct sigaction of any processor.
_SIGACTION_BYTES = 256
# A second thread must not take OneFlow half imported. The same thread may come again while it imports: see `_start`.
_STARTING = threading.RLock()


def start() -> ModuleType:
    """Import OneFlow, checked and quiet, and give the module; later calls cost nothing.

    Raises RuntimeSetupError naming what is missing and what to type.
    """
    require_own_process()
    with _STARTING:
        return _start()


def _start() -> ModuleType:
    if "oneflow" in sys.modules:
        _require_whole(sys.modules["oneflow"])
        _warn_of_unsafe_queue()
        _load_operator()
        return sys.modules["oneflow"]
    _check_version()
    ctypes.CDLL(_built("_graph_queue"), mode=ctypes.RTLD_GLOBAL)
    lazily = contextlib.nullcontext()
    if no_cuda.stand_in(Path(_built("_stand_in")), _wheel().with_name("oneflow.libs")):
        lazily = no_cuda.bound_when_called()
    else:
        _preload_cuda_libraries()
    # Read by OneFlow's logger at load time; 3 leaves only fatal lines.
    os.environ.setdefault("GLOG_minloglevel", "3")
    _home()
    try:
        with held(), _interrupt_kept(), _silenced_stderr(), lazily:
            import oneflow
    except ImportError as error:
        raise RuntimeSetupError(f"OneFlow {ONEFLOW_VERSION} does not load: {error}", hint="run: make setup") from error
    _load_operator()
    return oneflow


def _require_whole(flow: ModuleType) -> None:
    """Raise RuntimeSetupError where importing OneFlow led back here: a script named as a module that it needs does."""
    if getattr(flow.__spec__, "_initializing", False):
        hint = "is one of your files named like a module of Python's library (numbers.py, random.py)? rename it"
        raise RuntimeSetupError("OneFlow is asked for in the middle of its own import", hint=hint)


@functools.lru_cache(maxsize=1)
def _home() -> int:
    """The process in which OneFlow was started: the one that asks first, or 0 where OneFlow's threads are gone.

    That is in a fork's child of a process that imported OneFlow itself.
    """
    gone = "oneflow" in sys.modules and len(os.listdir("/proc/self/task")) == 1
    return 0 if gone else os.getpid()


def in_own_process() -> bool:
    """False where OneFlow was started before this process was forked.

    OneFlow's threads are not in a fork's child: whoever asks them for something waits for ever.
    """
    return _home() == os.getpid()


def require_own_process() -> None:
    """Raise RuntimeSetupError where OneFlow was started before this process was forked."""
    if "oneflow" in sys.modules and not in_own_process():
        hint = "start processes by 'spawn', or use a compiled detector's file (python -m yolo.export)"
        raise RuntimeSetupError("OneFlow does not run in a fork's child", hint=hint)


def select_device(device: str = "", ranks: Ranks = ALONE, *, compile: str = "program") -> str:
    """Give "cpu" or "cuda:N" for a ``--device`` value: "" (whatever is there), "cpu", or CUDA indices such as "0,1".

    A GPU is one that compiled programs run on, or, with ``compile`` "off" or without them, one that OneFlow has code
    for. One of several ranks gets the GPU at its place among the ranks of its machine, in the list or of all; N is that
    place. Call it before OneFlow starts: a process sees the GPUs that it saw then. Raises RuntimeSetupError when a GPU
    is asked for that is absent or that nothing here can run on.
    """
    wanted = named = _named(device)
    if named != "cpu" and not ranks.alone:
        wanted = _of_rank(named, device, ranks.local)
    flow = start()
    if named == "cpu":
        return "cpu"
    programs = compile != "off" and cuda.module() is not None
    if not flow.cuda.is_available() and not (programs and cuda.unavailable() is None):
        if named:
            raise _no_gpu(cuda.unavailable() if programs else _unseen_by_oneflow(), device)
        return "cpu"
    index = _index(wanted, device)
    if programs and cuda.unavailable(index) is None:
        return _told(index)
    if not flow.cuda.is_available():
        raise _no_gpu(cuda.unavailable(index), device)
    check_capability(_cuda_capability(index), index)
    return f"cuda:{index}"


def program_device(device: str = "") -> str:
    """The same for compiled programs that run without OneFlow."""
    named = _named(device)
    if named == "cpu" or (not named and cuda.unavailable() is not None):
        return "cpu"
    index = _index(named, device)
    reason = cuda.unavailable(index)
    if reason is not None:
        raise _no_gpu(reason, device)
    return _told(index)


def _told(index: int) -> str:
    """A GPU's name, after a line that says which one it is."""
    logger.info("cuda:%d: %s", index, cuda.module().description(index))
    return f"cuda:{index}"


def _named(device: str) -> str:
    return device.strip().lower().removeprefix("cuda:")


def _no_gpu(reason: str, device: str) -> RuntimeSetupError:
    hint = None if "--device cpu" in reason else "use --device cpu"
    return RuntimeSetupError(reason, where=f"--device {device}", hint=hint)


def _unseen_by_oneflow() -> str:
    """Why there is no GPU for plain modules."""
    compiled = cuda.module() is not None and cuda.unavailable() is None
    return "no CUDA GPU is visible to OneFlow" + (": --compile off is for GPUs that it has code for" * compiled)


def _index(wanted: str, device: str) -> int:
    if "," in wanted:
        hint = f"start with python -m oneflow.distributed.launch --nproc_per_node {wanted.count(',') + 1}, or name one"
        raise RuntimeSetupError("several GPUs need one process each", where=f"--device {device}", hint=hint)
    if wanted not in ("", "cuda") and not wanted.isdecimal():
        raise _no_device(device)
    return int(wanted) if wanted.isdecimal() else 0


def _of_rank(wanted: str, device: str, place: int) -> str:
    """This rank's GPU, as a number among those that the machine's ranks see: from now on those in the list."""
    if wanted in ("", "cuda"):
        return str(place)
    indices = [part.strip() for part in wanted.split(",")]
    if not all(index.isdecimal() for index in indices) or len(set(indices)) < len(indices):
        raise _no_device(device)
    if place >= len(indices):
        raise RuntimeSetupError(
            f"{len(indices)} GPUs are named, and this is process {place + 1} of its machine",
            where=f"--device {device}",
            hint="name one for each process",
        )
    if "oneflow" not in sys.modules:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        every = list(map(str, range(max(map(int, indices)) + 1)))
        known = every if seen is None else [name for name in seen.split(",") if name]  # an empty one hides all
        if int(max(indices, key=int)) >= len(known):
            raise RuntimeSetupError(f"there are {len(known)} GPUs", where=f"--device {device}", hint="see nvidia-smi")
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(known[int(index)] for index in indices)
    return str(place)


def _no_device(device: str) -> RuntimeSetupError:
    return RuntimeSetupError("is not a device", where=f"--device {device}", hint="name cpu or CUDA indices such as 0,1")


def check_capability(capability: tuple[int, int], index: int = 0) -> None:
    """Raise RuntimeSetupError when OneFlow's wheel holds no code for this compute capability."""
    if capability not in CUDA_CAPABILITIES:
        known = ", ".join(f"{major}.{minor}" for major, minor in CUDA_CAPABILITIES)
        raise RuntimeSetupError(
            f"GPU {index} has compute capability {capability[0]}.{capability[1]}; OneFlow {ONEFLOW_VERSION} "
            f"has code for {known} only",
            hint="make cuda builds programs for newer ones; or use another GPU, or --device cpu",
        )


def _check_version() -> None:
    import importlib.metadata  # brings the parser of e-mail with it

    try:
        version = importlib.metadata.version("oneflow")
    except importlib.metadata.PackageNotFoundError:
        raise RuntimeSetupError("OneFlow is not installed", hint="run: make setup") from None
    if version != ONEFLOW_VERSION:
        raise RuntimeSetupError(
            f"OneFlow {version} is installed; this project needs {ONEFLOW_VERSION} exactly",
            hint=f"run: pip install oneflow=={ONEFLOW_VERSION}",
        )


@contextlib.contextmanager
def _interrupt_kept() -> Iterator[None]:
    """Keep the handler of Ctrl-C: OneFlow's library puts one of its own there, which ends the process at once.

    The C library does it, since Python sets handlers in its main thread only.
    """
    libc, former = ctypes.CDLL(None), ctypes.create_string_buffer(_SIGACTION_BYTES)
    libc.sigaction(signal.SIGINT, None, former)
    try:
        yield
    finally:
        libc.sigaction(signal.SIGINT, former, None)


def _built(library: str) -> str:
    """The path of a compiled library: `_graph_queue`, which mends OneFlow's queue of running graphs, or `_stand_in`."""
    spec = importlib.util.find_spec(f"yolo.{library}")
    if spec is None or spec.origin is None:
        raise RuntimeSetupError("the compiled libraries are not built", where=f"yolo.{library}", hint="run: make build")
    return spec.origin


def _wheel() -> Path:
    """OneFlow's folder."""
    return Path(importlib.util.find_spec("oneflow").submodule_search_locations[0])


def _warn_of_unsafe_queue() -> None:
    """Warn when OneFlow was loaded without that library: it cannot be mended afterwards."""
    try:
        ctypes.CDLL(_built("_graph_queue"), mode=os.RTLD_NOLOAD)
    except OSError:
        warnings.warn(
            "oneflow was imported before yolo started it: very short graphs may crash this process (a race in OneFlow "
            f"{ONEFLOW_VERSION}); import yolo and call yolo.runtime.start() first",
            stacklevel=3,
        )


def _load_operator() -> None:
    """Add the operator yolo_run to OneFlow; early, because its registry is not made for changes while operators run."""
    name, hint = "yolo._oneflow", "run: make build"
    try:
        plug_in = importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise RuntimeSetupError("the compiled libraries are not built", where=name, hint=hint) from error
    except ImportError as error:
        raise RuntimeSetupError(f"does not fit the installed OneFlow: {error}", where=name, hint=hint) from error
    if plug_in.oneflow_version != ONEFLOW_VERSION:
        raise RuntimeSetupError(f"was built for OneFlow {plug_in.oneflow_version}", where=name, hint=hint)


def _preload_cuda_libraries() -> None:
    """Load cuBLAS and cuDNN from wherever pip put them, so that nobody sets LD_LIBRARY_PATH.

    OneFlow's CPU build path links against them too.
    """
    for package, library in CUDA_LIBRARIES:
        path = _find_library(package, library)
        try:
            ctypes.CDLL(str(path or library), mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            raise RuntimeSetupError(
                f"{library} cannot be loaded ({error})",
                hint=f"run: pip install nvidia-{package}-cu11" + ("<9" if package == "cudnn" else ""),
            ) from error


def _find_library(package: str, library: str) -> Path | None:
    spec = importlib.util.find_spec("nvidia")
    for root in spec.submodule_search_locations or () if spec else ():
        candidate = Path(root) / package / "lib" / library
        if candidate.is_file():
            return candidate
    return None


def _cuda_capability(index: int) -> tuple[int, int]:
    """Ask the CUDA driver for a device's compute capability (attributes 75 and 76)."""
    driver = ctypes.CDLL("libcuda.so.1")
    driver.cuInit(0)
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    if driver.cuDeviceGet(ctypes.byref(device), index) != 0:
        raise RuntimeSetupError(f"there is no GPU {index}", hint="see nvidia-smi for the GPUs there are")
    driver.cuDeviceGetAttribute(ctypes.byref(major), 75, device)
    driver.cuDeviceGetAttribute(ctypes.byref(minor), 76, device)
    return major.value, minor.value


@contextlib.contextmanager
def _silenced_stderr():
    """Hide what C++ prints on file descriptor 2 while OneFlow loads (its InfiniBand notice)."""
    sys.stderr.flush()
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


@functools.lru_cache(maxsize=1)
def machine() -> str:
    """One line that names this machine: processor, cores, memory."""
    model = "unknown processor"
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as stream:
        model = next((line.split(":", 1)[1].strip() for line in stream if line.startswith("model name")), model)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB"

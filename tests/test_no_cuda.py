"""Empty libraries in place of CUDA's."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from yolo import no_cuda, runtime

NEEDS_NO_DRIVER = pytest.mark.skipif(not no_cuda.driver_is_absent(), reason="this machine has CUDA's driver")
SCRIPT = """
import json, sys
from yolo import runtime
flow = runtime.start()
from graphs.base import StaticGraph

class Double(StaticGraph):
    def build(self, x):
        return flow.nn.functional.conv2d(x, flow.ones(1, 1, 1, 1)) * 2.0

with open("/proc/self/maps") as stream:
    files = {line.split(maxsplit=5)[5].strip() for line in stream if len(line.split()) > 5}
value = Double()(flow.ones(1, 1, 2, 2)).numpy().sum().item()
print(json.dumps([value, flow.cuda.is_available(), sorted(files), sys.getdlopenflags()]))
"""


def started(**environment: str) -> tuple[float, bool, list[str], int]:
    """A graph's value, whether there is a GPU, the files of the process's memory and how it loads modules."""
    root, env = Path(__file__).parents[1], {**os.environ, **environment}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, cwd=root, env=env
    )
    assert (done.returncode, done.stderr) == (0, "")
    return tuple(json.loads(done.stdout))


def cuda_files(files: list[str]) -> list[str]:
    return [file for file in files if "libcu" in file or "libcudnn" in file or "libnccl" in file]


@NEEDS_NO_DRIVER
def test_none_of_cuda_s_libraries_is_loaded() -> None:
    value, gpu, files, flags = started()
    assert (value, gpu, flags) == (8.0, False, sys.getdlopenflags())
    assert len(cuda_files(files)) > len(no_cuda.NAMES) and all(
        map("/memfd:".__eq__, (f[:7] for f in cuda_files(files)))
    )


@NEEDS_NO_DRIVER
def test_who_wants_all_functions_at_once_gets_the_real_ones() -> None:
    value, gpu, files, _ = started(LD_BIND_NOW="1")
    assert (value, gpu) == (8.0, False) and not any(file.startswith("/memfd:") for file in cuda_files(files))


def test_where_nothing_can_be_loaded_from_memory_nothing_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> int:
        raise PermissionError(name)

    monkeypatch.setattr(os, "memfd_create", refuse)
    assert not no_cuda.stand_in(Path(runtime._built("_stand_in")), tmp_path)


def test_a_driver_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.delenv("LD_BIND_NOW", raising=False)
    monkeypatch.setattr(ctypes, "CDLL", asked.append)
    assert not no_cuda.driver_is_absent() and asked == ["libcuda.so.1"]


@NEEDS_NO_DRIVER
def test_each_has_its_own_name(tmp_path: Path) -> None:
    """Of the wheel's folder only CUDA's libraries are taken; a library that is loaded twice is one by its name."""
    for name in ("libcutlass-1a2b.so", "libnppc-3c4d.so.11.7.4.75", "libprotobuf-5e6f.so.3.9.2.0"):
        (tmp_path / name).touch()
    assert no_cuda.stand_in(Path(runtime._built("_stand_in")), tmp_path)
    for name in ("libcutlass-1a2b.so", "libnppc-3c4d.so.11.7.4.75"):
        ctypes.CDLL(name, mode=os.RTLD_NOLOAD)
    with pytest.raises(OSError, match="libprotobuf-5e6f"):
        ctypes.CDLL("libprotobuf-5e6f.so.3.9.2.0", mode=os.RTLD_NOLOAD)

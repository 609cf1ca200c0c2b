"""OneFlow comes up quietly, or one line says what is missing."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from yolo import runtime
from yolo.distributed.ranks import Ranks
from yolo.errors import RuntimeSetupError

# Presses Ctrl-C while OneFlow is loaded, before and behind the moment at which it takes the signal for itself.
INTERRUPTED = """
import signal, sys
from yolo import runtime

class Press:
    def find_spec(self, name, path=None, target=None):
        if name in ("oneflow._oneflow_internal", "oneflow.framework.env_util", "oneflow.nn.modules.linspace"):
            pressed.append(name)
            signal.raise_signal(signal.SIGINT)

pressed = []
sys.meta_path.insert(0, Press())
try:
    runtime.start()
except KeyboardInterrupt:
    print("interrupted", len(pressed))
flow = runtime.start()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted", float(flow.ones(3).sum().numpy()))
"""
START = """
import signal, sys, threading
from yolo import runtime
found = []
def work():
    found.append(runtime.start().ones)  # there, however far another thread's import is
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
flow = runtime.start()
assert flow is sys.modules["oneflow"] and found == [flow.ones] * 4
assert float(flow.ones(3).sum().numpy()) == 3.0
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.fixture
def not_started(monkeypatch):
    """As if OneFlow had not been imported yet."""
    monkeypatch.setattr(runtime, "sys", SimpleNamespace(modules={}, stderr=sys.stderr))


@pytest.fixture
def gpu(monkeypatch):
    """Give a function that makes OneFlow see GPUs of these compute capabilities."""

    def install(*capabilities):
        fake = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: bool(capabilities)))
        monkeypatch.setattr(runtime, "start", lambda: fake)
        monkeypatch.setattr(runtime, "_cuda_capability", lambda index: capabilities[index])

    return install


def test_it_starts_in_threads_without_a_word_and_without_a_library_path():
    """Also at once, and Ctrl-C is still the main thread's."""
    environment = {k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "GLOG_minloglevel")}
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", START], capture_output=True, text=True, env=environment, timeout=120, cwd=root
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


def test_ctrl_c_stays_pythons():
    """OneFlow's library takes the signal for itself and ends the process; before, its import fails in another way."""
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=120, cwd=root)
    assert (done.returncode, done.stdout) == (0, "interrupted 3\ninterrupted 3.0\n"), done.stderr


def test_another_version_is_refused(not_started, monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "0.8.0")
    with pytest.raises(RuntimeSetupError, match=r"0\.8\.0.*needs 0\.9\.0.*pip install oneflow==0\.9\.0"):
        runtime.start()


def test_no_oneflow_at_all(not_started, monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    with pytest.raises(RuntimeSetupError, match="OneFlow is not installed; run: make setup"):
        runtime.start()


def test_a_script_that_oneflow_imports_by_mistake_is_told(monkeypatch, tmp_path):
    """A file numbers.py takes the place of Python's own, so that importing OneFlow leads back to it."""
    (tmp_path / "oneflow.py").write_text("from yolo import runtime\nruntime.start()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "oneflow", raising=False)
    with pytest.raises(RuntimeSetupError, match=r"in the middle of its own import.*rename it"):
        import oneflow  # noqa: F401


@pytest.mark.parametrize(("package", "hint"), [("cublas", "nvidia-cublas-cu11"), ("cudnn", "nvidia-cudnn-cu11<9")])
def test_a_missing_library_is_named_with_the_package_that_holds_it(not_started, monkeypatch, package, hint):
    monkeypatch.setattr(runtime.no_cuda, "driver_is_absent", lambda: False)  # else nothing of CUDA's is needed
    monkeypatch.setattr(runtime, "CUDA_LIBRARIES", ((package, "libabsent.so.11"),))
    with pytest.raises(RuntimeSetupError) as caught:
        runtime.start()
    assert "libabsent.so.11 cannot be loaded" in str(caught.value)
    assert str(caught.value).endswith(f"run: pip install {hint}")


def test_libraries_are_found_where_pip_put_them(monkeypatch, tmp_path):
    library = tmp_path / "cudnn" / "lib" / "libx.so"
    library.parent.mkdir(parents=True)
    library.touch()
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path / "absent"), str(tmp_path)])
    monkeypatch.setattr(runtime.importlib.util, "find_spec", lambda _: spec)
    assert runtime._find_library("cudnn", "libx.so") == library
    assert runtime._find_library("cublas", "libx.so") is None
    monkeypatch.setattr(runtime.importlib.util, "find_spec", lambda _: None)
    assert runtime._find_library("cudnn", "libx.so") is None


@pytest.mark.parametrize("capability", [(6, 0), (6, 1), (7, 0), (7, 5), (8, 0), (8, 6), (8, 9)])
def test_capabilities_with_code(capability):
    runtime.check_capability(capability)


@pytest.mark.parametrize("capability", [(3, 5), (5, 2), (9, 0), (10, 0), (12, 0)])
def test_capabilities_without_code(capability):
    with pytest.raises(RuntimeSetupError, match=rf"GPU 1 has compute capability {capability[0]}\.{capability[1]};"):
        runtime.check_capability(capability, 1)


@pytest.mark.parametrize("device", ["", "cpu", " CPU "])
def test_without_a_gpu(gpu, device):
    gpu()
    assert runtime.select_device(device) == "cpu"


@pytest.mark.parametrize("device", ["0", "cuda:0", "cuda", "0,1", "banana"])
def test_a_gpu_that_is_not_there(gpu, device):
    gpu()
    with pytest.raises(RuntimeSetupError, match=f"--device {device}: .*use --device cpu"):
        runtime.select_device(device)


@pytest.mark.parametrize(
    ("device", "given"),
    [("", "cuda:0"), ("0", "cuda:0"), ("1", "cuda:1"), ("cuda:1", "cuda:1"), ("cuda", "cuda:0"), ("cpu", "cpu")],
)
def test_with_gpus(gpu, device, given):
    gpu((8, 6), (7, 0))
    assert runtime.select_device(device) == given


@pytest.mark.parametrize("device", ["", "0", "cuda:0"])
def test_a_gpu_that_oneflow_has_no_code_for(gpu, device):
    gpu((9, 0))
    with pytest.raises(RuntimeSetupError, match=r"compute capability 9\.0; .*--device cpu"):
        runtime.select_device(device)


def test_the_gpu_that_was_named_is_the_one_that_is_checked(gpu):
    gpu((8, 6), (9, 0))
    with pytest.raises(RuntimeSetupError, match="GPU 1 "):
        runtime.select_device("1")


def test_several_gpus_of_one_process_are_refused(gpu):
    gpu((8, 6), (8, 6))
    with pytest.raises(
        RuntimeSetupError, match=r"--device 0,1: .* oneflow\.distributed\.launch --nproc_per_node 2, or"
    ):
        runtime.select_device("0,1")


@pytest.mark.parametrize(
    ("device", "seen", "local", "given", "sees"),
    [
        ("", None, 1, "cuda:1", None),
        ("cuda", "4,5", 1, "cuda:1", "4,5"),
        ("0,1", None, 0, "cuda:0", "0,1"),
        ("0,1", None, 1, "cuda:1", "0,1"),
        ("1,0", None, 1, "cuda:1", "1,0"),
        ("cuda:1, 2", "6,5,4", 0, "cuda:0", "5,4"),
        ("1", "GPU-a,GPU-b", 0, "cuda:0", "GPU-b"),
        ("cpu", None, 1, "cpu", None),
    ],
)
def test_each_rank_has_a_gpu(gpu, not_started, monkeypatch, device, seen, local, given, sees):
    gpu((8, 6), (7, 0))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if seen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
    assert runtime.select_device(device, Ranks(local + 2, 4, local)) == given
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == sees


def test_what_a_process_sees_is_decided_once(gpu, monkeypatch):
    gpu((8, 6), (7, 0))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,4")
    assert runtime.select_device("1,2", Ranks(1, 2, 1)) == "cuda:1"  # OneFlow is there
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5,4"


@pytest.mark.parametrize(
    ("device", "local", "said"),
    [
        ("0,1", 2, "2 GPUs are named, and this is process 3 of its machine; name one for each process"),
        ("0,0", 1, "is not a device; name cpu or CUDA indices such as 0,1"),
        ("0,x", 1, "is not a device"),
        ("0,", 1, "is not a device"),
        ("0,7", 1, "there are 2 GPUs; see nvidia-smi"),
    ],
)
def test_gpus_that_ranks_cannot_have(gpu, not_started, monkeypatch, device, local, said):
    gpu((8, 6), (7, 0))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,4")
    with pytest.raises(RuntimeSetupError, match=f"--device {device}: {said}"):
        runtime.select_device(device, Ranks(local, 4, local))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5,4"


def test_hidden_gpus_stay_hidden(gpu, not_started, monkeypatch):
    gpu((8, 6), (7, 0))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(RuntimeSetupError, match="--device 0,1: there are 0 GPUs"):
        runtime.select_device("0,1", Ranks(0, 2, 0))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_ranks_without_a_gpu(gpu):
    gpu()
    assert runtime.select_device("", Ranks(1, 2, 1)) == "cpu"
    with pytest.raises(RuntimeSetupError, match="--device 0,1: no CUDA GPU is visible"):
        runtime.select_device("0,1", Ranks(1, 2, 1))


@pytest.mark.parametrize("device", ["banana", "-1", "1.5", "²", "cuda:x"])
def test_a_device_that_is_no_device_is_refused(gpu, device):
    gpu((8, 6), (8, 6))
    with pytest.raises(RuntimeSetupError, match=f"--device {device}"):
        runtime.select_device(device)


def test_only_the_time_of_loading_is_silent(capfd):
    with pytest.raises(ValueError), runtime._silenced_stderr():
        os.write(2, b"hidden")
        raise ValueError
    os.write(2, b"seen")
    assert capfd.readouterr().err == "seen"


def test_silencing_leaves_no_descriptor_open():
    before = len(os.listdir("/proc/self/fd"))
    with runtime._silenced_stderr():
        pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_machine_in_one_line():
    line = runtime.machine()
    assert len(line.splitlines()) == 1
    assert f", {len(os.sched_getaffinity(0))} cores, " in line

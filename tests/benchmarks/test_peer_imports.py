"""The peers' Python, which cannot load this project's native libraries, can import what it is to run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.places import ROOT
from tests.benchmarks.peer_imports import FRAMEWORKS, imported
from tests.models.pt_files import checkpoint_pickle, write_zip
from tests.models.small import small_mapping
from yolo.models.config import parse_model_config
from yolo.models.network import build_network
from yolo.models.weights.safetensors_io import save_checkpoint
from yolo.models.weights.transfer import checkpoint_of

PEERS = sorted((ROOT / "benchmarks" / "peers").glob("*.py"))
WORKERS = sorted((ROOT / "benchmarks" / "workers").glob("*.py"))
HEADS = ROOT / "tests" / "benchmarks" / "peer_heads.py"


def frameworks(file: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(file)} & set(FRAMEWORKS)


def test_what_peers_run_imports_without_native_libraries(tmp_path: Path) -> None:
    files = [*PEERS, *(file for file in WORKERS if frameworks(file)), HEADS]
    assert set().union(*map(frameworks, files)) >= {"torch", "onnx", "onnxruntime", "openvino"}
    checkpoint = checkpoint_of(build_network(parse_model_config(small_mapping(), name="small.yaml")), ("a", "b"))
    weights = [save_checkpoint(tmp_path / "x.safetensors", checkpoint)]
    weights.append(write_zip(tmp_path / "x.pt", *checkpoint_pickle(checkpoint.model, small_mapping())))
    assert refused(weights, files) == {}
    on_gpu = [file for file in files if frameworks(file) <= {"torch", "torchvision"} and file != HEADS]
    assert len(on_gpu) >= 6
    assert refused(weights, on_gpu, "requirements-peers-cuda.txt") == {}


def test_files_that_need_more_are_named(tmp_path: Path) -> None:
    lines = (
        "from yolo.native import Exchange",
        "def f():\n    import PIL",
        "import oneflow",
        "def f():\n    from yolo import _native",
    )
    files = [tmp_path / f"{number}.py" for number in range(len(lines))]
    for file, line in zip(files, lines):
        file.write_text(line)
    assert list(refused([], files)) == [str(file) for file in files]


def refused(weights: list[Path], files: list[Path], requirements: str = "requirements-peers.txt") -> dict[str, str]:
    """What could not be read or imported, with the reason."""
    packages = ROOT / "benchmarks" / requirements
    command = [sys.executable, "-m", "tests.benchmarks.peer_imports", *map(str, (packages, *weights, *files))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)

"""What a benchmark on a GPU ran on: the card and its driver, cuDNN, PyTorch.

python -m benchmarks.cuda_about [ours|peers] [cuda|host]: a JSON object of what this Python has.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from benchmarks.cuda_module import DEVICES, cudnn_folder, open_module
from benchmarks.places import PROJECT_PYTHON, ROOT

LIMIT_S = 120.0


def about(device: str, peers: Path) -> dict[str, str]:
    """The card, its driver and cuDNN; PyTorch, torchvision and packaged cuDNN of the peers. What is absent says so."""
    found = {"driver": driver(), **_asked(PROJECT_PYTHON, "ours", device)}
    return {**found, **(_asked(str(peers), "peers", device) if peers.exists() else {"torch": "absent"})}


def heading(found: Mapping[str, str]) -> str:
    """For a table, in one line."""
    return ", ".join(f"{name} {text}" if name != "card" else text for name, text in found.items())


def driver() -> str:
    """The driver's version as nvidia-smi knows it."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "unknown (no nvidia-smi)"
    command = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    return (done.stdout.strip().splitlines() or ["unknown"])[0]


def _asked(python: str, whom: str, device: str) -> dict[str, str]:
    command = [python, "-m", "benchmarks.cuda_about", whom, device]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if done.returncode == 0:
        return json.loads(done.stdout)
    last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return {"card" if whom == "ours" else "torch": f"unknown ({last[:200]})"}


def _ours(device: str) -> dict[str, str]:
    return {"card": open_module(device).description(0), "cudnn": cudnn_version() if device == "cuda" else "none"}


def cudnn_version() -> str:
    """The version that a program asking for cuDNN gets."""
    try:
        library = ctypes.CDLL(str(Path(cudnn_folder()) / "libcudnn.so.9") if cudnn_folder() else "libcudnn.so.9")
    except OSError as error:
        return f"absent ({error})"
    library.cudnnGetVersion.restype = ctypes.c_size_t
    return str(library.cudnnGetVersion())


def _peers() -> dict[str, str]:
    """By what is installed: importing PyTorch would take seconds."""
    return {name: _installed(name) for name in ("torch", "torchvision", "nvidia-cudnn-cu13")}


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"


def main() -> int:
    """Print what this Python has."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("whom", choices=("ours", "peers"))
    parser.add_argument("device", choices=DEVICES)
    options = parser.parse_args()
    print(json.dumps(_ours(options.device) if options.whom == "ours" else _peers()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

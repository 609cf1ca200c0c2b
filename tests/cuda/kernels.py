"""Operators and steps of CUDA with a line of them changed, built for the processor as csrc/cuda/host/races has them."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[2] / "csrc"
RACES = "cuda/host/races"
KERNELS = {
    "attention": ["program/cuda/attention.cu"],
    "detection": [f"ops/cuda/{name}.cu" for name in ("decode", "iou", "letterbox", "nms", "sort", "suppress")],
    "loss": ["ops/cuda/assign.cu", "ops/cuda/loss.cu"],
    "maps": [f"program/cuda/{name}.cu" for name in ("accumulate", "images", "lanes", "moves", "weights")],
    "norm": [f"program/cuda/{name}.cu" for name in ("activate", "norm", "norm_gradient")],
    "resample": [f"program/cuda/{name}.cu" for name in ("accumulate", "resample", "resample_backward")],
    "sort": ["ops/cuda/sort.cu"],
    "update": ["ops/cuda/update.cu"],
}
"""What the cases of each file run."""
RUNNERS = {
    "races": ("threads.cpp", ["-DYOLO_REAL_THREADS", "-fsanitize=thread"]),
    "addresses": ("threads.cpp", ["-DYOLO_REAL_THREADS", "-fsanitize=address"]),
    "values": ("../blocks.cpp", []),
}
"""How a block's threads run, and what watches them; "values": they take turns, and only results are looked at."""
OPTIONS = {"TSAN_OPTIONS": "halt_on_error=1", "ASAN_OPTIONS": "detect_leaks=0"}


@dataclass(frozen=True)
class Change:
    """One place of a source, and all files that have to be compiled for it (of a header, those that include it)."""

    file: str
    old: str
    new: str
    compiled: tuple[str, ...]

    def write(self, folder: Path) -> None:
        """Writes the changed copy; fails where the source no longer has the text once."""
        source = (CSRC / self.file).read_text()
        assert source.count(self.old) == 1, f"{self.file} has changed: it has not once\n{self.old}"
        (folder / self.file).parent.mkdir(parents=True)
        (folder / self.file).write_text(source.replace(self.old, self.new))


class Builder:
    """Builds programs of a group's cases, each unchanged object once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.compiler = os.environ.get("CXX") or shutil.which("g++")
        if self.compiler is None:
            pytest.skip("needs a C++ compiler")
        self.require_sanitizers()

    def require_sanitizers(self) -> None:
        """Skips the test where the compiler has no sanitizers, or none that run."""
        (self.folder / "nothing.cpp").write_text("int main() {}\n")
        for name in ("thread", "address"):
            command = [self.compiler, f"-fsanitize={name}", "nothing.cpp", "-o", name]
            done = subprocess.run(command, cwd=self.folder, capture_output=True)
            if done.returncode != 0 or subprocess.run([self.folder / name], capture_output=True).returncode != 0:
                pytest.skip(f"-fsanitize={name} does not work here")

    def compile(self, source: str, runner: str, changed: Path | None = None) -> Path:
        """The object of a file of csrc; with a folder ``changed``, of its copy there or with the header there."""
        made = (changed or self.folder) / f"{runner}-{source.replace('/', '-')}.o"
        if not made.exists():
            root = changed if changed is not None and (changed / source).exists() else CSRC
            includes = [f"-I{folder}" for folder in (changed, CSRC) if folder is not None]
            flags = ["-std=c++17", "-O1", "-ffp-contract=off", "-pthread", *RUNNERS[runner][1], *includes]
            subprocess.run([self.compiler, *flags, "-xc++", "-c", root / source, "-o", made], check=True)
        return made

    def program(self, group: str, runner: str, change: Change | None = None) -> Path:
        """A program of the group's cases, with the change if there is one."""
        changed = None
        if change is not None:
            changed = self.folder / f"changed-{len(list(self.folder.iterdir()))}"
            change.write(changed)
        made = (changed or self.folder) / f"{group}-{runner}"
        if not made.exists():
            parts = ["main.cpp", RUNNERS[runner][0], "../device.cpp", f"{group}.cpp"]
            objects = [self.compile(os.path.normpath(f"{RACES}/{part}"), runner) for part in parts]
            for kernel in KERNELS[group]:
                affected = change is not None and kernel in change.compiled
                objects.append(self.compile(kernel, runner, changed if affected else None))
            flags = ["-pthread", *RUNNERS[runner][1]]
            subprocess.run([self.compiler, *objects, *flags, "-o", made], check=True)
        return made


def run(program: Path, case: str) -> subprocess.CompletedProcess[str]:
    """Runs the cases whose names begin so."""
    environment = {**os.environ, **OPTIONS}
    return subprocess.run([program, case], env=environment, capture_output=True, text=True, timeout=300)


def results(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The number for the results of each case."""
    return [line.split()[-3] for line in done.stdout.splitlines()]

"""What all ranks of a command must have in common before any of it is read: the code and the options."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from yolo import __version__

PACKAGES = (Path(__file__).parents[1], Path(__file__).parents[2] / "graphs")

OWN = {
    *("device", "workers", "local_rank", "log_ranks", "cache", "json", "project", "name", "exist_ok", "bucket"),
    *("loggers", "online", "entity", "upload_dataset", "bbox_interval", "artifact_alias"),
}
"""Options that a rank has for itself, or that only the first one looks at."""

READ = {"weights", "cfg", "data", "hyp"}
"""Paths, which each machine may have elsewhere: what is read there is compared."""


def run_fingerprint(config: Any) -> dict[str, str]:
    """By human-readable names. Options decide what the ranks do next: it is agreed upon before anything else."""
    facts = {"code version": f"{__version__} {package_digest(*PACKAGES)[:16]}"}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name == "resume":
            value = bool(value)  # the first rank's run goes on, wherever it lies
        if field.name not in OWN | READ:
            facts[f"--{field.name.replace('_', '-')}"] = str(value)
    return facts


def package_digest(*packages: Path) -> str:
    """SHA-256 of the names and contents of the packages' Python files."""
    files = [(str(path.relative_to(package.parent)), path) for package in packages for path in package.rglob("*.py")]
    return _digest(sorted(files))


def files_digest(paths: Iterable[str | Path]) -> str:
    """SHA-256 of the contents of the files, in order; not of where they lie."""
    return _digest(("", Path(path)) for path in paths)


def _digest(files: Iterable[tuple[str, Path]]) -> str:
    total = hashlib.sha256()
    for name, path in files:
        total.update(f"{name}\0{path.stat().st_size}\0".encode("utf-8", "surrogateescape"))
        total.update(path.read_bytes())
    return total.hexdigest()

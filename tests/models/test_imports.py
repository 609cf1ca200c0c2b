"""Which way imports run: `yolo.models` stands below programs, graphs and commands."""

from __future__ import annotations

from pathlib import Path

import yolo
from tests.benchmarks.peer_imports import imported

BELOW = (
    *("yolo.models", "yolo.class_names", "yolo.errors", "yolo.distributed.tensors"),
    *("yolo.io.files", "yolo.io.download", "yolo.io.yaml_text"),
)


def test_models_import_only_what_is_below_them() -> None:
    files = sorted((Path(yolo.__file__).parent / "models").rglob("*.py"))
    names = {name for file in files for name in imported(file)}
    ours = {name for name in names if name.partition(".")[0] in ("yolo", "graphs", "benchmarks")}
    assert "yolo.models.weights.pt" in ours
    assert sorted(name for name in ours if not f"{name}.".startswith(tuple(f"{part}." for part in BELOW))) == []

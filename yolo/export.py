"""``python -m yolo.export``: weights to files that other programs run."""

from __future__ import annotations

if __name__ == "__main__":  # before whatever takes time to load
    from yolo.stops import run

    run("yolo.export")

import dataclasses
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolo.command import run_command
from yolo.config.commands import ExportConfig
from yolo.inference.precision import precision_of
from yolo.inference.settings import rounded_size, size_pair

if TYPE_CHECKING:
    from yolo.data.dataset import Dataset
    from yolo.formats.portable import Portable

logger = logging.getLogger("yolo")


def export(config: ExportConfig) -> dict[str, Any]:
    """Export as ``config`` says; give the command's JSON object without its head."""
    from yolo.data.load import load_dataset
    from yolo.formats.request import check_request, chosen_formats

    begin, formats = time.perf_counter(), chosen_formats(config.include)
    check_request(config, formats)
    portable = _portable(config)
    dataset = load_dataset(config.data) if config.data else None
    found: dict[str, Any] = {"files": []}
    if "program" in formats:
        from yolo.formats.program_file import export_program

        found = export_program(config, portable, dataset)
    others = [name for name in formats if name != "program"]
    if others:
        verdicts = _others(config, others, portable, dataset)
        found["files"] = [*found["files"], *(verdict["file"] for verdict in verdicts)]
        found |= {"verified": [*found.get("verified", ()), *verdicts], "seconds": round(time.perf_counter() - begin, 3)}
    return found


def _portable(config: ExportConfig) -> Portable:
    """The weights, and the size that they are exported for; raises ConfigError where memory has no room for it."""
    from yolo.formats.portable import Portable
    from yolo.models.weights.load import load_weights, resolve_weights
    from yolo.program.footprint import inference_bytes, require_memory
    from yolo.program.lower import lower
    from yolo.program.state import checked_state

    path = resolve_weights(config.weights)
    stored = load_weights(path)
    spec = stored.spec
    checkpoint = dataclasses.replace(stored, model=checked_state(spec, stored.model))
    size = rounded_size(size_pair(config.imgsz), max(spec.strides))
    shape, precision = (config.batch_size, spec.channels, *size), precision_of(half=config.half, int8=config.int8)
    said = f"--imgsz {' '.join(map(str, config.imgsz))}"
    require_memory(inference_bytes(lower(spec, {}), shape, precision), shape, said)
    return Portable(Path(path), checkpoint, size, stored)


def _others(
    config: ExportConfig, formats: list[str], portable: Portable, dataset: Dataset | None
) -> list[dict[str, Any]]:
    """Write and verify what other programs read; give the verdicts."""
    from yolo.formats.evidence import Evidence
    from yolo.formats.onnx_file import export_onnx
    from yolo.formats.openvino_folder import export_openvino
    from yolo.formats.pytorch_file import export_state_dict
    from yolo.formats.request import layout_of

    writers = {"onnx": export_onnx, "openvino": export_openvino}
    layout, evidence = layout_of(config, portable.size), Evidence.of(dataset)
    return [
        export_state_dict(portable) if name == "pt" else writers[name](portable, layout, evidence) for name in formats
    ]


def main(argv: list[str] | None = None) -> int:
    """Run the command; give its exit code."""
    return run_command("yolo.export", ExportConfig, export, argv)

"""The export to ONNX: written, verified by onnxruntime, put in place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yolo.formats.evidence import Evidence
from yolo.formats.installed import is_installed
from yolo.formats.portable import Layout, Portable
from yolo.formats.runtimes import OnnxRuntime
from yolo.formats.verify import Verdict, keep, verdict_path, verify
from yolo.io.files import write_atomic

TOLERANCE = 1e-4


def export_onnx(portable: Portable, layout: Layout, evidence: Evidence) -> dict[str, Any]:
    """Write ``<weights>.onnx`` and its verdict beside the weights; give the latter as JSON.

    Raises VerificationError where it does not give what our program gives: an earlier file stays then.
    """
    from yolo.formats.onnx_model import detector_model

    path, model = portable.file(".onnx"), detector_model(portable, layout)
    unverified = Verdict("onnx", path, layout.output, TOLERANCE, reason="onnxruntime is not installed")
    found = []

    def write(temporary: Path) -> None:
        temporary.write_bytes(model.SerializeToString())
        if is_installed("onnxruntime"):
            found.append(verify(OnnxRuntime, temporary, portable, layout, evidence, unverified))
        verdict_path(path).unlink(missing_ok=True)  # it is the earlier file's

    write_atomic(path, write)
    verdict = found[0] if found else unverified
    return keep(verdict.to_json(), str(verdict), path, [path])

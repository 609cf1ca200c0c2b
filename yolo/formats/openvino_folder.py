"""The export to OpenVINO: a folder with the model, its weights and metadata, as YOLOv5 names them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from yolo.errors import ConfigError
from yolo.formats.evidence import Evidence
from yolo.formats.portable import Layout, Portable
from yolo.formats.runtimes import OpenVino, openvino_core
from yolo.formats.verify import Verdict, keep, verdict_path, verify
from yolo.io.brief import brief
from yolo.io.files import folder_beside

TOLERANCE = 1e-3


def export_openvino(portable: Portable, layout: Layout, evidence: Evidence) -> dict[str, Any]:
    """Write the folder ``<weights>_openvino_model`` and its verdict beside the weights; give the latter as JSON.

    Raises ConfigError for a folder that holds other files, and VerificationError where it does not give what our
    program gives: an earlier folder stays then.
    """
    folder, stem = portable.file("_openvino_model"), portable.weights.stem
    names = (f"{stem}.xml", f"{stem}.bin", "metadata.yaml")
    _require_ours(folder, names)
    verdict = Verdict("openvino", folder, layout.output, TOLERANCE)
    with folder_beside(folder) as room:
        try:
            _write(portable, layout, room, stem)
        except RuntimeError as error:  # its writer's, which says no more than that
            what, hint = f"could not be written: {brief(str(error), 200)}", "see whether the disk is full"
            raise ConfigError(what, where=folder, hint=hint) from error
        verdict = verify(OpenVino, room / names[0], portable, layout, evidence, verdict)
        verdict_path(folder).unlink(missing_ok=True)  # it is the earlier folder's
        _put(room, folder)
    return keep(verdict.to_json(), str(verdict), folder, [folder / name for name in names])


def _write(portable: Portable, layout: Layout, folder: Path, stem: str) -> None:
    import openvino

    from yolo.formats.onnx_model import detector_model, facts

    # OpenVINO drops a box whose overlap is equal to the threshold; the others keep it.
    model = detector_model(portable, layout, drops_equal=True)
    converted = openvino_core().read_model(model.SerializeToString())
    openvino.save_model(converted, folder / f"{stem}.xml", compress_to_fp16=False)
    text = yaml.safe_dump(facts(portable, layout), sort_keys=False, allow_unicode=True)
    (folder / "metadata.yaml").write_text(text, encoding="utf-8")


def _require_ours(folder: Path, names: Sequence[str]) -> None:
    """Raise ConfigError for what is there and is not an earlier export: it is replaced as a whole."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError("is a file", where=folder, hint="move it elsewhere")
    foreign = [entry.name for entry in folder.iterdir() if entry.name not in names]
    if foreign:
        what = f"holds {brief(foreign[0])}, which is no part of an export"
        raise ConfigError(what, where=folder, hint="move it, or the folder, elsewhere")


def _put(room: Path, folder: Path) -> None:
    """Move ``room`` to ``folder``; what was there is removed when the new one is in its place."""
    if not folder.exists():
        os.replace(room, folder)
        return
    with folder_beside(folder) as old:
        os.replace(folder, old)
        try:
            os.replace(room, folder)
        except BaseException:
            os.replace(old, folder)
            raise

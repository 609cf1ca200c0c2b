"""The export to PyTorch: a state dict and the model's YAML, read back before they are put in place."""

from __future__ import annotations

import os
from typing import Any

from yolo.formats.portable import Portable
from yolo.formats.pytorch import say_how_to_use, state_dict_path, verify_state_dict, write_state_dict
from yolo.formats.verify import UNVERIFIED, VERIFIED, keep, verdict_path
from yolo.io.files import folder_beside


def export_state_dict(portable: Portable) -> dict[str, Any]:
    """Write ``<weights>_state_dict.pt``, its YAML and its verdict beside the weights; give the latter as JSON.

    It is verified where PyTorch has read it, with every bit. Raises WeightsError as ``verify_state_dict`` does; earlier
    files stay then.
    """
    path, checkpoint = state_dict_path(portable.weights), portable.stored
    parts = [path, path.with_suffix(".yaml")]
    with folder_beside(path) as room:
        facts = verify_state_dict(write_state_dict(room / path.name, checkpoint), checkpoint)
        verdict_path(path).unlink(missing_ok=True)  # it is the earlier file's
        for part in parts:
            os.replace(room / part.name, part)
    missing = facts["not_read_by"].get("torch")
    back = f"{facts['tensors']} tensors, every bit as it was"
    line = f"{path}: verified by {facts['read_by'][-1]}: {back}"
    verdict = {"format": "pt", "file": str(path), "verdict": VERIFIED, **facts}
    if missing:
        reason = f"torch is {missing}; read back by this project: {back}"
        line, verdict = f"{path}: unverified: {reason}", {**verdict, "verdict": UNVERIFIED, "reason": reason}
    keep(verdict, line, path, parts)
    say_how_to_use(path, checkpoint)
    return verdict

"""The precision that options ask for."""

from __future__ import annotations

from yolo.errors import ConfigError


def precision_of(*, half: bool, int8: bool, device: str = "cpu") -> str:
    """The precision that the options ask for on a device; raises ConfigError for two."""
    if half and int8:
        raise ConfigError("cannot be combined", where="--half --int8", hint="choose one")
    return short_precision(device) if half else "int8" if int8 else "fp32"


def short_precision(device: str) -> str:
    """That of ``--half`` and ``--amp``: float16 on a GPU, as YOLOv5 has it; a processor computes in bfloat16 only."""
    return "bf16" if device == "cpu" else "fp16"

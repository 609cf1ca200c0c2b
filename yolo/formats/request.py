"""What was asked for: which formats, and whether the options go together."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from yolo.config.commands import EXPORT_FORMATS, ExportConfig
from yolo.errors import ConfigError
from yolo.formats.installed import require_packages
from yolo.formats.portable import DECODED, DETECTIONS, HEADS, Layout
from yolo.io.brief import brief
from yolo.program.detection import NmsSettings, most_detections
from yolo.program.ir import Size

PACKAGES = {"onnx": ("onnx",), "openvino": ("onnx", "openvino")}
"""That a format cannot be written without."""
_FOR_RUNTIMES = ("dynamic", "batch_size", "opset", "heads", "nms")
_FOR_NMS = ("agnostic_nms", "max_det")


def chosen_formats(include: Sequence[str]) -> tuple[str, ...]:
    """The formats of ``--include``, each once; several in one word are separated by commas.

    Raises ConfigError for one that there is not.
    """
    words = [word.strip().lower() for part in include for word in part.split(",")]
    for word in words:
        if word not in EXPORT_FORMATS:
            near = difflib.get_close_matches(word, EXPORT_FORMATS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(EXPORT_FORMATS)}"
            raise ConfigError(f"there is no format {brief(word)}", where="--include", hint=hint)
    return tuple(dict.fromkeys(words))


def check_request(config: ExportConfig, formats: Sequence[str]) -> None:
    """Raise ConfigError for options that contradict one another or that no chosen format has, and for packages that
    are not installed."""
    others, foreign = ([name for name in formats if name in some] for some in (PACKAGES, EXPORT_FORMATS[1:]))
    for flag in ("half", "int8"):
        if getattr(config, flag) and foreign:
            what = f"is for --include program alone: {foreign[0]} is written in float32"
            raise ConfigError(what, where=f"--{flag}", hint="leave it out, or export in two commands")
    given = [name for name in _FOR_RUNTIMES if getattr(config, name) != getattr(ExportConfig, name)]
    if given and not others:
        what = "is for --include onnx and openvino; a compiled detector takes all sizes and batches"
        raise ConfigError(what, where=_flag(given[0]), hint="leave it out, or include one of them")
    if config.heads and config.nms:
        raise ConfigError("cannot be combined", where="--heads --nms", hint="choose one")
    if config.int8 and not config.data:
        raise ConfigError("needs a data set to be calibrated on", where="--int8", hint="name one with --data")
    inside = [name for name in _FOR_NMS if getattr(config, name) != getattr(ExportConfig, name)]
    if inside and not config.nms:
        raise ConfigError("is of the suppression in a file", where=_flag(inside[0]), hint="add --nms")
    for name in others:
        require_packages(name, PACKAGES[name])


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def layout_of(config: ExportConfig, size: Size) -> Layout:
    """What ONNX and OpenVINO files take and give."""
    settings = NmsSettings(
        conf=config.conf_thres,
        iou=config.iou_thres,
        max_det=most_detections(config.max_det),
        agnostic=config.agnostic_nms,
    )
    output = HEADS if config.heads else DETECTIONS if config.nms else DECODED
    return Layout(size, config.batch_size, config.dynamic, output, config.opset, settings)

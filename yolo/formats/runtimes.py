"""The programs that run exported files, each as a function of images. They are imported where they are used."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

import yolo
from yolo.inference.models import program_model
from yolo.program.file import load_program

if TYPE_CHECKING:
    import openvino

Images = NDArray[np.float32]


class Runtime(Protocol):
    """Call it with images float32 ``[B, 3, H, W]``, 0 to 1, for the file's outputs in order."""

    name: str
    """With its version."""

    def __call__(self, images: Images) -> list[NDArray]: ...


class OnnxRuntime:
    """onnxruntime on the processor, as it is when nobody chooses anything."""

    def __init__(self, model: Path | bytes) -> None:
        """``model``: an ONNX file, or its content."""
        import onnxruntime

        self.name = f"onnxruntime {onnxruntime.__version__}"
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def __call__(self, images: Images) -> list[NDArray]:
        return self._session.run(None, {"images": images})


@functools.cache
def openvino_core() -> openvino.Core:
    """OpenVINO's one core of this process: with many that come and go, a signal behind them crashed the process."""
    import openvino

    return openvino.Core()


class OpenVino:
    """OpenVINO on the processor in float32: by itself it computes in bfloat16 or float16 where the processor can."""

    def __init__(self, model: Path | bytes) -> None:
        """``model``: a file of OpenVINO's or ONNX's, or the content of one of the latter."""
        import openvino
        from openvino import properties

        self.name = f"openvino {openvino.__version__.split('-')[0]} in float32"
        settings = {properties.hint.inference_precision(): openvino.Type.f32}
        core = openvino_core()
        self._model = core.compile_model(core.read_model(model), "CPU", settings)

    def __call__(self, images: Images) -> list[NDArray]:
        found = self._model([images])
        return [found[output].copy() for output in self._model.outputs]


class CompiledFile:
    """This project's own: a compiled detector's file, for its raw heads."""

    def __init__(self, model: Path | bytes) -> None:
        """``model``: the file."""
        self.name = f"yolo {yolo.__version__}"
        self._heads = program_model(model, load_program(model)).heads()

    def __call__(self, images: Images) -> list[NDArray]:
        return list(self._heads(np.rint(images * np.float32(255)).astype(np.uint8)))

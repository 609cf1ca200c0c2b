"""Worker: the network in onnxruntime, fp32, or int8 by static quantisation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

from benchmarks.workers.serve import serve


class OnnxruntimeInference:
    """images uint8 -> raw heads, in memory that is bound once."""

    def load(self, model: str, images: str, threads: int, precision: str, calibration: str) -> None:
        """model: ONNX file; calibration: .npz of the images for int8. The quantised file is kept beside the model."""
        path = _quantised(Path(model), calibration) if precision == "int8" else Path(model)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._binding = self._session.io_binding()
        self.look(images)
        self._binding.bind_cpu_input("images", self._images[:1])
        self._heads = {}
        for output in self._session.get_outputs():
            value = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(output.shape, np.float32))
            self._heads[output.name] = value
            self._binding.bind_ortvalue_output(output.name, value)

    def look(self, images: str) -> None:
        """images: .npz of those that ``outputs`` goes through."""
        self._images = np.load(images)["images"]

    def run(self) -> None:
        self._session.run_with_iobinding(self._binding)

    def outputs(self) -> Mapping[str, np.ndarray]:
        found = [self._session.run(list(self._heads), {"images": image[None]}) for image in self._images]
        return {name: np.concatenate(heads) for name, heads in zip(self._heads, zip(*found))}


class _Images(quantization.CalibrationDataReader):
    """One calibration image after the other."""

    def __init__(self, path: str) -> None:
        self._left = iter(np.load(path)["images"])

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._left, None)
        return None if image is None else {"images": image[None]}


def _quantised(model: Path, calibration: str) -> Path:
    """The QDQ model: uint8 activations, int8 weights a channel, ranges from the calibration images."""
    path = model.with_suffix(".onnxruntime-int8.onnx")
    if not path.exists() or path.stat().st_mtime < model.stat().st_mtime:
        prepared = model.with_suffix(".prepared.onnx")
        quant_pre_process(model, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            path,
            _Images(calibration),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
        )
        prepared.unlink()
    return path


if __name__ == "__main__":
    serve(OnnxruntimeInference())

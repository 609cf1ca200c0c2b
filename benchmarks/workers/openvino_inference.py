"""Worker: the network in OpenVINO, fp32, bf16, or int8 by NNCF's post-training quantisation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openvino
from openvino import properties

from benchmarks.workers.serve import serve


class OpenvinoInference:
    """images uint8 -> raw heads."""

    def load(self, model: str, images: str, threads: int, precision: str, calibration: str) -> None:
        """model: ONNX file; calibration: .npz of the images for int8. The quantised file is kept beside the model."""
        core = openvino.Core()
        network = core.read_model(_quantised(Path(model), calibration) if precision == "int8" else model)
        hint = openvino.Type.bf16 if precision == "bf16" else openvino.Type.f32
        settings = {
            properties.inference_num_threads(): threads,
            properties.hint.performance_mode(): properties.hint.PerformanceMode.LATENCY,
            properties.hint.inference_precision(): hint,
        }
        compiled = core.compile_model(network, "CPU", settings)
        if compiled.get_property(properties.hint.inference_precision()) != hint:
            raise RuntimeError(f"OpenVINO does not compute in {precision} on this processor")
        self._request = compiled.create_infer_request()
        self.look(images)

    def look(self, images: str) -> None:
        """images: .npz of those that ``outputs`` goes through."""
        self._images = np.load(images)["images"]
        self._show(0)

    def run(self) -> None:
        self._request.infer()

    def outputs(self) -> Mapping[str, np.ndarray]:
        found = []
        for number in range(len(self._images)):
            self._show(number)
            self.run()
            found.append([tensor.data.copy() for tensor in self._request.output_tensors])
        self._show(0)
        return {f"head{level}": np.concatenate(heads) for level, heads in enumerate(zip(*found))}

    def _show(self, number: int) -> None:
        image = self._images[number : number + 1]
        self._request.set_input_tensor(openvino.Tensor(image, shared_memory=True))


def _quantised(model: Path, calibration: str) -> Path:
    path = model.with_suffix(".openvino-int8.xml")
    if not path.exists() or path.stat().st_mtime < model.stat().st_mtime:
        import nncf

        images = nncf.Dataset([image[None] for image in np.load(calibration)["images"]])
        preset = nncf.QuantizationPreset.MIXED  # NNCF's advice for activations such as SiLU
        network = nncf.quantize(openvino.Core().read_model(model), images, preset=preset)
        openvino.save_model(network, path)
    return path


if __name__ == "__main__":
    serve(OpenvinoInference())

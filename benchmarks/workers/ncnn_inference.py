"""Worker: the network in ncnn, fp32, converted by its own pnnx."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import ncnn
import numpy as np
import pnnx

from benchmarks.workers.serve import serve

HEADS = 3


class NcnnInference:
    """images uint8 -> raw heads; pixels lie side by side, as ncnn takes them, before the time begins."""

    def load(self, model: str, weights: str, images: str, threads: int, precision: str, calibration: str) -> None:
        """model: ONNX file of bytes; what ncnn reads is made of one of floats and kept beside it."""
        self._network = ncnn.Net()
        options = self._network.opt
        options.num_threads = threads
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
        options.use_bf16_storage = False
        images = np.load(images)["images"]
        params, values = _converted(Path(model), Path(weights), *images.shape[2:])
        if self._network.load_param(str(params)) or self._network.load_model(str(values)):
            raise RuntimeError(f"ncnn does not read {params}")
        self._images = [np.ascontiguousarray(image.transpose(1, 2, 0)) for image in images]

    def run(self) -> None:
        self._forward(self._images[0])

    def outputs(self) -> Mapping[str, np.ndarray]:
        found = [self._forward(image) for image in self._images]
        return {f"head{level}": np.stack(heads) for level, heads in enumerate(zip(*found))}

    def _forward(self, image: np.ndarray) -> list[np.ndarray]:
        height, width, _ = image.shape
        pixels = ncnn.Mat.from_pixels(image, ncnn.Mat.PixelType.PIXEL_RGB, width, height)
        pixels.substract_mean_normalize([], [1 / 255] * 3)
        extractor = self._network.create_extractor()
        extractor.input("in0", pixels)
        return [np.array(extractor.extract(f"out{level}")[1]) for level in range(HEADS)]


def _converted(model: Path, weights: Path, height: int, width: int) -> tuple[Path, Path]:
    """ncnn's two files."""
    folder = model.with_suffix(".ncnn")
    params, values = folder / "network.param", folder / "network.bin"
    if not values.exists() or values.stat().st_mtime < model.stat().st_mtime:
        folder.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "benchmarks.peers.onnx_network", weights, folder / "network.onnx"]
        subprocess.run([*map(str, command), str(height), str(width), "float"], check=True)
        shape = f"inputshape=[1,3,{height},{width}]"
        names = [f"ncnnparam={params}", f"ncnnbin={values}"]
        subprocess.run([pnnx.EXEC_PATH, folder / "network.onnx", shape, "fp16=0", *names], check=True)
    return params, values


if __name__ == "__main__":
    serve(NcnnInference())

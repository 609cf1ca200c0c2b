"""Worker: the network in OpenCV's dnn module, fp32."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from benchmarks.workers.serve import serve


class OpencvInference:
    """images uint8 -> raw heads, by the engine that reads the network without asking OpenCV 4's."""

    def load(self, model: str, images: str, threads: int, precision: str, calibration: str) -> None:
        """model: ONNX file."""
        cv2.setNumThreads(threads)
        self._network = cv2.dnn.readNetFromONNX(model, cv2.dnn.ENGINE_NEW)
        self._heads = sorted(self._network.getUnconnectedOutLayersNames())
        self._images = np.load(images)["images"]

    def run(self) -> None:
        self._forward(self._images[:1])

    def outputs(self) -> Mapping[str, np.ndarray]:
        found = [self._forward(image[None]) for image in self._images]
        return {name: np.concatenate(heads) for name, heads in zip(self._heads, zip(*found))}

    def _forward(self, images: np.ndarray) -> list[np.ndarray]:
        self._network.setInput(images)
        return self._network.forward(self._heads)


if __name__ == "__main__":
    serve(OpencvInference())

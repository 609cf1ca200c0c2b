"""Worker: ``yolo.Detector`` from a JPEG file to boxes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmarks.workers.serve import serve


class JpegToBoxes:
    """One call of the detector a run."""

    def load(self, weights: str, image: str, size: int) -> None:
        """image: JPEG file; size: the longer side in pixels that the network sees."""
        from yolo import Detector

        self._detector, self._image = Detector(weights, imgsz=size, device="cpu"), image
        self._detector(image)  # compiles

    def run(self) -> Mapping[str, float]:
        """network_ms: the network alone; nms_ms: decoding, suppression and boxes in the image's own pixels."""
        speed = self._detector(self._image).speed_ms
        return {"network_ms": speed["inference"], "nms_ms": speed["nms"]}

    def outputs(self) -> Mapping[str, np.ndarray]:
        return {"rows": self._detector(self._image).rows}


if __name__ == "__main__":
    serve(JpegToBoxes())

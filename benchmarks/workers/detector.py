"""Worker: ``yolo.Detector`` from a JPEG file to boxes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmarks.workers.serve import serve


class JpegToBoxes:
    """One call of the detector a run."""

    def load(self, weights: str, picture: str, size: int) -> None:
        """picture: JPEG file; size: the longer side in pixels that the network sees."""
        from yolo import Detector

        self._detector, self._picture = Detector(weights, imgsz=size, device="cpu"), picture
        self._detector(picture)  # compiles

    def run(self) -> Mapping[str, float]:
        """network_ms: the network alone; nms_ms: decoding, suppression and boxes in the picture's own pixels."""
        speed = self._detector(self._picture).speed_ms
        return {"network_ms": speed["inference"], "nms_ms": speed["nms"]}

    def outputs(self) -> Mapping[str, np.ndarray]:
        return {"rows": self._detector(self._picture).rows}


if __name__ == "__main__":
    serve(JpegToBoxes())

"""Worker: ``yolo.serve`` from a JPEG file to boxes, asked over one connection by a client that is alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.workers.serve import serve
from benchmarks.workers.served import Connection, serving


class Requests:
    """One request a run; this process is the client."""

    def load(self, weights: str, image: str, size: int) -> None:
        """image: JPEG file; size: the longer side in pixels that the network sees."""
        self._server = serving(weights, size)
        port, _ = self._server.__enter__()
        self._connection, self._image = Connection(port), Path(image).read_bytes()
        self._connection.detect(self._image)  # compiles

    def run(self) -> Mapping[str, float]:
        """network_ms: the network alone; nms_ms: decoding, suppression and boxes in the image's own pixels."""
        speed = self._connection.detect(self._image)["speed_ms"]
        return {"network_ms": speed["inference"], "nms_ms": speed["nms"]}

    def outputs(self) -> Mapping[str, np.ndarray]:
        found = self._connection.detect(self._image)["detections"]
        return {"rows": np.array([[*one["xyxy"], one["conf"], one["class"]] for one in found], np.float32)}

    def close(self) -> None:
        self._server.__exit__(None, None, None)


if __name__ == "__main__":
    requests = Requests()
    try:
        serve(requests)
    finally:
        requests.close()

"""Worker: ``yolo.Detector`` on a folder of images."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.workers.serve import serve


class Folder:
    """All images of the folder a run."""

    def load(self, weights: str, folder: str, size: int, way: str, checkout: str) -> None:
        """way: stream, list, call, or ready in memory; checkout: the folder of the project measured, "": this one."""
        if checkout:
            sys.path.insert(0, checkout)
        from yolo import Detector

        self._detector, self._folder = Detector(weights, imgsz=size, device="cpu"), folder
        self._paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
        self._ready = [self._detector.ready(path) for path in self._paths] if way == "ready" else []
        self._way = {"stream": self._stream, "list": self._list, "call": self._call, "ready": self._alone}[way]
        self._way()  # compiles

    def run(self) -> Mapping[str, float]:
        """images: how many there were."""
        return {"images": len(self._way())}

    def outputs(self) -> Mapping[str, np.ndarray]:
        """By the images' names: their rows."""
        return {Path(path).name: rows for path, rows in zip(self._paths, self._way(), strict=True)}

    def _stream(self) -> list[np.ndarray]:
        return [result.rows for _, result in self._detector.stream(self._folder)]

    def _list(self) -> list[np.ndarray]:
        return [result.rows for result in self._detector(self._paths)]

    def _alone(self) -> list[np.ndarray]:
        return [self._detector.detect_ready([ready])[0].rows for ready in self._ready]

    def _call(self) -> list[np.ndarray]:
        return [self._detector(path).rows for path in self._paths]


if __name__ == "__main__":
    serve(Folder())

"""Worker: decoding the four whole JPEGs of a mosaic with OpenCV, and nothing else: what decoding less has to beat."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import cv2

from benchmarks.loading import LoaderTask, read_set
from benchmarks.workers.serve import serve

IMAGES = 4
"""Of a mosaic."""


class Decoding(LoaderTask):
    """All images of the set once a run, which is a quarter as many mosaics."""

    def load(self, files: str, cores: Sequence[int]) -> None:
        os.sched_setaffinity(0, cores)
        cv2.setNumThreads(0)
        self._paths, _ = read_set(files)

    def epoch(self) -> Mapping[str, float]:
        for path in self._paths:
            if cv2.imread(path) is None:
                raise FileNotFoundError(path)
        return {"mosaics": len(self._paths) / IMAGES, "labels": 0}


if __name__ == "__main__":
    serve(Decoding())

"""Worker: this project's compiled program called directly, as a `.program` file runs: no OneFlow in the process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.peers.network import read_graph
from benchmarks.workers.serve import serve
from yolo.program.compiled import CompiledNetwork
from yolo.program.int8.build import quantise
from yolo.program.passes import optimise


class ProgramInference:
    """images uint8 -> raw heads."""

    def load(self, weights: str, images: str, threads: int, precision: str, calibration: str) -> None:
        """calibration: .npz of the images for int8."""
        graph = optimise(read_graph(Path(weights)).graph, precision)
        if precision == "int8":
            graph, _ = quantise(graph, list(np.load(calibration)["images"]), threads=threads)
        compiled = CompiledNetwork(graph, precision=precision, threads=threads)
        self._images = np.load(images)["images"]
        self._program = compiled.program(self._images.shape)

    def run(self) -> None:
        self._heads = self._program(self._images)

    def outputs(self) -> Mapping[str, np.ndarray]:
        self.run()
        return {f"head{level}": head for level, head in enumerate(self._heads)}


if __name__ == "__main__":
    serve(ProgramInference())

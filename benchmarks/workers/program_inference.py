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
        self.look(images)
        self._program = compiled.program((1, *self._images.shape[1:]))

    def look(self, images: str) -> None:
        """images: .npz of those that ``outputs`` goes through."""
        self._images = np.load(images)["images"]

    def run(self) -> None:
        self._program(self._images[:1])

    def outputs(self) -> Mapping[str, np.ndarray]:
        found = [[head.copy() for head in self._program(image[None])] for image in self._images]
        return {f"head{level}": np.concatenate(heads) for level, heads in enumerate(zip(*found))}


if __name__ == "__main__":
    serve(ProgramInference())

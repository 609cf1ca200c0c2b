"""Worker: this project's compiled program called directly, as a `.program` file runs: no OneFlow in the process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.peers.network import read_graph
from benchmarks.workers.serve import serve
from yolo.program.compiled import CompiledNetwork


class ProgramInference:
    """pictures uint8 -> raw heads."""

    def load(self, weights: str, pictures: str, threads: int, precision: str) -> None:
        read = read_graph(Path(weights))
        compiled = CompiledNetwork.of(read.spec, read.graph.tensors, precision=precision, threads=threads)
        self._pictures = np.load(pictures)["pictures"]
        self._program = compiled.program(self._pictures.shape)

    def run(self) -> None:
        self._heads = self._program(self._pictures)

    def outputs(self) -> Mapping[str, np.ndarray]:
        self.run()
        return {f"head{level}": head for level, head in enumerate(self._heads)}


if __name__ == "__main__":
    serve(ProgramInference())

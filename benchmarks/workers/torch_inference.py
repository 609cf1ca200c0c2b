"""Worker: the folded network in PyTorch, eager, channels_last."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from benchmarks.peers.network import read_graph
from benchmarks.peers.torch_network import TorchNetwork
from benchmarks.workers.serve import serve
from yolo.program.passes.fold import fold_batch_norm


class TorchInference:
    """images uint8 -> raw heads."""

    def load(self, weights: str, images: str, threads: int, precision: str) -> None:
        """precision: fp32, or bf16 for weights and activations in bfloat16."""
        torch.set_num_threads(threads)
        self._type = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
        network = TorchNetwork(fold_batch_norm(read_graph(Path(weights)).graph)).eval()
        self._network = network.to(dtype=self._type, memory_format=torch.channels_last)
        self._images = torch.from_numpy(np.load(images)["images"])

    def run(self) -> None:
        self._forward()

    def outputs(self) -> Mapping[str, np.ndarray]:
        return {f"head{level}": head.float().numpy() for level, head in enumerate(self._forward())}

    def _forward(self) -> list[torch.Tensor]:
        with torch.inference_mode():
            images = self._images.to(self._type, memory_format=torch.channels_last)
            return self._network(images.div_(255))


if __name__ == "__main__":
    serve(TorchInference())

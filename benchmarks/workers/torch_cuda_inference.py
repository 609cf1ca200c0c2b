"""Worker: the folded network in PyTorch on a GPU, channels_last, from letterboxed images to boxes, and alone."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from benchmarks.peers.network import read_graph
from benchmarks.peers.torch_detection import Decoder, detect
from benchmarks.peers.torch_network import TorchNetwork
from benchmarks.workers.serve import serve
from yolo.program.passes.fold import fold_batch_norm

TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
RUNS = 10
"""Of the network alone, timed together."""


class TorchCudaInference:
    """images uint8 of the host's, in pinned memory -> detections of the host's."""

    def load(
        self, weights: str, images: str, device: str, precision: str, tf32: bool, conf: float, compiled: bool
    ) -> None:
        """precision: of weights and maps; compiled: by ``torch.compile`` with CUDA graphs ("reduce-overhead")."""
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
        self._device, self._type, self._conf = torch.device(device), TYPES[precision], conf
        read = read_graph(Path(weights))
        network = TorchNetwork(fold_batch_norm(read.graph)).eval()
        self._network = network.to(self._device, self._type, memory_format=torch.channels_last)
        if compiled:
            self._network = torch.compile(self._network, mode="reduce-overhead")
        self._images = torch.from_numpy(np.load(images)["images"])
        if self._device.type == "cuda":
            self._images = self._images.pin_memory()
        with torch.inference_mode():
            heads = self._forward(self._images)
            strides = [self._images.shape[-1] / head.shape[-1] for head in heads]
            pixels = [(level * stride).reshape(-1).tolist() for level, stride in zip(read.anchors, strides)]
            self._decoder = Decoder([head.float() for head in heads], list(zip(strides, pixels)), read.spec.nc)

    def run(self) -> Mapping[str, float]:
        """ms: images to boxes; network_ms: the network alone, on images that lie on the device."""
        with torch.inference_mode():
            begin = time.perf_counter()
            self._whole()
            ms = 1000 * (time.perf_counter() - begin)
            there = self._images.to(self._device)
            self._wait()
            begin = time.perf_counter()
            for _ in range(RUNS):
                self._forward(there)
            self._wait()
            return {"ms": ms, "network_ms": 1000 * (time.perf_counter() - begin) / RUNS}

    def outputs(self) -> Mapping[str, np.ndarray]:
        with torch.inference_mode():
            heads = self._forward(self._images)
            found = {f"head{level}": head.float().contiguous().cpu().numpy() for level, head in enumerate(heads)}
            images = self._whole()
        rows = np.zeros((len(images), 300, 6), np.float32)
        for place, one in enumerate(images):
            rows[place, : len(one)] = one.numpy()
        return {"rows": rows, "counts": np.array([len(one) for one in images], np.int32), **found}

    def _whole(self) -> list[torch.Tensor]:
        heads = [head.float() for head in self._forward(self._images)]
        found = detect(self._decoder(heads), conf=self._conf, iou=0.45, max_det=300, multi_label=False)
        return [one.cpu() for one in found]

    def _forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        there = images.to(self._device, non_blocking=True)
        return self._network(there.to(self._type, memory_format=torch.channels_last).div_(255))

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()


if __name__ == "__main__":
    serve(TorchCudaInference())

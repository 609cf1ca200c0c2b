"""Worker: a whole training step in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.peers.network import read_graph
from benchmarks.peers.torch_loss import TorchLoss
from benchmarks.peers.torch_network import TorchNetwork
from benchmarks.recipe import BALANCE, EMA_DECAY, MAX_NORM, Recipe
from benchmarks.workers.serve import serve

SHORT = {"fp16": torch.float16, "bf16": torch.bfloat16}


class TorchTraining:
    """Forward, loss, backward, clipping, SGD, EMA on one batch, again and again."""

    def load(
        self,
        weights: str,
        batch: str,
        threads: int,
        precision: str,
        layout: str,
        device: str = "cpu",
        tf32: bool = False,
        compiled: bool = False,
    ) -> None:
        """precision: fp32, or bf16 or fp16 by autocast, fp16 with a scaled loss; layout: contiguous or channels_last;
        tf32: whether a GPU's fp32 products may have 10 bits behind the point; compiled: by ``torch.compile``."""
        torch.set_num_threads(threads)
        self._device = torch.device(device)
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
        self._layout = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}[layout]
        self._short = SHORT.get(precision)
        self._scaler = torch.amp.GradScaler(device, enabled=precision == "fp16")
        self._before, self._taken = self._free(), 0.0
        read = read_graph(Path(weights))
        self._network = TorchNetwork(read.graph).train().to(self._device, memory_format=self._layout)
        self._forward = torch.compile(self._network) if compiled else self._network
        arrays = np.load(batch)
        self._images = torch.from_numpy(arrays["images"])
        self._labels = listed(arrays["labels"], arrays["counts"])
        if self._device.type == "cuda":
            self._images, self._labels = self._images.pin_memory(), self._labels.pin_memory()
        recipe = Recipe.of(read.spec.nc, self._images.shape[-1])
        hyp, anchors = recipe.hyp, torch.from_numpy(read.anchors).to(self._device)
        self._loss = TorchLoss(anchors, hyp.box, hyp.obj, hyp.cls, hyp.anchor_t, BALANCE)
        self._optimizer = _optimizer(self._network, recipe)
        self._parameters = list(self._network.parameters())
        self._tracked = [*self._parameters, *(b for b in self._network.buffers() if b.is_floating_point())]
        self._average = [tensor.detach().clone() for tensor in self._tracked]

    def run(self) -> Mapping[str, float] | None:
        """On a GPU memory_mb: what it had less after the first step than before the network was there."""
        parts = self._backward()
        self._update()
        parts.cpu()  # a step's losses are read, which waits for the GPU
        if self._device.type != "cuda":
            return None
        torch.cuda.synchronize()
        return {"memory_mb": self._taken}

    def outputs(self) -> Mapping[str, np.ndarray]:
        """parts: box, obj, cls; gradient/…, and step/…: by how much a parameter moved."""
        parts = self._backward()
        while self._scaler.is_enabled() and not all(p.grad.isfinite().all() for p in self._parameters):
            self._update()
            parts = self._backward()
        names, scale = self._network.names, self._scaler.get_scale()
        found = {f"gradient/{names[p]}": _array(p.grad) / np.float32(scale) for p in self._parameters}
        before = [p.detach().clone() for p in self._parameters]
        self._update()
        self._taken = (self._before - self._free()) / 1e6  # while no other process takes any
        moved = zip(self._parameters, before)
        steps = {f"step/{names[p]}": _array(p.detach() - old) for p, old in moved}
        return {"parts": parts.cpu().numpy(), **found, **steps}

    def _free(self) -> int:
        """Bytes of the GPU; 0 without one."""
        return torch.cuda.mem_get_info()[0] if self._device.type == "cuda" else 0

    def _backward(self) -> torch.Tensor:
        images = self._images.to(self._device, non_blocking=True)
        images = images.to(torch.float32, memory_format=self._layout).div_(255)
        labels = self._labels.to(self._device, non_blocking=True)
        with torch.autocast(self._device.type, self._short or torch.bfloat16, enabled=self._short is not None):
            heads = self._forward(images)
        loss, parts = self._loss(heads, labels)
        self._scaler.scale(loss).backward()
        return parts

    def _update(self) -> None:
        self._scaler.unscale_(self._optimizer)
        nn.utils.clip_grad_norm_(self._parameters, MAX_NORM, foreach=True)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(self._average, self._tracked, 1 - EMA_DECAY)


def listed(labels: np.ndarray, counts: np.ndarray) -> torch.Tensor:
    """Padded labels as float32 [n, 6]: image, class, x, y, w, h."""
    rows = [np.insert(rows[:count], 0, image, 1) for image, (rows, count) in enumerate(zip(labels, counts))]
    return torch.from_numpy(np.concatenate(rows).astype(np.float32))


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.contiguous().cpu().numpy().copy()


def _optimizer(network: TorchNetwork, recipe: Recipe) -> torch.optim.Optimizer:
    """Weights of convolutions decay; biases and batch norms do not."""
    decays = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim == 1]
    groups = [{"params": decays, "weight_decay": recipe.weight_decay}, {"params": others}]
    return torch.optim.SGD(groups, recipe.rate, recipe.momentum, nesterov=True, foreach=True)


if __name__ == "__main__":
    serve(TorchTraining())

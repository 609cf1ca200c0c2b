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


class TorchTraining:
    """Forward, loss, backward, clipping, SGD, EMA on one batch, again and again."""

    def load(self, weights: str, batch: str, threads: int, precision: str, layout: str) -> None:
        """precision: fp32, or bf16 by autocast; layout: contiguous or channels_last."""
        torch.set_num_threads(threads)
        self._layout = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}[layout]
        self._autocast = precision == "bf16"
        read = read_graph(Path(weights))
        self._network = TorchNetwork(read.graph).train().to(memory_format=self._layout)
        arrays = np.load(batch)
        self._images = torch.from_numpy(arrays["images"])
        self._labels = _listed(arrays["labels"], arrays["counts"])
        recipe = Recipe.of(read.spec.nc, self._images.shape[-1])
        hyp, anchors = recipe.hyp, torch.from_numpy(read.anchors)
        self._loss = TorchLoss(anchors, hyp.box, hyp.obj, hyp.cls, hyp.anchor_t, BALANCE)
        self._optimizer = _optimizer(self._network, recipe)
        self._parameters = list(self._network.parameters())
        self._tracked = [*self._parameters, *(b for b in self._network.buffers() if b.is_floating_point())]
        self._average = [tensor.detach().clone() for tensor in self._tracked]

    def run(self) -> None:
        self._backward()
        self._update()

    def outputs(self) -> Mapping[str, np.ndarray]:
        """parts: box, obj, cls; gradient/…, and step/…: by how much a parameter moved."""
        parts = self._backward()
        names = self._network.names
        found = {f"gradient/{names[p]}": p.grad.contiguous().numpy().copy() for p in self._parameters}
        before = [p.detach().clone() for p in self._parameters]
        self._update()
        moved = zip(self._parameters, before)
        steps = {f"step/{names[p]}": (p.detach() - old).contiguous().numpy() for p, old in moved}
        return {"parts": parts.numpy(), **found, **steps}

    def _backward(self) -> torch.Tensor:
        images = self._images.to(torch.float32, memory_format=self._layout).div_(255)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._autocast):
            heads = self._network(images)
        loss, parts = self._loss(heads, self._labels)
        loss.backward()
        return parts

    def _update(self) -> None:
        nn.utils.clip_grad_norm_(self._parameters, MAX_NORM, foreach=True)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(self._average, self._tracked, 1 - EMA_DECAY)


def _listed(labels: np.ndarray, counts: np.ndarray) -> torch.Tensor:
    """Padded labels as float32 [n, 6]: image, class, x, y, w, h."""
    rows = [np.insert(rows[:count], 0, image, 1) for image, (rows, count) in enumerate(zip(labels, counts))]
    return torch.from_numpy(np.concatenate(rows).astype(np.float32))


def _optimizer(network: TorchNetwork, recipe: Recipe) -> torch.optim.Optimizer:
    """Weights of convolutions decay; biases and batch norms do not."""
    decays = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim == 1]
    groups = [{"params": decays, "weight_decay": recipe.weight_decay}, {"params": others}]
    return torch.optim.SGD(groups, recipe.rate, recipe.momentum, nesterov=True, foreach=True)


if __name__ == "__main__":
    serve(TorchTraining())

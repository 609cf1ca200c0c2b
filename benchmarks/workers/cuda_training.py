"""Worker: a whole training step of this project's on a CUDA device: a batch of the host's in, losses out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.cuda_module import open_module
from benchmarks.recipe import BALANCE, EMA_DECAY, Recipe
from benchmarks.workers.cuda_network import cuda_target
from benchmarks.workers.serve import serve
from yolo.loss.settings import LossSettings
from yolo.models.weights.load import load_weights
from yolo.program.detection import detection_loss
from yolo.program.ir import Graph
from yolo.program.lower import lower
from yolo.program.training.program import plan_training

VECTORS = ("values", "gradient", "first", "second", "ema")


class CudaTraining:
    """Forward, loss, backward, clipping, SGD, EMA on one batch, again and again."""

    def load(self, weights: str, batch: str, device: str, precision: str, tf32: bool, timed: int = 0) -> None:
        """precision: fp32, fp16 (with a scaled loss) or bf16; tf32, timed: see ``open_module``."""
        self._module = module = open_module(device, tf32=tf32, timed=timed)
        checkpoint, arrays = load_weights(weights), np.load(batch)
        images, labels = arrays["images"], np.ascontiguousarray(arrays["labels"], np.float32)
        self._images, self._labels = images, (labels, np.ascontiguousarray(arrays["counts"], np.int32))
        self._recipe = recipe = Recipe.of(len(checkpoint.names), images.shape[-1])
        graph = lower(checkpoint.spec, checkpoint.model)
        self._layout = layout = Layout(graph)
        before = module.memory()[0]
        plan = plan_training(graph, images.shape, layout.starts, cuda_target(precision))
        self._executor = module.Executor(plan)
        sizes = [len(layout.values), layout.parameters, layout.parameters, 0, len(layout.values)]
        self._vectors = vectors = module.TrainVectors(sizes, scaled=precision == "fp16")
        for name in ("values", "ema"):
            vectors.write(name, layout.values)
        settings = LossSettings.of(recipe.hyp, len(BALANCE))
        loss = detection_loss(plan.heads, checkpoint.anchors, checkpoint.strides, settings)
        self._gradient = module.GradientStep(self._executor, loss, labels.shape[1], vectors)
        statistics = len(layout.values) - layout.parameters
        self._update = module.UpdateStep("SGD", layout.groups, statistics, recipe.weight_decay, vectors)
        self._updates, self._before, self._taken = 0, before, 0.0
        # As the loader does it: a batch is copied to the device while the one before is computed.
        self._staged = [module.StagedImages(images.nbytes) for _ in "ab"]
        self._copier = ThreadPoolExecutor(1)
        self._staged[0].fill(images)

    def run(self) -> Mapping[str, float]:
        """memory_mb: what the device had less after the first step than before it was made."""
        self._backward()
        self._step()
        return {"memory_mb": self._taken}

    def outputs(self) -> Mapping[str, np.ndarray]:
        """parts: box, obj, cls; gradient/…, and step/…: by how much a parameter moved.

        A gradient that overflowed halves the loss's scale, and is made again.
        """
        vectors, parts = self._vectors, self._backward()
        while vectors.scaled and not np.isfinite(vectors.read("gradient")).all():
            self._step()
            parts = self._backward()
        scale = vectors.loss_scale[0] if vectors.scaled else 1.0
        gradient, before = vectors.read("gradient") / np.float32(scale), vectors.read("values")
        self._step()
        moved = vectors.read("values") - before
        self._taken = max(self._before - self._module.memory()[0], 0) / 1e6  # while no other process takes any
        found = {f"gradient/{name}": array for name, array in self._layout.split(gradient).items()}
        return {"parts": parts, **found, **{f"step/{n}": array for n, array in self._layout.split(moved).items()}}

    def _backward(self) -> np.ndarray:
        """The parts of the loss; the next batch is copied meanwhile."""
        now, then = self._staged
        copied = self._copier.submit(then.fill, self._images)
        self._gradient.take(now)
        parts = self._gradient(*self._labels)[1:]
        copied.result()
        self._staged = [then, now]
        return parts

    def _step(self) -> None:
        self._updates += 1
        rate, momentum = self._recipe.rate, self._recipe.momentum
        corrections = 1 - momentum**self._updates, 1 - 0.999**self._updates
        self._update(np.float32([rate, rate, rate, momentum, EMA_DECAY, *corrections]))


class Layout:
    """Where a graph's tensors lie in one vector: biases, weights, weights of batch norms, then statistics."""

    def __init__(self, graph: Graph) -> None:
        groups: list[list[str]] = [[], [], [], []]
        for name, tensor in graph.tensors.items():
            part = name.rpartition(".")[2]
            if part in ("bias", "weight"):
                groups[0 if part == "bias" else 1 if tensor.ndim > 1 else 2].append(name)
            elif part in ("running_mean", "running_var"):
                groups[3].append(name)
        self._shapes = {name: graph.tensors[name].shape for group in groups for name in group}
        sizes = [sum(math.prod(self._shapes[name]) for name in group) for group in groups]
        self.groups, self.parameters = sizes[:3], sum(sizes[:3])
        self.starts, start = {}, 0
        for name, shape in self._shapes.items():
            self.starts[name], start = start, start + math.prod(shape)
        self.values = np.concatenate([graph.tensors[name].reshape(-1) for name in self._shapes]).astype(np.float32)

    def split(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """The parameters' parts of a vector by name, in their shapes."""
        names = [name for name, start in self.starts.items() if start < self.parameters]
        shapes = {name: self._shapes[name] for name in names}
        return {n: vector[self.starts[n] : self.starts[n] + math.prod(s)].reshape(s) for n, s in shapes.items()}


if __name__ == "__main__":
    serve(CudaTraining())

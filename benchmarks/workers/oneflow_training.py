"""Worker: a whole training step of this project, through ``yolo.engine.train_step.TrainStep``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmarks.recipe import EMA_DECAY, Recipe
from benchmarks.workers.serve import serve
from yolo import runtime


class OneflowTraining:
    """Forward, loss, backward, clipping, SGD, EMA on one batch, again and again."""

    def load(self, weights: str, batch: str, precision: str, compile: str) -> None:
        """compile: "program", or "off" for plain OneFlow modules; raises ConfigError for what this machine lacks."""
        runtime.start()
        from yolo.engine.train_step import TrainStep
        from yolo.loss.settings import LossSettings
        from yolo.models.weights.load import load_weights
        from yolo.models.weights.transfer import network_from_checkpoint

        network = network_from_checkpoint(load_weights(weights))
        self._batch = _read_batch(batch)
        self._recipe = Recipe.of(network.nc, self._batch.images.shape[-1])
        settings = LossSettings.of(self._recipe.hyp, len(network.strides))
        how = {"optimizer": "SGD", "compile": compile, "amp": precision == "bf16"}
        self._step = TrainStep(network, settings, weight_decay=self._recipe.weight_decay, **how)
        self._updates = 0

    def run(self) -> None:
        self._step.backward(self._batch)
        self._update()

    def outputs(self) -> Mapping[str, np.ndarray]:
        """parts: box, obj, cls; gradient/…, and step/…: by how much a parameter moved."""
        parts = self._step.backward(self._batch)[1:]
        state = self._step.state.snapshot()
        gradients = self._step.state.vector.split(state.training["gradient"])
        self._update()
        after = self._step.state.snapshot().weights
        moved = {name: after[name] - state.weights[name] for name in gradients}
        found = {f"gradient/{name}": array for name, array in gradients.items()}
        return {"parts": parts, **found, **{f"step/{name}": array for name, array in moved.items()}}

    def _update(self) -> None:
        from graphs.update import Rates

        self._updates += 1
        rate = self._recipe.rate
        rates = Rates(rate, rate, rate, self._recipe.momentum, EMA_DECAY, self._updates)
        self._step.update(rates)


def _read_batch(path: str):
    from yolo.data.batch import Batch

    arrays = np.load(path)
    labels = tuple(rows[:count] for rows, count in zip(arrays["labels"], arrays["counts"]))
    return Batch(arrays["images"], labels, np.arange(len(labels)), ())


if __name__ == "__main__":
    serve(OneflowTraining())

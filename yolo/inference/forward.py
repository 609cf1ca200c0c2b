"""A network run on batches of any shape, through static graphs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import oneflow as flow

from graphs.detect import DetectGraph
from graphs.pool import GraphPool
from graphs.validate import ValGraph
from yolo.data.batch import pad_labels
from yolo.loss import LossSettings

# A graph's memory grows with its pictures while OneFlow's CPU kernels gain nothing from more of them, except where
# pictures are so small that starting an operator costs more than its work. So: one large picture, or many small ones.
PIXELS_A_GRAPH = 640 * 640


class Forward:
    """Runs a network in evaluation mode."""

    def __init__(self, network: flow.nn.Module, device: str = "cpu") -> None:
        self.network, self.device = network.to(device).eval(), device
        self._detect = GraphPool(lambda: DetectGraph(network))

    @property
    def compile_seconds(self) -> float:
        """Seconds spent compiling so far."""
        return self._detect.compile_seconds

    def predict(self, images: np.ndarray) -> np.ndarray:
        """images uint8 [B, 3, H, W] -> float32 [B, N, 5+nc]: xywh in pixels, objectness, class scores."""
        outputs = [self._detect(*part) for part in _parts(self.device, images)]
        return np.concatenate([output.numpy() for output in outputs])


class ForwardWithLoss:
    """Like ``Forward``, with the loss's sums (``yolo.loss.loss_terms``) of the batch."""

    def __init__(self, network: flow.nn.Module, settings: LossSettings, device: str = "cpu") -> None:
        self.network, self.settings, self.device = network.to(device).eval(), settings, device
        self._validate = GraphPool(lambda: ValGraph(network, settings))

    @property
    def compile_seconds(self) -> float:
        """Seconds spent compiling so far."""
        return self._validate.compile_seconds

    def predict(self, images: np.ndarray, labels: tuple[np.ndarray, ...], places: int) -> tuple[np.ndarray, np.ndarray]:
        """images uint8 [B, 3, H, W], label rows a picture -> predictions [B, N, 5+nc], loss sums [levels, 5]."""
        outputs = [self._validate(*part) for part in _parts(self.device, images, *pad_labels(labels, places))]
        predictions = np.concatenate([prediction.numpy() for prediction, _ in outputs])
        return predictions, np.sum([terms.numpy().astype(np.float64) for _, terms in outputs], axis=0)


def _parts(device: str, images: np.ndarray, *others: np.ndarray) -> Iterator[list[flow.Tensor]]:
    """Cut arrays along the batch into parts of as many pictures as one graph takes."""
    count = max(1, PIXELS_A_GRAPH // (images.shape[2] * images.shape[3]))
    for start in range(0, len(images), count):
        yield [flow.tensor(array[start : start + count], device=device) for array in (images, *others)]

"""What each layer of a network makes of an image, as images and arrays."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import oneflow as flow
from numpy.typing import NDArray

from yolo.data.images import write_image
from yolo.inference.outputs.names import UniqueNames
from yolo.io.files import write_atomic
from yolo.models.network import Network
from yolo.models.spec import INPUT

# Of each layer so many channels are shown, in rows of so many.
_MOST_CHANNELS, _COLUMNS = 32, 8
# A shown channel has at least this side, in pixels.
_LEAST_SIDE = 32


class FeatureMaps:
    """Writes ``<stem>/stage<number>_<layer>_features.png`` and ``.npy`` into the run's folder for every image."""

    def __init__(self, folder: Path, network: Network) -> None:
        self._folder, self._network = folder, network
        self._names = UniqueNames("")

    def write(self, stem: str, image: NDArray[np.uint8]) -> None:
        """Run the plain network on ``image`` (uint8 ``[3, H, W]``, letterboxed) and write all its layers' maps."""
        folder = self._folder / self._names.take(stem)
        for number, module, maps in layer_maps(self._network, image):
            name = f"stage{number}_{module}_features"
            if maps.shape[1] > 1 and maps.shape[2] > 1:
                write_image(folder / f"{name}.png", mosaic(maps))
                write_atomic(folder / f"{name}.npy", lambda path, maps=maps: np.save(path, maps))


def layer_maps(network: Network, image: NDArray[np.uint8]) -> Iterator[tuple[int, str, NDArray[np.float32]]]:
    """Number, kind and output (float32 ``[C, h, w]``) of each layer before the detecting one."""
    x = flow.tensor(image[None], device=next(network.parameters()).device)
    x = x.to(flow.float32) / 255.0
    kept: dict[int, flow.Tensor] = {}
    with flow.no_grad():
        for spec, layer in zip(network.spec.layers[:-1], network.model):
            inputs = [x if source in (INPUT, spec.index - 1) else kept[source] for source in spec.sources]
            x = layer(inputs if spec.module == "Concat" else inputs[0])
            if spec.index in network.spec.kept:
                kept[spec.index] = x
            yield spec.index, spec.module, x.numpy()[0]


def mosaic(maps: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The first channels of ``[C, h, w]`` beside and below one another, each from its least (dark) to its greatest
    value (bright), RGB."""
    maps = maps[:_MOST_CHANNELS]
    scale = max(1, math.ceil(_LEAST_SIDE / min(maps.shape[1:])))
    rows = math.ceil(len(maps) / _COLUMNS)
    columns = min(len(maps), _COLUMNS)
    height, width = (scale * side + 2 for side in maps.shape[1:])
    image = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for number, channel in enumerate(maps):
        low, high = float(channel.min()), float(channel.max())
        level = ((channel - low) * (255 / (high - low)) if high > low else np.zeros_like(channel)).astype(np.uint8)
        shown = cv2.applyColorMap(level.repeat(scale, 0).repeat(scale, 1), cv2.COLORMAP_VIRIDIS)[..., ::-1]
        top, left = number // _COLUMNS * height, number % _COLUMNS * width
        image[top : top + height - 2, left : left + width - 2] = shown
    return image

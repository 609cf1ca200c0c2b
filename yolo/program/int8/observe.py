"""What the values of a graph hold on real images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from yolo.program.compiled import CompiledNetwork
from yolo.program.int8.rules import MOVEMENTS
from yolo.program.ir import INPUT, Conv, Graph
from yolo.program.scales import Scale


@dataclasses.dataclass(frozen=True)
class Observations:
    """extremes: of each computed value [images, 2], its least and largest element in each image; means: float64
    [C] over all images, of what convolutions read."""

    extremes: Mapping[int, np.ndarray]
    means: Mapping[int, np.ndarray]

    def scale(self, values: frozenset[int]) -> Scale:
        """The scale of values that are joined: bytes spread over all that was seen of them.

        Cutting extremes off gains nothing (COCO128, calibrated on either half of it): by the least squared error over
        the elements mAP50-95 falls; with the largest values of a fifth of the images cut off yolov5n's heads move by
        2.0 % and not 2.2 %, but its mAP50-95 is 0.350 and 0.351, not 0.355 and 0.355.
        """
        extremes = [self.extremes[value] for value in values]
        return Scale.of_range(min(rows[:, 0].min() for rows in extremes), max(rows[:, 1].max() for rows in extremes))


def observe(graph: Graph, images: Sequence[np.ndarray], *, threads: int = 0) -> Observations:
    """Run an fp32 graph on images, uint8 ``[C, H, W]`` each."""
    computed = {INPUT} | {node.output for node in graph.nodes if node.kind not in MOVEMENTS}
    read = {node.inputs[0] for node in graph.nodes if isinstance(node, Conv)}
    watched = tuple(sorted((computed | read) - {INPUT}))
    compiled = CompiledNetwork(dataclasses.replace(graph, outputs=watched), threads=threads)
    extremes: dict[int, list[tuple[float, float]]] = {value: [] for value in computed}
    sums = {value: np.zeros(graph.channels[value]) for value in sorted(read)}
    for image in images:
        arrays = [image[None].astype(np.float32) / 255, *compiled.program((1, *image.shape))(image[None])]
        for value, array in zip((INPUT, *watched), arrays):
            if value in read:
                sums[value] += array[0].mean((1, 2), dtype=np.float64)
            if value in computed:
                extremes[value].append((float(array.min()), float(array.max())))
    found = {value: np.array(rows) for value, rows in extremes.items()}
    return Observations(found, {value: total / len(images) for value, total in sums.items()})


def with_means(graph: Graph, seen: Observations) -> Graph:
    """The graph with the means of what its convolutions read among its tensors, for the correction of biases."""
    convs = [node for node in graph.nodes if isinstance(node, Conv)]
    means = {f"{node.weights}.mean": seen.means[node.inputs[0]].astype(np.float32) for node in convs}
    return dataclasses.replace(graph, tensors={**graph.tensors, **means})


def sources(graph: Graph, value: int) -> set[int]:
    """The computed values, and the input, that a value consists of after moves and conversions."""
    producers, found, left = graph.producers(), set(), [value]
    while left:
        one = left.pop()
        if one != INPUT and producers[one].kind in (*MOVEMENTS, "quantise", "dequantise"):
            left += producers[one].inputs
        else:
            found.add(one)
    return found

"""What is exported: a detector, and what is to go into the files and come out of them."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

from yolo.models.spec import NetworkSpec
from yolo.models.weights.checkpoint import Checkpoint
from yolo.program.detection import NmsSettings
from yolo.program.file import ProgramFile
from yolo.program.ir import Graph, Size
from yolo.program.lower import lower
from yolo.program.passes import optimise
from yolo.program.passes.fold import fold_batch_norm

HEADS, DECODED, DETECTIONS = "heads", "decoded", "detections"
"""What comes out: raw heads, predictions in pixels, or what suppression leaves of them."""


@dataclasses.dataclass(frozen=True, eq=False)
class Portable:
    """A detector to be exported; its checkpoint's state is checked, float32."""

    weights: Path
    checkpoint: Checkpoint
    size: Size
    """(height, width) in pixels that it is meant for: multiples of the largest stride."""
    stored: Checkpoint
    """As the weights file holds it."""

    @property
    def spec(self) -> NetworkSpec:
        return self.checkpoint.spec

    @functools.cached_property
    def graph(self) -> Graph:
        """As other runtimes get it: batch norms folded, nothing fused, which they do in ways of their own."""
        return fold_batch_norm(lower(self.spec, self.checkpoint.model))

    @functools.cached_property
    def program(self) -> ProgramFile:
        """As this project runs it, in float32."""
        graph, checkpoint = optimise(lower(self.spec, self.checkpoint.model)), self.checkpoint
        return ProgramFile(graph, checkpoint.names, self.spec.strides, checkpoint.anchors, "fp32", max(self.size))

    def file(self, suffix: str) -> Path:
        """Beside the weights: their name with another end, ``.onnx`` or ``_openvino_model``."""
        return self.weights.with_name(f"{self.weights.stem}{suffix}")


@dataclasses.dataclass(frozen=True)
class Layout:
    """What a file takes and gives.

    size: (height, width) of the images; with ``dynamic`` they and the batch are free, and these are examples.
    settings: of the suppression where ``output`` is DETECTIONS, and by which detections are compared.
    """

    size: Size
    batch: int = 1
    dynamic: bool = False
    output: str = DECODED
    opset: int = 17
    settings: NmsSettings = dataclasses.field(default_factory=NmsSettings)

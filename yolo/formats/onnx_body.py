"""The nodes and constants of an ONNX graph while it is written."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper


class OnnxBody:
    """Nodes in an order in which they can run, and the constants that they read. Every name is given once."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, kind: str, inputs: Sequence[str], output: str, where: str = "", **attributes: object) -> str:
        """Add a node with one output; give the output's name. ``where``: the layer that it is of."""
        self.nodes.append(helper.make_node(kind, inputs, [output], f"{where or 'detect'}.{output}", **attributes))
        return output

    def split(self, source: str, parts: Sequence[int], outputs: Sequence[str], axis: int) -> list[str]:
        """Add a Split along ``axis``; give the outputs' names."""
        sizes = self.constant(f"{outputs[0]}.parts", np.array(parts, np.int64))
        self.nodes.append(helper.make_node("Split", [source, sizes], outputs, f"detect.{outputs[0]}.split", axis=axis))
        return list(outputs)

    def constant(self, name: str, values: np.ndarray) -> str:
        """Add a constant of the array's type and shape; give its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values).reshape(np.shape(values)), name))
        return name

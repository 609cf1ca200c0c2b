"""A detector as an ONNX model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from onnx import TensorProto, helper

import yolo
from yolo.formats.onnx_body import OnnxBody
from yolo.formats.onnx_head import write_decoding, write_suppression
from yolo.formats.onnx_network import write_network
from yolo.formats.portable import DETECTIONS, HEADS, Layout, Portable

IMAGES, PREDICTIONS = "images", "output0"
"""YOLOv5's names of what goes in and comes out."""
IR_VERSIONS: Mapping[int, int] = {13: 7, 14: 7, 15: 8, 16: 8, 17: 8}
"""By opset: the version of ONNX's file format that came with it, so that runtimes of its time read the file."""
_Sides = Sequence[int | str]


def detector_model(portable: Portable, layout: Layout, *, drops_equal: bool = False) -> onnx.ModelProto:
    """The detector as ``layout`` says.

    In: ``images`` float32 ``[B, 3, H, W]``, RGB, 0 to 1. Out: ``head<i>`` ``[B, na * (5 + nc), h, w]``, or ``output0``
    ``[B, N, 5 + nc]``, or ``detections`` ``[B, max_det, 6]`` and ``counts`` int64 ``[B]``. drops_equal: see
    ``write_suppression``.
    """
    body, graph, spec = OnnxBody(), portable.graph, portable.spec
    heads = write_network(body, graph, IMAGES)
    batch: int | str = "batch" if layout.dynamic else layout.batch
    images: _Sides = (batch, spec.channels, *(("height", "width") if layout.dynamic else layout.size))
    shapes = [shape[2:] for shape in graph.head_shapes((1, spec.channels, *layout.size))]
    if layout.output == HEADS:
        sides = [(f"{name}_height", f"{name}_width") if layout.dynamic else shape for name, shape in zip(heads, shapes)]
        outputs = {
            name: (TensorProto.FLOAT, (batch, graph.channels[value], *side))
            for name, value, side in zip(heads, graph.outputs, sides)
        }
    else:
        outputs = _predictions(body, portable, layout, heads, () if layout.dynamic else shapes, batch, drops_equal)
    return assemble(body, {IMAGES: (TensorProto.FLOAT, images)}, outputs, layout.opset, metadata(portable, layout))


def _predictions(
    body: OnnxBody,
    portable: Portable,
    layout: Layout,
    heads: Sequence[str],
    sizes: Sequence[tuple[int, int]],
    batch: int | str,
    drops_equal: bool,
) -> dict[str, tuple[int, _Sides]]:
    """Add what follows the heads; give the outputs."""
    spec, anchors = portable.spec, portable.checkpoint.anchors
    write_decoding(body, heads, anchors, spec.strides, sizes, classes=spec.nc, output=PREDICTIONS)
    rows = None if layout.dynamic else spec.predictions(*layout.size)
    if layout.output != DETECTIONS:
        return {PREDICTIONS: (TensorProto.FLOAT, (batch, rows or "predictions", 5 + spec.nc))}
    found, counts = write_suppression(
        body, PREDICTIONS, rows, layout.settings, classes=spec.nc, drops_equal=drops_equal
    )
    return {
        found: (TensorProto.FLOAT, (batch, layout.settings.max_det, 6)),
        counts: (TensorProto.INT64, (batch,)),
    }


def assemble(
    body: OnnxBody,
    inputs: Mapping[str, tuple[int, _Sides]],
    outputs: Mapping[str, tuple[int, _Sides]],
    opset: int,
    metadata: Mapping[str, str],
) -> onnx.ModelProto:
    """A checked model; inputs and outputs have types and sides by name."""
    ends = [[helper.make_tensor_value_info(name, *end) for name, end in some.items()] for some in (inputs, outputs)]
    graph = helper.make_graph(body.nodes, "detector", *ends, body.constants)
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=IR_VERSIONS[opset],
        producer_name="yolo-oneflow",
        producer_version=yolo.__version__,
    )
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    return model


def metadata(portable: Portable, layout: Layout) -> dict[str, str]:
    """The facts as text: ``names`` as YOLOv5 writes them, what is no text or number as JSON."""
    found = facts(portable, layout)
    names = str(found.pop("names"))
    return {"names": names, **{k: v if isinstance(v, str) else json.dumps(v) for k, v in found.items()}}


def facts(portable: Portable, layout: Layout) -> dict[str, Any]:
    """What a file says of itself: ``stride`` and ``names``, which are YOLOv5's, and our own."""
    spec, settings = portable.spec, layout.settings
    found = {
        "stride": max(spec.strides),
        "names": dict(enumerate(portable.checkpoint.names)),
        "task": "detect",
        "version": yolo.__version__,
        "imgsz": list(layout.size),
        "batch": layout.batch,
        "dynamic": layout.dynamic,
        "output": layout.output,
        "strides": list(spec.strides),
        "anchors": portable.checkpoint.anchors.tolist(),
    }
    if layout.output == DETECTIONS:
        found |= {"conf_thres": settings.conf, "iou_thres": settings.iou, "max_det": settings.max_det}
        found |= {"agnostic_nms": settings.agnostic}
    return found

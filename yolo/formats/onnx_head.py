"""What follows a network's raw heads, as ONNX nodes: decoding, and suppression by YOLOv5's rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import TensorProto, helper

from yolo.formats.onnx_body import OnnxBody
from yolo.program.detection import NmsSettings
from yolo.program.ir import Size

CLASS_OFFSET = 7680.0
"""Pixels by which classes are moved apart (csrc/ops/nms.h)."""
_LEAST = np.finfo(np.float32).tiny
"""Smaller numbers are zero to OpenVINO."""


def write_decoding(
    body: OnnxBody,
    heads: Sequence[str],
    anchors: np.ndarray,
    strides: Sequence[int],
    sizes: Sequence[Size],
    *,
    classes: int,
    output: str,
) -> str:
    """Add what gives ``output``, float32 ``[B, N, 5 + nc]``; see ``yolo.models.decode``.

    anchors: float32 ``[nl, na, 2]`` in pixels; sizes: (height, width) of the heads, none where images have any size.
    """
    levels = []
    for level, (head, stride) in enumerate(zip(heads, strides)):
        corners = _fixed_corners(body, head, stride, sizes[level]) if sizes else _corners(body, head, stride)
        levels.append(_level(body, head, anchors[level], stride, 5 + classes, corners))
    return body.node("Concat", levels, output, axis=1)


def _level(body: OnnxBody, head: str, anchors: np.ndarray, stride: int, columns: int, corners: str) -> str:
    """Rows of one level, ``[B, na h w, columns]``: with t = sigmoid(raw), xy = 2 t stride + corner, wh = 4 t² anchor.

    corners: ``[h w, 2]`` in pixels.
    """
    # In shapes, 0 keeps a side and -1 is worked out.
    apart = body.constant(f"{head}.apart", np.array([0, len(anchors), columns, -1], np.int64))
    rows = body.constant(f"{head}.rows", np.array([0, -1, columns], np.int64))
    double = body.constant(f"{head}.double", np.array(2.0 * stride, np.float32))
    quadruple = body.constant(f"{head}.quadruple", 4 * anchors.reshape(1, -1, 1, 2).astype(np.float32))
    planes = body.node("Reshape", [head, apart], f"{head}.planes")
    cells = body.node("Transpose", [planes], f"{head}.cells", perm=(0, 1, 3, 2))
    shares = body.node("Sigmoid", [cells], f"{head}.sigmoid")
    names = [f"{head}.{part}" for part in ("t-xy", "t-wh", "scores")]
    t_xy, t_wh, scores = body.split(shares, (2, 2, columns - 4), names, axis=3)
    scaled = body.node("Mul", [t_xy, double], f"{head}.scaled")
    xy = body.node("Add", [scaled, corners], f"{head}.xy")
    squared = body.node("Mul", [t_wh, t_wh], f"{head}.squared")
    wh = body.node("Mul", [squared, quadruple], f"{head}.wh")
    joined = body.node("Concat", [xy, wh, scores], f"{head}.joined", axis=3)
    return body.node("Reshape", [joined, rows], f"{head}.decoded")


def _fixed_corners(body: OnnxBody, head: str, stride: int, size: Size) -> str:
    """(cell - 0.5) stride for every cell of a grid of this size, ``[h w, 2]``."""
    y, x = np.divmod(np.arange(size[0] * size[1]), size[1])
    cells = np.stack((x, y), -1).astype(np.float32)
    return body.constant(f"{head}.corners", (cells - 0.5) * np.float32(stride))


def _corners(body: OnnxBody, head: str, stride: int) -> str:
    """The same for the grid that the head turns out to have."""

    def number(name: str, value: int) -> str:
        return body.constant(f"{head}.{name}", np.array(value, np.int64))

    zero, one = number("zero", 0), number("one", 1)
    shape = body.node("Shape", [head], f"{head}.shape")
    height = body.node("Gather", [shape, number("axis-h", 2)], f"{head}.height")
    width = body.node("Gather", [shape, number("axis-w", 3)], f"{head}.width")
    count = body.node("Mul", [height, width], f"{head}.count")
    cells = body.node("Range", [zero, count, one], f"{head}.numbers")
    last = number("last", [1])
    columns = []
    for name, kind in (("x", "Mod"), ("y", "Div")):
        whole = body.node(kind, [cells, width], f"{head}.{name}")
        column = body.node("Unsqueeze", [whole, last], f"{head}.{name}-column")
        columns.append(body.node("Cast", [column], f"{head}.{name}-float", to=TensorProto.FLOAT))
    places = body.node("Concat", columns, f"{head}.places", axis=1)
    half = body.constant(f"{head}.half", np.array(0.5, np.float32))
    middles = body.node("Sub", [places, half], f"{head}.middles")
    scale = body.constant(f"{head}.stride", np.array(stride, np.float32))
    return body.node("Mul", [middles, scale], f"{head}.corners")


def write_suppression(
    body: OnnxBody,
    predictions: str,
    rows: int | None,
    settings: NmsSettings,
    *,
    classes: int,
    drops_equal: bool = False,
) -> tuple[str, str]:
    """Add what gives ``detections`` float32 ``[B, max_det, 6]`` and ``counts`` int64 ``[B]``.

    Rows are x1, y1, x2, y2 in pixels, confidence, class, best first, with zeros behind the last. The rule is that of
    csrc/ops/nms.h: a box counts for its best class, boxes of other classes are moved out of the way (unless
    ``agnostic``), the best ``max_candidates`` enter, and who overlaps a better one by more than ``iou`` is dropped.

    rows: N of the predictions where it is known; drops_equal: the runtime drops an overlap equal to the threshold, too.
    """
    boxes, scores, best_class = _candidates(body, predictions, classes)
    if rows is None or rows > settings.max_candidates:
        boxes, scores, best_class = _best(body, (boxes, scores, best_class), settings.max_candidates)
    apart = boxes
    if not settings.agnostic and classes > 1:
        offset = body.constant("class-offset", np.array(CLASS_OFFSET, np.float32))
        apart = body.node("Add", [boxes, body.node("Mul", [best_class, offset], "moved-by")], "boxes-apart")
    limits = _limits(body, settings, drops_equal)
    by_class = body.node("Transpose", [scores], "scores-by-class", perm=(0, 2, 1))
    chosen = body.node("NonMaxSuppression", [apart, by_class, *limits], "chosen")
    everything = body.node("Concat", [boxes, scores, best_class], "candidates", axis=2)
    return _in_places(body, chosen, everything, settings.max_det)


def _candidates(body: OnnxBody, predictions: str, classes: int) -> tuple[str, str, str]:
    """Corners ``[B, N, 4]``, best score and its class as a float ``[B, N, 1]``."""
    xy, wh, objectness, shares = body.split(predictions, (2, 2, 1, classes), ("xy", "wh", "objectness", "classes"), 2)
    half = body.constant("half", np.array(0.5, np.float32))
    reach = body.node("Mul", [wh, half], "reach")
    corners = [body.node(kind, [xy, reach], name) for kind, name in (("Sub", "top-left"), ("Add", "bottom-right"))]
    boxes = body.node("Concat", corners, "boxes", axis=2)
    scores = body.node("Mul", [shares, objectness], "scores")
    best = body.node("ReduceMax", [scores], "best", axes=[2], keepdims=1)
    number = body.node("ArgMax", [scores], "best-number", axis=2, keepdims=1)
    return boxes, best, body.node("Cast", [number], "best-class", to=TensorProto.FLOAT)


def _best(body: OnnxBody, candidates: Sequence[str], most: int) -> tuple[str, ...]:
    """The best ``most`` of the candidates in order, or all where there are fewer."""
    boxes, scores, best_class = candidates
    shape = body.node("Shape", [boxes], "boxes-shape")
    there = body.node("Gather", [shape, body.constant("axis-rows", np.array([1], np.int64))], "rows")
    count = body.node("Min", [there, body.constant("most-rows", np.array([most], np.int64))], "kept-rows")
    body.nodes.append(helper.make_node("TopK", [scores, count], ["top-scores", "top"], "detect.top", axis=1))
    found = [body.node("GatherND", [given, "top"], f"top-{given}", batch_dims=1) for given in (boxes, best_class)]
    return found[0], "top-scores", found[1]


def _limits(body: OnnxBody, settings: NmsSettings, drops_equal: bool) -> list[str]:
    """Most boxes, IoU and score of NonMaxSuppression."""
    iou = np.float32(settings.iou)
    if iou > settings.iou:  # the greatest float that is not above it
        iou = np.nextafter(iou, np.float32(-1))
    if drops_equal:
        iou = np.maximum(np.nextafter(iou, np.float32(2)), _LEAST)
    numbers = {"max-det": np.int64(settings.max_det), "iou": iou, "conf": np.float32(settings.conf)}
    return [body.constant(f"limit-{name}", np.array([number])) for name, number in numbers.items()]


def _in_places(body: OnnxBody, chosen: str, candidates: str, most: int) -> tuple[str, str]:
    """Rows of ``candidates`` that are chosen (image, class, row; int64 ``[K, 3]``) as ``detections`` and ``counts``."""
    zero, one, two = (body.constant(f"number-{number}", np.array([number], np.int64)) for number in range(3))
    image = body.node("Gather", [chosen, zero], "chosen-image", axis=1)  # [K, 1]
    row = body.node("Gather", [chosen, two], "chosen-row", axis=1)
    place_of = body.node("Concat", [image, row], "chosen-place", axis=1)
    rows = body.node("GatherND", [candidates, place_of], "chosen-candidates")
    shape = body.node("Shape", [candidates], "candidates-shape")
    batch = body.node("Gather", [shape, zero], "batch-size")
    alone = body.node("Squeeze", [batch, zero], "batch-number")
    first, step = (body.constant(f"scalar-{number}", np.array(number, np.int64)) for number in range(2))
    images = body.node("Range", [first, alone, step], "images-numbers")
    same = body.node("Equal", [image, images], "chosen-of-image")  # [K, B]
    flags = body.node("Cast", [same], "chosen-flags", to=TensorProto.INT64)
    counts = body.node("ReduceSum", [flags, zero], "counts", keepdims=0)
    # The rows of an image come one after the other: a row's place is how many of its image came before.
    so_far = body.node("CumSum", [flags, first], "chosen-so-far")
    own = body.node("GatherElements", [so_far, image], "chosen-number", axis=1)
    place = body.node("Sub", [own, one], "chosen-rank")
    target = body.node("Concat", [image, place], "chosen-target", axis=1)
    room = body.node("Concat", [batch, body.constant("room", np.array([most, 6], np.int64))], "room-shape", axis=0)
    empty = body.node("ConstantOfShape", [room], "no-detections", value=helper.make_tensor("zero", 1, [1], [0.0]))
    body.node("ScatterND", [empty, target, rows], "detections")
    return "detections", counts

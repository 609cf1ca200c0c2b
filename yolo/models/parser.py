"""Rows of a model YAML -> the typed list of layers, with channels, sizes, strides and anchors worked out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from yolo.errors import ModelError
from yolo.models.arguments import bind, whole
from yolo.models.config import MAX_CLASSES, ModelConfig, Row, parse_anchors, show
from yolo.models.rules import MAX_CHANNELS, RULES, Rule
from yolo.models.spec import INPUT, TRACE_SIZE, LayerSpec, NetworkSpec

_MAX_BLOCKS = 10_000
"""Rows times their numbers; YOLOv5's largest have about 100."""
_STACKED_SOURCES = ("Concat", "Detect")


def parse_network(config: ModelConfig, *, nc: int | None = None, channels: int | None = None) -> NetworkSpec:
    """Resolve every row of ``config``, for ``nc`` classes and ``channels`` of the input where given.

    Raises ModelError naming the file, the section and the row.
    """
    classes = config.nc if nc is None else nc
    channels = config.channels if channels is None else channels
    if not 1 <= classes <= MAX_CLASSES:
        raise ModelError(f"{classes} classes: not in 1..{MAX_CLASSES}", where=config.name)
    if config.layers[-1].module != "Detect":
        raise ModelError("the last row of the head is not Detect", where=config.name)
    specs: list[LayerSpec] = []
    blocks = 0
    for row in config.layers[:-1]:
        blocks += scale_repeats(row.repeats, config.depth)
        if blocks > _MAX_BLOCKS:
            raise ModelError(f"more than {_MAX_BLOCKS} blocks", where=_where(row, config), hint="lower its number")
        specs.append(_layer(row, specs, config, classes, channels))
    detect = _detect(config.layers[-1], specs, config, classes)
    strides = _strides(detect, specs)
    anchors = _ordered(detect.args["anchors"], strides)
    detect = LayerSpec(**{**vars(detect), "args": {**detect.args, "anchors": anchors}})
    kept = {s for spec in (*specs, detect) for s in spec.sources if s not in (INPUT, spec.index - 1)}
    return NetworkSpec(
        (*specs, detect), detect.args["nc"], channels, strides, anchors, config.activation, frozenset(kept)
    )


def scale_channels(channels: int, width: float) -> int:
    """Channels times the width multiple, rounded up to a multiple of 8."""
    return math.ceil(channels * width / 8) * 8


def scale_repeats(repeats: int, depth: float) -> int:
    """Repeats times the depth multiple, at least 1; a single one stays single."""
    return max(round(repeats * depth), 1) if repeats > 1 else repeats


def _layer(row: Row, specs: Sequence[LayerSpec], config: ModelConfig, nc: int, channels: int) -> LayerSpec:
    where = _where(row, config)
    rule = _rule(row, where)
    sources = _sources(row, len(specs), where)
    given = tuple(channels if s == INPUT else specs[s].out_channels for s in sources)
    sizes = [TRACE_SIZE if s == INPUT else specs[s].size for s in sources]
    repeats = scale_repeats(row.repeats, config.depth)
    try:
        args, out = _arguments(row, rule, given, config, nc)
        if rule.family == "stack":
            args, repeats = {**args, "n": repeats}, 1
        if repeats > 1 and out != given[0]:
            raise ValueError(f"{repeats} in a row, but {given[0]} channels in and {out} out")
        if len(set(sizes)) > 1:
            raise ValueError(f"joins layers of different size (strides {_stride_list(sizes)})")
        size = _final_size(rule, sizes[0], args, repeats)
    except ValueError as error:
        raise ModelError(f"{row.module}: {error}", where=where) from None
    return LayerSpec(len(specs), sources, row.module, args, given, out, repeats, size, where)


def _arguments(
    row: Row, rule: Rule, given: tuple[int, ...], config: ModelConfig, nc: int
) -> tuple[dict[str, Any], int]:
    """The row's named arguments and its output channels; raises ValueError."""
    values = list(row.args)
    if rule.family not in ("conv", "stack"):
        args = bind(rule.parameters, values)
        return args, _kept_channels(rule, args, given)
    if not values:
        raise ValueError("no output channels given")
    words = {"nc": nc, "no": config.anchors_per_level * (nc + 5)}
    first = words.get(values[0], values[0]) if isinstance(values[0], str) else values[0]
    out = whole(1, MAX_CHANNELS)(first)
    if out != words["no"]:  # the format's own rule: a layer of exactly the output's width is not scaled
        out = whole(1, MAX_CHANNELS)(scale_channels(out, config.width))
    args = bind(rule.parameters, values[1:])
    _check_groups(args, given[0], out)
    return args, out


def _kept_channels(rule: Rule, args: dict[str, Any], given: tuple[int, ...]) -> int:
    if rule.family == "Concat":
        return whole(1, MAX_CHANNELS)(sum(given))
    if rule.family == "Contract":
        return whole(1, MAX_CHANNELS)(given[0] * args["gain"] ** 2)
    if rule.family == "Expand":
        if given[0] % args["gain"] ** 2:
            raise ValueError(f"{given[0]} channels do not divide by gain² = {args['gain'] ** 2}")
        return given[0] // args["gain"] ** 2
    return given[0]


def _check_groups(args: dict[str, Any], given: int, out: int) -> None:
    hidden = int(out * args["e"]) if "e" in args else out
    if hidden < 1:
        raise ValueError(f"{out} channels at ratio {args['e']} leave none")
    groups = args.get("g", 1)
    if groups > 1 and any(count % groups for count in (hidden, out, given if "e" not in args else hidden)):
        raise ValueError(f"{given} channels in and {out} out do not divide into {groups} groups")


def _final_size(rule: Rule, size: int, args: dict[str, Any], repeats: int) -> int:
    for _ in range(repeats):
        size = rule.size(size, args)
        if not 1 <= size <= 64 * TRACE_SIZE:
            raise ValueError(f"leaves nothing of a {TRACE_SIZE} pixel input (or far too much)")
    return size


def _detect(row: Row, specs: list[LayerSpec], config: ModelConfig, nc: int) -> LayerSpec:
    where = _where(row, config)
    sources = _sources(row, len(specs), where)
    if not 1 <= len(row.args) <= 2:
        raise ModelError(f"Detect: {len(row.args)} arguments; it takes nc, anchors", where=where)
    written, anchors = (*row.args, "anchors")[:2]
    if written not in ("nc", nc) and not isinstance(written, int):
        raise ModelError(f"Detect: {show(written)} is not nc", where=where)
    anchors = config.anchors if anchors == "anchors" else parse_anchors(anchors, where)
    if isinstance(anchors, int):  # to be found from the data; YOLOv5 starts from 0, 1, 2, …
        anchors = (tuple(float(size) for size in range(2 * anchors)),) * len(sources)
    if len(anchors) != len(sources):
        raise ModelError(f"Detect: {len(anchors)} levels of anchors for {len(sources)} inputs", where=where)
    if row.repeats != 1 or INPUT in sources:
        raise ModelError("Detect: must stand once, on earlier layers", where=where)
    given = tuple(specs[s].out_channels for s in sources)
    args = {"nc": nc, "anchors": anchors}
    out = len(anchors[0]) // 2 * (nc + 5)
    return LayerSpec(len(specs), sources, "Detect", args, given, out, 1, 0, where)


def _strides(detect: LayerSpec, specs: Sequence[LayerSpec]) -> tuple[int, ...]:
    strides = [specs[source].stride for source in detect.sources]
    if any(stride < 1 or stride != int(stride) for stride in strides):
        what = f"Detect: strides {_stride_list([specs[s].size for s in detect.sources])} are not whole"
        raise ModelError(what, where=detect.where)
    return tuple(int(stride) for stride in strides)


def _ordered(anchors: tuple[tuple[float, ...], ...], strides: tuple[int, ...]) -> tuple[tuple[float, ...], ...]:
    """Anchors in the order of the strides: small ones to the finest level."""
    areas = [sum(w * h for w, h in zip(level[::2], level[1::2])) / len(level) for level in anchors]
    against = (areas[-1] - areas[0]) * (strides[-1] - strides[0]) < 0
    return anchors[::-1] if against else anchors


def _sources(row: Row, index: int, where: str) -> tuple[int, ...]:
    sources = tuple(s + index if s < 0 else s for s in row.sources)
    for written, source in zip(row.sources, sources):
        if not (0 <= source < index or (index == 0 and written == INPUT)):
            raise ModelError(f"{row.module}: from {written} is not an earlier layer (this is {index})", where=where)
    if len(sources) > 1 and row.module not in _STACKED_SOURCES:
        raise ModelError(f"{row.module}: takes one input, from names {len(sources)}", where=where)
    return sources


def _rule(row: Row, where: str) -> Rule:
    name = row.module.removeprefix("torch.")
    if name == "Detect":
        raise ModelError("Detect: only the last row may be Detect", where=where)
    if name not in RULES:
        raise ModelError(f"unknown module {show(row.module)}", where=where, hint=f"known: {', '.join(RULES)}")
    return RULES[name]


def _where(row: Row, config: ModelConfig) -> str:
    return f"{config.name}: {row.section} row {row.number}"


def _stride_list(sizes: Sequence[int]) -> str:
    return ", ".join(f"{TRACE_SIZE / size:g}" for size in sizes)

"""The export to this project's own compiled detector."""

from __future__ import annotations

import dataclasses
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from yolo import runtime
from yolo.config.commands import ExportConfig
from yolo.data.dataset import Dataset
from yolo.errors import ConfigError
from yolo.formats.evidence import Evidence
from yolo.formats.portable import HEADS, Portable
from yolo.formats.request import layout_of
from yolo.formats.runtimes import CompiledFile
from yolo.formats.verify import Verdict, keep, verdict_path, verify
from yolo.inference.calibration import Calibration
from yolo.inference.models import program_model
from yolo.inference.precision import precision_of
from yolo.io.files import folder_beside
from yolo.program.compiled import CompiledNetwork
from yolo.program.dump import graph_lines, plan_lines
from yolo.program.file import ProgramFile, save_program
from yolo.program.int8.build import Cost, quantise
from yolo.program.ir import Graph
from yolo.program.lower import lower
from yolo.program.passes import optimise

TOLERANCE = 1e-4
"""Of float32: Winograd's sums are rounded otherwise than those of convolutions as they are defined."""

logger = logging.getLogger("yolo")


def export_program(config: ExportConfig, portable: Portable, dataset: Dataset | None) -> dict[str, Any]:
    """Write ``<weights>.program`` and give its part of the command's JSON; int8 is calibrated on ``dataset``.

    Raises ConfigError where the network does not compile so.
    """
    begin, precision = time.perf_counter(), precision_of(half=config.half, int8=config.int8)
    graph, cost = _optimised(config, portable, precision, dataset)
    checkpoint = portable.checkpoint
    facts = (checkpoint.names, portable.spec.strides, checkpoint.anchors, precision, max(portable.size))
    program, path = ProgramFile(graph, *facts), portable.file(".program")
    with folder_beside(path) as room:
        written = save_program(room / path.name, program)
        seconds, megabytes = time.perf_counter() - begin, written.stat().st_size / 1e6
        verdict = _verified(written, path, portable, program, dataset, config)
        verdict_path(path).unlink(missing_ok=True)  # it is the earlier file's
        os.replace(written, path)
    logger.info("compiled in %.2f s: %s (%.1f MB, %s)", seconds, path, megabytes, precision)
    told = keep(verdict.to_json(), str(verdict), path, [path])
    logger.info('try it: python -m yolo.detect --weights %s --source …, or Detector("%s") in a program', path, path)
    found = {"files": [str(path)], "precision": precision, "seconds": round(seconds, 3), "verified": [told]}
    return found if cost is None else {**found, "int8": _say_cost(portable, program, dataset, cost)}


def _optimised(
    config: ExportConfig, portable: Portable, precision: str, dataset: Dataset | None
) -> tuple[Graph, Cost | None]:
    """The graph for inference, and what int8 costs it; with ``--dump`` everything about it is printed."""
    size, spec, page = portable.size, portable.spec, sys.stderr if config.json else sys.stdout

    def watched(title: str, graph: Graph) -> None:
        if config.dump:
            print("\n".join(graph_lines(title, graph, size)), file=page)

    graph, cost = optimise(lower(spec, portable.checkpoint.model), precision, watched), None
    looked_at = Calibration(dataset, size).images(max(spec.strides)) if precision == "int8" else []
    try:
        if precision == "int8":
            graph, cost = quantise(graph, looked_at)
            watched("quantise", graph)
        compiled, shape = CompiledNetwork(graph, precision=precision), (1, spec.channels, *size)
        executor = compiled.program(shape)
    except (ValueError, RuntimeError) as error:
        raise ConfigError(str(error), where=portable.weights, hint="choose another precision or size") from error
    if config.dump:
        executor.profile()
        executor(np.zeros(shape, np.uint8))
        print("\n".join(plan_lines(compiled.plan(shape), executor)), file=page)
    return graph, cost


def _verified(
    written: Path, path: Path, portable: Portable, program: ProgramFile, dataset: Dataset | None, config: ExportConfig
) -> Verdict:
    """What the file, read back, gives on real images: in float32 beside convolutions as they are defined, in another
    precision, whose cost is told elsewhere, beside the program that was written, of which no bit may differ.
    """
    exact = program.precision == "fp32"
    evidence = Evidence.of(dataset if exact else None)
    layout = dataclasses.replace(layout_of(config, portable.size), batch=1, dynamic=True, output=HEADS)
    verdict = Verdict("program", path, HEADS, TOLERANCE if exact else 0.0)
    reference = program_model(portable.weights, program, exact=exact).heads()
    return verify(CompiledFile, written, portable, layout, evidence, verdict, reference)


def _say_cost(portable: Portable, program: ProgramFile, dataset: Dataset, cost: Cost) -> dict[str, Any]:
    """Tell how far the heads move and, where the data set has a val split of these classes, what that costs in mAP."""
    logger.info("%s", cost)
    told: dict[str, Any] = {"movement": cost.movement, "kept": list(cost.kept), "convolutions": cost.int8}
    if "val" not in dataset.splits or dataset.nc != len(program.names):
        logger.info("mAP is not measured: %s has no val split of these classes", dataset.source)
        return told
    runtime.select_device("cpu")
    from yolo.engine.int8_cost import cost_in_files

    try:
        in_map = cost_in_files(portable.program, program, dataset)
    except ConfigError as error:
        logger.warning("mAP is not measured: %s", error)
        return told
    logger.info("%s", in_map)
    return told | in_map.to_json()

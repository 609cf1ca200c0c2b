"""``python -m yolo.export``: weights to files that other programs run."""

from __future__ import annotations

if __name__ == "__main__":  # before whatever takes time to load
    from yolo.stops import run

    run("yolo.export")

import dataclasses
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from yolo import runtime
from yolo.command import run_command
from yolo.config.commands import ExportConfig
from yolo.config.values import stride_multiple
from yolo.errors import ConfigError
from yolo.inference.calibration import Calibration
from yolo.inference.precision import precision_of

if TYPE_CHECKING:
    from yolo.models.spec import NetworkSpec
    from yolo.models.weights.checkpoint import Checkpoint
    from yolo.program.file import ProgramFile
    from yolo.program.int8.build import Cost
    from yolo.program.ir import Graph

logger = logging.getLogger("yolo")


def export(config: ExportConfig) -> dict[str, Any]:
    """Export as ``config`` says; give the command's JSON object without its head."""
    from yolo.models.weights.load import load_weights, resolve_weights
    from yolo.program.file import ProgramFile, save_program
    from yolo.program.footprint import inference_bytes, require_memory
    from yolo.program.lower import lower
    from yolo.program.state import checked_state

    if config.int8 and not config.data:
        raise ConfigError("needs a data set to be calibrated on", where="--int8", hint="name one with --data")
    config = dataclasses.replace(config, weights=str(resolve_weights(config.weights)))
    checkpoint = load_weights(config.weights)
    spec = checkpoint.spec
    checkpoint = dataclasses.replace(checkpoint, model=checked_state(spec, checkpoint.model))
    imgsz = stride_multiple(config.imgsz, max(spec.strides))
    shape = (1, spec.channels, imgsz, imgsz)
    require_memory(inference_bytes(lower(spec, {}), shape, _precision(config)), shape, f"--imgsz {config.imgsz}")
    begin = time.perf_counter()
    graph, cost = _optimised(config, spec, checkpoint, imgsz)
    precision = _precision(config)
    program = ProgramFile(graph, checkpoint.names, spec.strides, checkpoint.anchors, precision, imgsz)
    path = save_program(Path(config.weights).with_suffix(".program"), program)
    seconds = time.perf_counter() - begin
    megabytes = path.stat().st_size / 1e6
    logger.info("compiled in %.2f s: %s (%.1f MB, %s)", seconds, path, megabytes, _precision(config))
    logger.info('try it: python -m yolo.detect --weights %s --source …, or Detector("%s") in a program', path, path)
    found = {"files": [str(path)], "precision": _precision(config), "seconds": round(seconds, 3)}
    return found if cost is None else {**found, "int8": _say_cost(config, spec, checkpoint, program, cost)}


def _optimised(
    config: ExportConfig, spec: NetworkSpec, checkpoint: Checkpoint, imgsz: int
) -> tuple[Graph, Cost | None]:
    """The graph for inference, and what int8 costs it; with ``--dump`` everything about it is printed."""
    from yolo.data.load import load_dataset
    from yolo.program.compiled import CompiledNetwork
    from yolo.program.dump import graph_lines, plan_lines
    from yolo.program.int8.build import quantise
    from yolo.program.lower import lower
    from yolo.program.passes import optimise

    size, page = (imgsz, imgsz), sys.stderr if config.json else sys.stdout

    def watched(title: str, graph: Graph) -> None:
        if config.dump:
            print("\n".join(graph_lines(title, graph, size)), file=page)

    graph, cost = optimise(lower(spec, checkpoint.model), _precision(config), watched), None
    looked_at = Calibration(load_dataset(config.data), size).images(max(spec.strides)) if config.int8 else []
    try:
        if config.int8:
            graph, cost = quantise(graph, looked_at)
            watched("quantise", graph)
        compiled, shape = CompiledNetwork(graph, precision=_precision(config)), (1, spec.channels, *size)
        executor = compiled.program(shape)
    except (ValueError, RuntimeError) as error:
        raise ConfigError(str(error), where=config.weights, hint="choose another precision or size") from error
    if config.dump:
        executor.profile()
        executor(np.zeros(shape, np.uint8))
        print("\n".join(plan_lines(compiled.plan(shape), executor)), file=page)
    return graph, cost


def _say_cost(
    config: ExportConfig, spec: NetworkSpec, checkpoint: Checkpoint, program: ProgramFile, cost: Cost
) -> dict[str, Any]:
    """Tell how far the heads move and, where the data set has a val split of these classes, what that costs in mAP."""
    from yolo.data.load import load_dataset

    logger.info("%s", cost)
    told: dict[str, Any] = {"movement": cost.movement, "kept": list(cost.kept), "convolutions": cost.int8}
    dataset = load_dataset(config.data)
    if "val" not in dataset.splits or dataset.nc != len(program.names):
        logger.info("mAP is not measured: %s has no val split of these classes", dataset.source)
        return told
    runtime.select_device("cpu")
    from yolo.engine.int8_cost import cost_in_files
    from yolo.program.lower import lower
    from yolo.program.passes import optimise

    plain = dataclasses.replace(program, graph=optimise(lower(spec, checkpoint.model)), precision="fp32")
    try:
        in_map = cost_in_files(plain, program, dataset)
    except ConfigError as error:
        logger.warning("mAP is not measured: %s", error)
        return told
    logger.info("%s", in_map)
    return told | in_map.to_json()


def _precision(config: ExportConfig) -> str:
    return precision_of(half=config.half, int8=config.int8)


def main(argv: list[str] | None = None) -> int:
    """Run the command; give its exit code."""
    return run_command("yolo.export", ExportConfig, export, argv)

"""``python -m yolo.export``: weights to files that other programs run."""

from __future__ import annotations

import dataclasses
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from yolo.command import run_command, stride_multiple
from yolo.config.commands import ExportConfig
from yolo.errors import ConfigError

if TYPE_CHECKING:
    from yolo.models.spec import NetworkSpec
    from yolo.models.weights.checkpoint import Checkpoint
    from yolo.program.ir import Graph

logger = logging.getLogger("yolo")


def export(config: ExportConfig) -> dict[str, Any]:
    """Export as ``config`` says; give the command's JSON object without its head."""
    from yolo.models.config import parse_model_config
    from yolo.models.parser import parse_network
    from yolo.models.weights.load import load_weights, resolve_weights

    config = dataclasses.replace(config, weights=str(resolve_weights(config.weights)))
    checkpoint = load_weights(config.weights)
    spec = parse_network(parse_model_config(checkpoint.config, name="the checkpoint's configuration"))
    imgsz = stride_multiple(config.imgsz, max(spec.strides))
    begin = time.perf_counter()
    graph = _optimised(config, spec, checkpoint, imgsz)
    path = _write(config, spec, checkpoint, graph, imgsz)
    seconds = time.perf_counter() - begin
    megabytes = path.stat().st_size / 1e6
    logger.info("compiled in %.2f s: %s (%.1f MB, %s)", seconds, path, megabytes, _precision(config))
    logger.info('try it: python -m yolo.detect --weights %s --source …, or Detector("%s") in a program', path, path)
    return {"files": [str(path)], "precision": _precision(config), "seconds": round(seconds, 3)}


def _optimised(config: ExportConfig, spec: NetworkSpec, checkpoint: Checkpoint, imgsz: int) -> Graph:
    """The graph for inference; with ``--dump`` everything about it is printed."""
    from yolo.program.compiled import CompiledNetwork
    from yolo.program.dump import graph_lines, step_lines
    from yolo.program.lower import lower
    from yolo.program.passes import optimise

    size, page = (imgsz, imgsz), sys.stderr if config.json else sys.stdout

    def watch(title: str, graph: Graph) -> None:
        print("\n".join(graph_lines(title, graph, size)), file=page)

    graph = optimise(lower(spec, checkpoint.model), _precision(config), watch if config.dump else None)
    try:
        program = CompiledNetwork(graph, precision=_precision(config)).program((1, spec.channels, *size))
    except (ValueError, RuntimeError) as error:
        raise ConfigError(str(error), where=config.weights, mend="choose another precision or size") from error
    if config.dump:
        program.profile(np.zeros((1, spec.channels, *size), np.uint8))
        print("\n".join(step_lines(program)), file=page)
    return graph


def _write(config: ExportConfig, spec: NetworkSpec, checkpoint: Checkpoint, graph: Graph, imgsz: int) -> Path:
    from yolo.program.file import ProgramFile, save_program

    # The anchors of a trained network lie in its state, divided by the strides; those of the model file may be others.
    cells = checkpoint.model[f"model.{len(spec.layers) - 1}.anchors"].astype(np.float32)
    anchors = cells.reshape(len(spec.strides), -1, 2) * np.array(spec.strides, np.float32).reshape(-1, 1, 1)
    program = ProgramFile(graph, checkpoint.names, spec.strides, anchors, _precision(config), imgsz)
    return save_program(Path(config.weights).with_suffix(".program"), program)


def _precision(config: ExportConfig) -> str:
    return "bf16" if config.half else "fp32"


def main(argv: list[str] | None = None) -> int:
    """Run the command; give its exit code."""
    return run_command("yolo.export", ExportConfig, export, argv)


if __name__ == "__main__":
    sys.exit(main())

"""A network's state compiled, in the precision that was asked for."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from yolo.errors import ConfigError, WeightsError
from yolo.models.spec import NetworkSpec
from yolo.program._native import native
from yolo.program.compiled import CompiledNetwork
from yolo.program.int8.build import quantise
from yolo.program.lower import lower
from yolo.program.passes import optimise

logger = logging.getLogger("yolo")


def is_compiled(device: str, mode: str, precision: str = "fp32") -> bool:
    """Whether a network runs as a compiled program there, or as plain OneFlow modules: on a GPU, and in mode "off".

    Raises ConfigError for a precision that only programs have.
    """
    compiled = mode != "off" and device == "cpu"
    if not compiled and precision != "fp32":
        raise ConfigError(f"{precision} needs a compiled program", where="--compile", hint="leave it at program")
    return compiled


def compile_network(
    spec: NetworkSpec,
    state: Mapping[str, np.ndarray],
    *,
    precision: str = "fp32",
    threads: int = 0,
    calibration: Sequence[np.ndarray] = (),
) -> CompiledNetwork:
    """The compiled programs of a network with this state.

    int8 needs ``calibration``: images, uint8 ``[3, H, W]`` each; what it costs is said. Raises ConfigError for a
    precision that is not to be had.
    """
    if precision == "int8":
        return _calibrated(spec, state, calibration, threads)
    compiled = CompiledNetwork.of(spec, state, precision=precision, threads=threads)
    if precision == "bf16" and not native.has_bfloat16():
        what = f"this processor has no bfloat16 instructions (it has {native.instruction_set()})"
        raise ConfigError(what, where="--half", hint="leave it out")
    return compiled


def _calibrated(
    spec: NetworkSpec, state: Mapping[str, np.ndarray], images: Sequence[np.ndarray], threads: int
) -> CompiledNetwork:
    """The network in int8; says what that costs."""
    try:
        graph = optimise(lower(spec, state), "int8")
        graph, cost = quantise(graph, images, threads=threads)
    except ValueError as error:
        raise ConfigError(str(error), where="--int8", hint="leave it out") from error
    logger.info("%s", cost)
    return CompiledNetwork(graph, precision="int8", threads=threads)


@contextlib.contextmanager
def as_weights_error(where: object) -> Iterator[None]:
    """Raise WeightsError, which names the file, for what the compiler and its executors refuse of a file's program."""
    try:
        yield
    except (ValueError, RuntimeError, MemoryError) as error:
        what = str(error)[:400] or "there is not enough memory"
        raise WeightsError(f"does not run here: {what}", where=where) from error

"""A network's state compiled, in the precision that was asked for."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from yolo.errors import ConfigError, WeightsError
from yolo.models.spec import NetworkSpec
from yolo.program.compiled import CompiledNetwork
from yolo.program.target import unsupported

logger = logging.getLogger("yolo")


def is_compiled(device: str, mode: str, precision: str = "fp32") -> bool:
    """Whether a network runs as a compiled program, or as plain OneFlow modules.

    That is so with ``mode`` "off" and on a device for which nothing is compiled. Raises ConfigError for a precision
    that is not to be had there.
    """
    compiled = mode != "off" and unsupported(device) is None
    if not compiled and precision != "fp32":
        if mode == "off":
            raise ConfigError(f"{precision} needs a compiled program", where="--compile", hint="leave it at program")
        raise ConfigError(f"{precision} needs a compiled program: {unsupported(device)}", where=f"--device {device}")
    reason = unsupported(device, precision) if compiled else None
    if reason is not None:
        option = "--int8" if precision == "int8" else "--half"
        elsewhere = " or use --device cpu" if device != "cpu" else ""
        raise ConfigError(reason, where=option, hint=f"leave it out{elsewhere}")
    return compiled


def modules_on(device: str, mode: str) -> str:
    """Where a network's modules lie: on the processor, where compiled programs run in their stead."""
    return "cpu" if is_compiled(device, mode) else device


def refuse_exact(exact: bool, device: str) -> None:
    """Raise ConfigError for ``exact`` on a GPU."""
    if exact and device != "cpu":
        what = "a GPU's convolutions are computed as cuDNN chooses"
        raise ConfigError(what, where="--exact", hint="leave it out, or use --device cpu")


def compile_network(
    spec: NetworkSpec,
    state: Mapping[str, np.ndarray],
    *,
    precision: str = "fp32",
    calibration: Sequence[np.ndarray] = (),
    device: str = "cpu",
    exact: bool = False,
) -> CompiledNetwork:
    """The compiled programs of a network with this state, for "cpu" or "cuda:N"; ``exact``: see ``CompiledNetwork``.

    ``is_compiled`` has allowed the precision. int8 needs ``calibration``: images, uint8 ``[3, H, W]`` each; what it
    costs is said. Raises ConfigError where they do not do.
    """
    if precision == "int8":
        return _calibrated(spec, state, calibration)
    return CompiledNetwork.of(spec, state, precision=precision, device=device, exact=exact)


def _calibrated(spec: NetworkSpec, state: Mapping[str, np.ndarray], images: Sequence[np.ndarray]) -> CompiledNetwork:
    """The network in int8; says what that costs."""
    from yolo.program.int8.build import quantise
    from yolo.program.lower import lower
    from yolo.program.passes import optimise

    try:
        graph = optimise(lower(spec, state), "int8")
        graph, cost = quantise(graph, images)
    except ValueError as error:
        raise ConfigError(str(error), where="--int8", hint="leave it out") from error
    logger.info("%s", cost)
    return CompiledNetwork(graph, precision="int8")


@contextlib.contextmanager
def as_weights_error(where: object) -> Iterator[None]:
    """Raise WeightsError, which names the file, for what the compiler and its executors refuse of a file's program."""
    try:
        yield
    except (ValueError, RuntimeError, MemoryError) as error:
        what = str(error)[:400] or "there is not enough memory"
        raise WeightsError(f"does not run here: {what}", where=where) from error

"""Weights files made ready to run: plain networks and compiled ones; one of them, or an ensemble."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from yolo import runtime
from yolo.class_names import ClassNames, class_order
from yolo.errors import ConfigError
from yolo.inference.compile import as_weights_error, compile_network, is_compiled, refuse_exact
from yolo.inference.precision import precision_of, short_precision
from yolo.inference.runner import CompiledRunner, Guard, Run, Runner
from yolo.program.compiled import CompiledNetwork
from yolo.program.detection import NmsSettings
from yolo.program.file import ProgramFile, is_program, load_program
from yolo.program.footprint import image_bytes, inference_bytes
from yolo.program.ir import Shape
from yolo.program.lower import lower
from yolo.program.state import checked_state
from yolo.program.target import unsupported

if TYPE_CHECKING:  # what a compiled detector's file does not need comes when it is needed
    from yolo.inference.calibration import Calibration
    from yolo.inference.ensemble import RawHeadRunner
    from yolo.models.network import Network
    from yolo.models.weights.checkpoint import Checkpoint

Weights = str | Path


class Model(Protocol):
    """What a weights file holds."""

    where: Weights
    names: tuple[str, ...]
    strides: tuple[int, ...]
    imgsz: int | None
    """The image size that it was made for, where it says so."""
    network: Network
    """As plain modules; raises ConfigError where the file has none."""

    def runner(self, settings: NmsSettings) -> Runner:
        """It alone, with decoding and suppression as its last operator."""

    def heads(self) -> RawHeadRunner:
        """Its raw heads."""

    def least_bytes(self, shape: Shape) -> int:
        """Of this machine's memory that it takes at least for images uint8 of this shape, ``[B, 3, H, W]``."""


class PlainModel:
    """A network that runs as plain OneFlow modules; not ``alone``, as one of several ranks, without graphs."""

    imgsz = None

    def __init__(self, where: Weights, checkpoint: Checkpoint, device: str, *, alone: bool = True) -> None:
        self.where, self.names, self.strides = where, checkpoint.names, checkpoint.strides
        self.network, self._device, self._alone = _plain(checkpoint), device, alone

    def runner(self, settings: NmsSettings) -> Runner:
        from yolo.inference.graph_runner import PlainRunner

        return PlainRunner(self.network, settings, self._device, alone=self._alone)

    def heads(self) -> RawHeadRunner:
        from yolo.inference.graph_runner import PlainHeads

        return PlainHeads(self.network, self._device, alone=self._alone)

    def least_bytes(self, shape: Shape) -> int:
        if self._device != "cpu":
            return image_bytes(shape)
        return inference_bytes(lower(self.network.spec, {}), shape)


class CompiledModel:
    """A network as programs for the processor or a GPU. Weights' run in graphs, a compiled detector's by themselves."""

    def __init__(
        self,
        where: Weights,
        compiled: CompiledNetwork,
        names: tuple[str, ...],
        anchors: np.ndarray,
        strides: tuple[int, ...],
        *,
        imgsz: int | None = None,
        run: Callable[[NmsSettings], Run] | None = None,
        guard: Guard = contextlib.nullcontext,
    ) -> None:
        """``anchors``, float32 ``[nl, na, 2]`` in pixels; ``run``, ``guard``: see ``CompiledRunner``."""
        self.where, self.names, self.strides, self.imgsz = where, names, strides, imgsz
        self._compiled, self._anchors, self._run, self._guard = compiled, anchors, run, guard

    @functools.cached_property
    def network(self) -> Network:
        if is_program(self.where):
            what = "a compiled detector has no layers to show"
            raise ConfigError(what, where="--visualize", hint="name its weights")
        from yolo.models.weights.load import load_weights

        return _plain(load_weights(self.where))

    def runner(self, settings: NmsSettings) -> Runner:
        run = self._run and self._run(settings)
        return CompiledRunner(self._compiled, self._anchors, self.strides, settings, run, self._guard)

    def heads(self) -> RawHeadRunner:
        from yolo.inference.ensemble import CompiledHeads

        return CompiledHeads(self._compiled, self._anchors, self.strides, self._guard)

    def least_bytes(self, shape: Shape) -> int:
        if self._compiled.device != "cpu":
            return image_bytes(shape)
        return inference_bytes(self._compiled.graph, shape, self._compiled.precision)


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """How weights run.

    int8: what it is calibrated on; not ``alone``: as one of several ranks; exact: all convolutions are direct.
    """

    device: str = ""
    half: bool = False
    compile: str = "program"
    int8: Calibration | None = None
    alone: bool = True
    exact: bool = False


def load_models(weights: Sequence[Weights], options: ModelOptions, *, classes: ClassNames | None = None) -> list[Model]:
    """All of ``weights``.

    Classes are numbered as in ``classes``, or else as in the first of the weights, where the names are the same ones.
    Raises WeightsError, RuntimeSetupError, and ConfigError for models that do not know the same classes.
    """
    if not weights:
        raise ConfigError("no weights are named", where="weights")
    models: list[Model] = []
    for path in weights:
        models.append((_of_program if is_program(path) else _of_weights)(path, options, classes))
        classes = ClassNames(models[0].names, models[0].where)
    for model in models[1:]:
        if len(model.names) != len(models[0].names):
            raise ConfigError(
                f"has {len(model.names)} classes, {models[0].where} has {len(models[0].names)}",
                where=model.where,
                hint="an ensemble needs weights for the same classes",
            )
    return models


def join_models(models: Sequence[Model], settings: NmsSettings, *, augment: bool = False) -> Runner:
    """One model alone, or several and augmentation with one suppression behind them."""
    if len(models) == 1 and not augment:
        return models[0].runner(settings)
    from yolo.inference.ensemble import EnsembleRunner

    return EnsembleRunner([model.heads() for model in models], settings, augment=augment)


def program_model(
    where: Weights,
    program: ProgramFile,
    *,
    device: str = "cpu",
    precision: str | None = None,
    exact: bool = False,
) -> CompiledModel:
    """A compiled detector's, in its own precision or another one that its graph serves.

    Raises WeightsError where it does not fit this machine, as its runs do.
    """
    guard = functools.partial(as_weights_error, where)
    with guard():
        precision = precision or program.precision
        compiled = CompiledNetwork(program.graph, precision=precision, device=device, exact=exact)
    found = (program.names, program.anchors, program.strides)
    return CompiledModel(where, compiled, *found, imgsz=program.imgsz, guard=guard)


def _of_program(where: Weights, options: ModelOptions, classes: ClassNames | None) -> CompiledModel:
    """A compiled detector's file, which has decided nearly all of these; it runs without graphs, so ``alone`` is all
    one. On a GPU one in fp32 runs in float16 where ``half`` says so.
    """
    device = runtime.program_device(options.device)
    if options.int8 is not None or options.compile != "program" or (options.half and device == "cpu"):
        raise ConfigError(
            "a compiled detector has its precision", where="weights", hint="leave --half, --int8 and --compile out"
        )
    program = load_program(where)
    precision = program.precision
    if options.half and precision == "fp32":
        precision = short_precision(device)
    reason = unsupported(device, precision)
    if reason is not None and not options.device.strip():  # nobody asked for a GPU
        device = "cpu"
        precision, reason = program.precision, unsupported(device, program.precision)
    if reason is not None:
        raise ConfigError(reason, where=where, hint="export it anew, or use --device cpu")
    refuse_exact(options.exact, device)
    order = None if classes is None else class_order(program.names, classes, where)
    program = program if order is None else program.in_order(order)
    return program_model(where, program, device=device, precision=precision, exact=options.exact)


def _of_weights(where: Weights, options: ModelOptions, classes: ClassNames | None) -> Model:
    """A `.pt` or `.safetensors` file's."""
    from yolo.models.weights.classes import in_order_of
    from yolo.models.weights.load import load_weights

    wanted = "cpu" if options.int8 is not None and not options.device.strip() else options.device  # no GPU computes so
    device = runtime.select_device(wanted, compile=options.compile)
    refuse_exact(options.exact, device)
    precision = precision_of(half=options.half, int8=options.int8 is not None, device=device)
    checkpoint = in_order_of(load_weights(where), classes, where)
    if not is_compiled(device, options.compile, precision):
        return PlainModel(where, checkpoint, device, alone=options.alone)
    from graphs.detect import DetectGraphs

    spec, state = checkpoint.spec, checked_state(checkpoint.spec, checkpoint.model)
    looked_at = () if options.int8 is None else options.int8.images(max(spec.strides))
    how = {"precision": precision, "device": device, "exact": options.exact}
    compiled = compile_network(spec, state, calibration=looked_at, **how)
    found = (checkpoint.names, checkpoint.anchors, spec.strides)
    return CompiledModel(where, compiled, *found, run=functools.partial(DetectGraphs, graphs=options.alone))


def _plain(checkpoint: Checkpoint) -> Network:
    from graphs.base import StaticGraph
    from yolo.models.weights.transfer import network_from_checkpoint

    with StaticGraph.turns.turn():
        return network_from_checkpoint(checkpoint).eval()

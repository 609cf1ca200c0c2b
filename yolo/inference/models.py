"""Weights files made ready to run: a network, or a compiled detector; one of them, or an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from yolo import runtime
from yolo.class_names import ClassNames, class_order
from yolo.errors import ConfigError
from yolo.inference.calibration import Calibration, precision_of
from yolo.inference.heads import CompiledHeads, RawHeadRunner, ReorderedHeads
from yolo.inference.joint_forward import EnsembleRunner
from yolo.inference.program_forward import ProgramForward, ProgramHeads
from yolo.program.detection import NmsSettings
from yolo.program.file import is_program, load_program
from yolo.program.footprint import Shape, image_bytes, inference_bytes
from yolo.program.lower import lower

if TYPE_CHECKING:
    import numpy as np

Weights = str | Path


class Detecting(Protocol):
    """Gives detections of pictures: ``Forward``, ``ProgramForward`` or ``EnsembleRunner``."""

    compile_seconds: float
    nms_seconds: float

    def detect(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


class Model(Protocol):
    """What a weights file holds."""

    where: Weights
    names: tuple[str, ...]
    strides: tuple[int, ...]
    imgsz: int | None
    """The picture size that it was made for, where it says so."""

    def forward(self, settings: NmsSettings) -> Detecting:
        """It alone, with decoding and suppression as its last operator."""

    def heads(self) -> RawHeadRunner:
        """Its raw heads."""

    def least_bytes(self, shape: Shape) -> int:
        """Of this machine's memory that it takes at least for images uint8 of this shape, ``[B, 3, H, W]``."""


class WeightsModel:
    """A network of a `.pt` or `.safetensors` file.

    As one of several ranks it is not ``alone``.
    """

    imgsz = None

    def __init__(
        self,
        where: Weights,
        *,
        device: str = "",
        half: bool = False,
        compile: str = "program",
        int8: Calibration | None = None,
        alone: bool = True,
        classes: ClassNames | None = None,
    ) -> None:
        precision = precision_of(half=half, int8=int8 is not None)
        self._device = runtime.select_device(device)
        from graphs.base import StaticGraph
        from yolo.inference.forward import compile_network
        from yolo.models.weights.classes import in_order_of
        from yolo.models.weights.load import load_weights
        from yolo.models.weights.transfer import network_from_checkpoint

        checkpoint = in_order_of(load_weights(where), classes, where)
        self.where, self.names, self.strides = where, checkpoint.names, checkpoint.strides
        with StaticGraph.turns.turn():
            self.network = network_from_checkpoint(checkpoint)
        looked_at = () if int8 is None else int8.pictures(max(self.strides))
        self._alone = alone
        self._compiled = compile_network(
            self.network, self._device, mode=compile, precision=precision, calibration=looked_at
        )

    def forward(self, settings: NmsSettings) -> Detecting:
        from yolo.inference.forward import Forward

        return Forward(self.network, settings, self._device, self._compiled, alone=self._alone)

    def heads(self) -> RawHeadRunner:
        if self._compiled is not None:
            return CompiledHeads(self._compiled, self.network.anchors, self.strides)
        from yolo.inference.plain_heads import PlainHeads

        return PlainHeads(self.network, self._device, alone=self._alone)

    def least_bytes(self, shape: Shape) -> int:
        if self._device != "cpu":
            return image_bytes(shape)
        if self._compiled is None:
            return inference_bytes(lower(self.network.spec, {}), shape)
        return inference_bytes(self._compiled.graph, shape, self._compiled.precision)


class ProgramModel:
    """A compiled detector's file."""

    def __init__(
        self,
        where: Weights,
        *,
        device: str = "",
        half: bool = False,
        compile: str = "program",
        int8: Calibration | None = None,
        classes: ClassNames | None = None,
        **_: object,
    ) -> None:
        _refuse_for_program(device=device, low=half or int8 is not None, compile=compile)
        self._program = load_program(where)
        self.where, self.imgsz = where, self._program.imgsz
        self.names, self.strides = self._program.names, self._program.strides
        self._order = None if classes is None else class_order(self.names, classes, where)
        if self._order is not None:
            self.names = classes.names

    def forward(self, settings: NmsSettings) -> Detecting:
        if self._order is not None:
            return EnsembleRunner([self.heads()], settings)
        return ProgramForward(self._program, settings, where=self.where)

    def heads(self) -> RawHeadRunner:
        heads = ProgramHeads(self._program, where=self.where)
        return heads if self._order is None else ReorderedHeads(heads, self._order)

    def least_bytes(self, shape: Shape) -> int:
        return inference_bytes(self._program.graph, shape, self._program.precision)


def load_models(weights: Sequence[Weights], *, classes: ClassNames | None = None, **options: object) -> list[Model]:
    """All of ``weights``; ``options``: device, half, compile, int8 (what it is calibrated on), alone (no rank).

    Classes are numbered as in ``classes``, or else as in the first of the weights, where the names are the same ones.
    Raises WeightsError, RuntimeSetupError, and ConfigError for models that do not know the same classes.
    """
    if not weights:
        raise ConfigError("no weights are named", where="weights")
    models: list[Model] = []
    for path in weights:
        models.append((ProgramModel if is_program(path) else WeightsModel)(path, classes=classes, **options))
        classes = ClassNames(models[0].names, models[0].where)
    for model in models[1:]:
        if len(model.names) != len(models[0].names):
            raise ConfigError(
                f"knows {len(model.names)} classes, {models[0].where} knows {len(models[0].names)}",
                where=model.where,
                hint="an ensemble needs weights for the same classes",
            )
    return models


def join_models(models: Sequence[Model], settings: NmsSettings, *, augment: bool = False) -> Detecting:
    """One model alone, or several and augmentation with one suppression behind them."""
    if len(models) == 1 and not augment:
        return models[0].forward(settings)
    return EnsembleRunner([model.heads() for model in models], settings, augment=augment)


def _refuse_for_program(*, device: str, low: bool, compile: str) -> None:
    """A compiled detector's file has decided all of these."""
    if device.strip().lower() not in ("", "cpu"):
        raise ConfigError("a compiled detector runs on the CPU", where=f"--device {device}", hint="use --device cpu")
    if low or compile != "program":
        raise ConfigError(
            "a compiled detector has its precision", where="weights", hint="leave --half, --int8 and --compile out"
        )

"""A detector to call with pictures."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolo import ops, runtime
from yolo.command import stride_multiple
from yolo.data.letterbox import Letterbox, Size, fit, letterbox
from yolo.errors import ConfigError, DataError
from yolo.inference.program_forward import ProgramForward
from yolo.inference.results import Result
from yolo.inference.sources import read_picture
from yolo.program.detection import NmsSettings
from yolo.program.file import is_program, load_program

Picture = str | Path | NDArray[np.uint8]

# A picture of 640 x 640 gives 9 MB of predictions, so long lists are taken in parts.
_LARGEST_BATCH = 16


class Detector:
    """Finds objects in pictures: ``Detector("best.safetensors")("street.jpg").boxes``.

    ``weights`` is a `.safetensors` or `.pt` file, or a compiled detector (`.program`: ``python -m yolo.export``), which
    runs without OneFlow. ``imgsz`` (pixels; one number, or height and width; default: 640, or what the compiled
    detector was made for) is rounded up to the network's stride; ``conf`` and ``iou`` are the thresholds of NMS,
    ``classes`` the class numbers to keep (default: all), ``agnostic`` suppresses overlaps between classes too;
    ``names`` replaces the names in the weights.
    ``half`` computes in bfloat16; ``compile`` "off" runs plain OneFlow operators instead of the compiled program.
    Threads may share a detector; their calls go one after the other.

    Raises WeightsError, ConfigError (an option out of range) or RuntimeSetupError.
    """

    def __init__(
        self,
        weights: str | Path,
        *,
        device: str = "",
        imgsz: int | Sequence[int] | None = None,
        conf: float = 0.25,
        iou: float = 0.45,
        max_det: int = 1000,
        classes: Iterable[int] = (),
        agnostic: bool = False,
        names: Sequence[str] | None = None,
        half: bool = False,
        compile: str = "program",
    ) -> None:
        size = None if imgsz is None else _pair(imgsz)
        _check_range("conf", conf, 0, 1)
        _check_range("iou", iou, 0, 1)
        _check_range("max_det", max_det, 1)
        self.conf, self.iou, self.max_det, self.agnostic = conf, iou, max_det, agnostic
        self.classes = tuple(sorted(set(classes)))
        if is_program(weights):
            _refuse_for_program(device=device, half=half, compile=compile)
            self._use_program(weights, size, names)
        else:
            self._use_weights(weights, size, names, device, half, compile)
        self._lock = threading.Lock()

    def _use_program(self, path: str | Path, size: Size | None, names: Sequence[str] | None) -> None:
        program = load_program(path)
        settings = self._settle(program.names, program.strides, size or (program.imgsz,) * 2, names)
        self._forward = ProgramForward(program, settings, where=path)

    def _use_weights(
        self, path: str | Path, size: Size | None, names: Sequence[str] | None, device: str, half: bool, compile: str
    ) -> None:
        place = runtime.select_device(device)
        from yolo.inference.forward import Forward, compile_network
        from yolo.models.weights.load import load_weights
        from yolo.models.weights.transfer import network_from_checkpoint

        checkpoint = load_weights(path)
        settings = self._settle(checkpoint.names, checkpoint.strides, size or (640, 640), names)
        network = network_from_checkpoint(checkpoint)
        compiled = compile_network(network, place, mode=compile, precision="bf16" if half else "fp32")
        self._forward = Forward(network, settings, place, compiled)

    def _settle(
        self, own: tuple[str, ...], strides: Sequence[int], size: Size, names: Sequence[str] | None
    ) -> NmsSettings:
        """What the weights decide: names, stride and the rounded size."""
        self.names = _names(names, own)
        _check_classes(self.classes, self.names)
        self.stride = max(strides)
        self.imgsz: Size = _rounded(size, self.stride)
        return NmsSettings(self.conf, self.iou, self.max_det, self.classes, self.agnostic)

    def __call__(self, pictures: Picture | Sequence[Picture]) -> Result | list[Result]:
        """The Result of one picture, or the list of Results of a list or tuple of them, in its order.

        A picture is a path or an RGB uint8 array ``[H, W, 3]``. Pictures of one letterboxed shape go through the
        network together; each new shape is compiled once. Raises DataError for a picture that cannot be used.
        """
        if isinstance(pictures, (list, tuple)):
            return self._results(pictures)
        return self._results([pictures])[0]

    def _results(self, pictures: Sequence[Picture]) -> list[Result]:
        loaded = [(_load(picture), _path(picture)) for picture in pictures]
        groups: dict[Size, list[int]] = {}
        for index, (picture, _) in enumerate(loaded):
            size = fit(picture.shape[:2], self.imgsz, auto=True, stride=self.stride).size
            groups.setdefault(size, []).append(index)
        results: dict[int, Result] = {}
        for members in groups.values():
            for start in range(0, len(members), _LARGEST_BATCH):
                part = members[start : start + _LARGEST_BATCH]
                results.update(zip(part, self._batch([loaded[index] for index in part])))
        return [results[index] for index in range(len(loaded))]

    def _batch(self, pictures: list[tuple[NDArray[np.uint8], Path | None]]) -> list[Result]:
        """Pictures of one letterboxed shape, together."""
        begin = time.perf_counter()
        images, boxes = self._prepare([picture for picture, _ in pictures])
        prepared = time.perf_counter()
        with self._lock:
            waited, compiled = time.perf_counter(), self._forward.compile_seconds
            suppressing = self._forward.nms_seconds
            found = self._forward.detect(images)
            suppressing = self._forward.nms_seconds - suppressing
            compiling = self._forward.compile_seconds - compiled
        inferred = time.perf_counter()
        detections = self._detections(found, boxes)
        inference = inferred - waited - compiling - suppressing
        seconds = (prepared - begin, inference, suppressing + time.perf_counter() - inferred)
        speed = {name: 1000 * s / len(images) for name, s in zip(("preprocess", "inference", "nms"), seconds)}
        return [
            Result(picture, rows, self.names, path, input_size=box.size, speed_ms=speed)
            for (picture, path), rows, box in zip(pictures, detections, boxes)
        ]

    def _prepare(self, pictures: list[NDArray[np.uint8]]) -> tuple[NDArray[np.uint8], list[Letterbox]]:
        fitted = [letterbox(picture, self.imgsz, auto=True, stride=self.stride) for picture in pictures]
        images = np.stack([image for image, _ in fitted]).transpose(0, 3, 1, 2)
        return np.ascontiguousarray(images), [box for _, box in fitted]

    def _detections(
        self, found: tuple[NDArray[np.float32], NDArray[np.int32]], boxes: list[Letterbox]
    ) -> list[NDArray[np.float32]]:
        kept = [picture[:count].copy() for picture, count in zip(*found)]
        for rows, box in zip(kept, boxes):
            rows[:, :4] = ops.scale_boxes(rows[:, :4], box)
        return kept


def _load(picture: Picture) -> NDArray[np.uint8]:
    if isinstance(picture, (str, Path)):
        return read_picture(picture)
    if not isinstance(picture, np.ndarray):
        raise DataError(f"a {type(picture).__name__} is no picture", mend="give a path or an RGB uint8 array [H, W, 3]")
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
        raise DataError(
            f"an array {picture.dtype} {list(picture.shape)} is no picture",
            mend="give RGB as uint8 [H, W, 3], 0 to 255",
        )
    return np.ascontiguousarray(picture)


def _path(picture: Picture) -> Path | None:
    return None if isinstance(picture, np.ndarray) else Path(picture)


def _pair(imgsz: int | Sequence[int]) -> Size:
    values = (imgsz, imgsz) if isinstance(imgsz, (int, np.integer)) else tuple(imgsz)
    values = values * 2 if len(values) == 1 else values
    if len(values) != 2:
        raise ConfigError(f"{len(values)} numbers", where="imgsz", mend="give one, or height and width")
    for value in values:
        _check_range("imgsz", value, 1)
    return int(values[0]), int(values[1])


def _rounded(size: Size, stride: int) -> Size:
    height = stride_multiple(size[0], stride)
    return height, height if size[1] == size[0] else stride_multiple(size[1], stride)


def _refuse_for_program(*, device: str, half: bool, compile: str) -> None:
    """A compiled detector's file has decided all of these."""
    if device.strip().lower() not in ("", "cpu"):
        raise ConfigError("a compiled detector runs on the CPU", where=f"--device {device}", mend="use --device cpu")
    if half or compile != "program":
        raise ConfigError(
            "a compiled detector has its precision", where="weights", mend="leave --half and --compile out"
        )


def _check_range(name: str, value: float, low: float, high: float | None = None) -> None:
    if not value >= low or (high is not None and not value <= high):
        bounds = f"at least {low}" if high is None else f"between {low} and {high}"
        raise ConfigError(f"is {value}", where=name, mend=f"give {bounds}")


def _names(given: Sequence[str] | None, own: tuple[str, ...]) -> tuple[str, ...]:
    if given is None:
        return own
    if len(given) != len(own):
        raise ConfigError(f"{len(given)} class names, but the weights have {len(own)} classes", where="names")
    return tuple(map(str, given))


def _check_classes(classes: tuple[int, ...], names: tuple[str, ...]) -> None:
    foreign = [number for number in classes if not 0 <= number < len(names)]
    if foreign:
        what = f"the weights have no class {foreign[0]}"
        raise ConfigError(what, where="classes", mend=f"give numbers from 0 to {len(names) - 1}")

"""The DALI pipeline: bytes of images and numbers in, finished samples out. Importing it needs NVIDIA DALI.

One definition for machines with and without a GPU: the names of the devices are the only difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from nvidia.dali import backend, fn, pipeline_def, types

from yolo.data.letterbox import FILL
from yolo.data.renderers.dali_colours import shift_colours
from yolo.data.renderers.dali_inputs import HALVINGS, NUMBERS, File, Slots, empty_batch

DEPTH = 2
"""How many batches may be on their way through a pipeline."""

_ON_DEVICE = frozenset(("share", "gains"))


def default_device() -> str:
    """Where pipelines run: "gpu" on a machine with one that DALI can use, else "cpu"."""
    return "gpu" if backend.GetCUDADeviceCount() > 0 else "cpu"


class Rendered:
    """The samples of one batch, where the device left them; their memory is used for nothing else while this lives."""

    def __init__(self, samples: Any, count: int) -> None:
        self._samples, self.count = samples, count

    def write(self, out: Sequence[NDArray[np.uint8]]) -> None:
        """Copy sample ``k`` to ``out[k]``, uint8 ``[3, H, W]`` of its size."""
        samples = self._samples.as_cpu()
        for k, planes in enumerate(out):
            np.copyto(planes, np.asarray(samples[k]))

    def dlpack(self) -> Any:
        """All samples, of one size, as a DLPack capsule of uint8 ``[B, 3, H, W]`` on their device, not copied.

        ``oneflow.from_dlpack`` makes a tensor of it. Raises ValueError where their sizes differ.
        """
        shapes = {tuple(self._samples[k].shape()) for k in range(self.count)}
        if len(shapes) != 1:
            raise ValueError(f"samples of one size make a tensor, not those of {sorted(shapes)}")
        return self._samples.as_reshaped_tensor([self.count, *shapes.pop()]).__dlpack__()


class DaliPipeline:
    """Makes batches of at most ``slots`` slots, in order, for one thread. After an error it is of no more use."""

    def __init__(self, slots: int, threads: int, device: str) -> None:
        self._counts: list[int] = []
        self._pipeline = _definition(
            device, batch_size=slots, num_threads=max(threads, 1), device_id=None, prefetch_queue_depth=DEPTH
        )
        self._pipeline.build()
        # DALI's first start begins as many batches as it may have on their way: empty ones are given.
        for _ in range(DEPTH):
            self._feed(empty_batch().inputs())
        self._pipeline.schedule_run()
        for _ in range(DEPTH):
            self._pipeline.outputs()

    def start(self, slots: Slots) -> None:
        """Begin a batch; at most DEPTH are begun and not finished."""
        self._feed(slots.inputs())
        self._counts.append(slots.count)
        self._pipeline.schedule_run()

    def finish(self) -> Rendered:
        """Wait for the oldest that was begun."""
        (samples,) = self._pipeline.outputs()
        return Rendered(samples, self._counts.pop(0))

    def _feed(self, inputs: Mapping[str, Any]) -> None:
        for name, values in inputs.items():
            self._pipeline.feed_input(name, values)


def undecodable(files: Iterable[File], device: str) -> list[int]:
    """The numbers of those that DALI cannot decode, each tried alone."""
    bad, pipeline = [], None
    for number, values in enumerate(files):
        if pipeline is None:
            pipeline = _decoding(device, batch_size=1, num_threads=1, device_id=None, prefetch_queue_depth=1)
        try:
            for name, value in zip(("file", "start", "shape"), values):
                pipeline.feed_input(name, [value])
            pipeline.schedule_run()
            pipeline.outputs()
        except RuntimeError:  # of the decoder; such a pipeline is of no more use
            bad.append(number)
            pipeline = None
    return bad


def _decode(file, start, shape, device):
    # Like OpenCV's decoder: chroma is smoothed, and nothing turned.
    return fn.decoders.image_slice(
        file,
        start=start,
        shape=shape,
        axes=[0, 1],
        device="mixed" if device == "gpu" else "cpu",
        jpeg_fancy_upsampling=True,
        adjust_orientation=False,
    )


def _halved(image, size):
    # Means of four pixels: within a rounding what libjpeg gives at half the size, which DALI does not ask it for.
    return fn.resize(image, size=size, roi_start=(0.0, 0.0), roi_end=size * 2.0, antialias=False)


@pipeline_def
def _decoding(device):
    return _decode(*(fn.external_source(name=name) for name in ("file", "start", "shape")), device)


@pipeline_def(enable_conditionals=True)
def _definition(device):
    """What ``Slots`` describes, each operator for the whole batch."""
    one = {name: fn.external_source(name=name, device=device if name in _ON_DEVICE else "cpu") for name in NUMBERS}
    file = fn.external_source(name="file")
    pixels = fn.external_source(name="pixels", device=device, layout="HWC")
    ids, to, pasted = (fn.external_source(name=name) for name in ("ids", "to", "pasted"))

    if one["encoded"]:
        image = _decode(file, one["start"], one["shape"], device)
        for k in range(HALVINGS):
            if one["halvings"] > k:
                image = _halved(image, one["half_sizes"][k])
        if one["resized"]:
            image = fn.resize(
                image, size=one["size"], roi_start=one["roi_start"], roi_end=one["roi_end"], antialias=False
            )
    else:
        image = pixels
    view = fn.multi_paste(image, in_ids=ids, out_anchors=to, shapes=pasted, output_size=one["canvas"])
    if one["warped"]:
        view = fn.warp_affine(view, matrix=one["matrix"], size=one["view_size"], fill_value=FILL)
    other = fn.permute_batch(view, indices=one["other"])
    if one["blended"]:
        view = fn.cast(view * one["share"] + other * (1.0 - one["share"]), dtype=types.UINT8)
    if one["coloured"]:
        view = shift_colours(view, one["gains"])
    if one["flipped"]:
        view = fn.flip(view, vertical=one["vertical"], horizontal=one["horizontal"])
    if one["rescaled"]:
        view = fn.resize(view, size=one["out_size"], antialias=False)
    if one["left_out"]:
        view = fn.slice(view, start=(0, 0), shape=(0, 0), axes=(0, 1))
    return fn.transpose(view, perm=[2, 0, 1])

"""What a plan is made for: a device, the layout of its feature maps, the numbers in them, the threads that run it."""

from __future__ import annotations

import dataclasses
from typing import Final

PRECISIONS: Final = ("fp32", "bf16", "fp16", "int8")
CUDA_PACK: Final = 8
"""Channels that lie together on a CUDA device (``kPack``, csrc/cuda/map.h)."""
_BFLOAT16: Final = (8, 0)
_ELEMENTS: Final = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 4}


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a plan runs.

    device: "cpu" or "cuda"; instructions: the widest set that its kernels use; block: channels that lie together in a
    blocked layout, and to whose multiples every map is filled up; precision: "fp32", "bf16", "fp16" (CUDA alone) or
    "int8" (the CPU alone); threads: of one run; weight_limit: the largest weight, in steps, of oneDNN's
    int8 kernels; 0 without int8; amx: whether products of bfloat16 and of bytes go
    through AMX's tiles.
    """

    device: str
    instructions: str
    block: int
    precision: str
    threads: int
    weight_limit: int
    amx: bool = False

    @classmethod
    def of(cls, device: str = "cpu", precision: str = "fp32", threads: int = 0) -> Target:
        """This machine's, for "cpu" or "cuda:N"; ``threads`` of 0: one for each core.

        Raises ValueError where ``unsupported`` says why.
        """
        from yolo import native

        reason = unsupported(device, precision)
        if reason is not None:
            raise ValueError(reason)
        if device != "cpu":
            return cls("cuda", "CUDA", CUDA_PACK, precision, threads=1, weight_limit=0)
        threads = threads or native.default_threads()
        instructions, block = native.instruction_set(), native.channel_block()
        amx = precision in ("bf16", "int8") and native.has_amx()
        return cls("cpu", instructions, block, precision, threads, native.weight_limit(), amx)

    @property
    def layout(self) -> str:
        """Of feature maps: "blocked", or "nhwc", where all channels of a pixel lie together."""
        return "nhwc" if self.device == "cuda" else "blocked"

    @property
    def element(self) -> int:
        """Bytes of a number in the feature maps that are not bytes."""
        return _ELEMENTS[self.precision]

    @property
    def head_element(self) -> int:
        """The same of what leaves the network: a CPU's convolutions write their float32 sums."""
        return 4 if self.layout == "blocked" else self.element

    def whole(self, channels: int) -> int:
        """Channels rounded up to whole blocks."""
        return -(-channels // self.block) * self.block

    def __str__(self) -> str:
        blocked = f"nChw{self.block}c" + (" (int8: nhwc)" if self.precision == "int8" else "")
        layout = blocked if self.layout == "blocked" else self.layout
        return f"{self.device}, layout {layout} on {self.instructions}, {self.precision}, {self.threads} threads"


def unsupported(device: str, precision: str = "fp32") -> str | None:
    """Why no network can be compiled for this device and precision on this machine; None where one can."""
    from yolo import native

    if precision not in PRECISIONS:
        return f"precision {precision!r} is unknown: {', '.join(PRECISIONS)}"
    if device.partition(":")[0] == "cuda":
        return _unsupported_by_cuda(device, precision)
    if device != "cpu":
        return f"programs are compiled for the CPU and for CUDA devices, not for {device}"
    if precision == "fp16":
        return "fp16 programs are compiled for CUDA devices, not for the CPU"
    if precision == "bf16" and not native.has_bfloat16():
        return f"this processor has no bfloat16 instructions (AVX-512 BF16; it has {native.instruction_set()})"
    return None


def _unsupported_by_cuda(device: str, precision: str) -> str | None:
    from yolo import cuda

    reason = cuda.unavailable(cuda.index_of(device))
    if reason is not None:
        return reason
    if precision == "int8":
        return "int8 programs are compiled for the CPU, not for CUDA devices"
    if precision == "bf16" and cuda.module().capability(cuda.index_of(device)) < _BFLOAT16:
        return "this GPU computes no bfloat16 (compute capability 8.0 does)"
    return None

"""A compiled program as one operator of OneFlow: ``call`` runs it eagerly and puts it into a graph that is traced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import oneflow as flow

from yolo import _oneflow


class Runnable(Protocol):
    """A compiled program: ``address`` is where its C++ object (csrc/program/runnable.h) lies in this process."""

    address: int


class _Address(np.ndarray):
    """int64 [1]: a Runnable's address. Keeps the Runnable alive, and is kept alive by the tensor made of it."""

    runnable: Runnable


def call(
    runnable: Runnable,
    inputs: Sequence[flow.Tensor],
    outputs: Sequence[tuple[Sequence[int], flow.dtype]],
    mutable: Sequence[flow.Tensor] = (),
) -> tuple[flow.Tensor, ...]:
    """Run ``runnable`` on ``inputs`` then ``mutable``, which it may write, and give its outputs.
    """
    tensors = [*inputs, *mutable]
    shapes = [tuple(shape) for shape, _ in outputs]
    dtypes = [flow._oneflow_internal.deprecated.GetProtoDtype4OfDtype(dtype) for _, dtype in outputs]
    return _oneflow.run([_address(runnable), *tensors], shapes, dtypes, len(mutable))


def _address(runnable: Runnable) -> flow.Tensor:
    """int64 [1]. An eager tensor also while a graph is traced, which then holds it and with it the Runnable."""
    address = np.array([runnable.address], np.int64).view(_Address)
    address.runnable = runnable
    return flow.from_numpy(address)

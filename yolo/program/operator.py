"""A compiled program as one operator of OneFlow: ``call`` runs it eagerly and puts it into a graph that is traced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import oneflow as flow
from oneflow.framework.graph_build_util import lazy_mode

from yolo import _oneflow


class Runnable(Protocol):
    """A compiled program: ``address`` is where its C++ object (csrc/program/common/runnable.h) lies in this process."""

    address: int


class _Address(np.ndarray):
    """int64 [1]: a Runnable's address. It keeps the Runnable alive, and the tensor made of it keeps the array."""

    runnable: Runnable


class Switch:
    """In place of a Runnable: which one runs is said before each run, also of a graph that was traced long ago."""

    def __init__(self) -> None:
        self.cell = np.zeros(1, np.int64).view(_Address)

    def set(self, runnable: Runnable) -> None:
        """Have ``runnable`` run from now on. No run may be going on: OneFlow reads the address when it runs."""
        self.cell[0] = runnable.address
        self.cell.runnable = runnable


def call(
    runnable: Runnable | Switch,
    inputs: Sequence[flow.Tensor],
    outputs: Sequence[tuple[Sequence[int], flow.dtype]],
    mutable: Sequence[flow.Tensor] = (),
    sbp: Sequence[flow.sbp.sbp] | None = None,
) -> tuple[flow.Tensor, ...]:
    """Give the outputs, of these shapes and dtypes, of ``runnable`` run on ``inputs`` then ``mutable``.

    All tensors are on the CPU. The Runnable must fit the shapes and dtypes: it is given bare addresses. Nothing needs
    to hold it: while a graph is traced, the graph captures a tensor that does, and so does an eager run's queue entry.
    The outputs take no part in autograd.

    ``mutable`` tensors are written in place: parameters and buffers by their own (eager) tensors, or free tensors that
    the graph captures so. Python sees what was written after ``graphs.base.synchronise()``, the next graph at once.
    OneFlow lets one operator of a graph write a tensor, after all operators of that graph that read it; who needs the
    new value in the same graph takes it from an output. (Reading the tensor behind one of the writer's outputs asks for
    both orders: OneFlow ends the process when it plans such a graph.) An operator whose outputs nobody uses, or that
    has none, runs all the same.

    With global tensors every rank runs the Runnable of its own on what it has of them. ``sbp`` says what that is, for
    each of ``inputs``, ``mutable`` and ``outputs``: broadcast (also what None means), split(0) in equal parts, or
    partial_sum. ``outputs`` has the shapes of the whole tensors, the Runnable runs on its rank's parts. Local
    tensors have no sbp, whatever is given.

    When the Runnable fails, one line on stderr says why and the process ends: OneFlow cannot stop a running graph.

    Raises ValueError for tensors that are not on the CPU, for mutable ones that are not contiguous (OneFlow would write
    a copy) or given twice, for an ``sbp`` that does not fit, and TypeError for what is no tensor.
    """
    _check([*inputs, *mutable], mutable)
    letters = _letters(sbp, len(inputs) + len(mutable) + len(outputs))
    _check_sbp(mutable, letters[len(inputs) :])
    shapes = [tuple(shape) for shape, _ in outputs]
    dtypes = [flow._oneflow_internal.deprecated.GetProtoDtype4OfDtype(dtype) for _, dtype in outputs]
    given = [*inputs, *mutable]
    letters = "B" * len(letters) if all(tensor.is_local for tensor in given) else letters
    return _oneflow.run([_address(runnable, given), *given], shapes, dtypes, len(mutable), letters)


def _letter(sbp: flow.sbp.sbp) -> str:
    return {flow.sbp.broadcast: "B", flow.sbp.split(0): "S", flow.sbp.partial_sum: "P"}.get(sbp, "?")


def _letters(sbp: Sequence[flow.sbp.sbp] | None, count: int) -> str:
    """One a tensor, as the operator's attribute wants them."""
    letters = "B" * count if sbp is None else "".join(map(_letter, sbp))
    if len(letters) != count or "?" in letters:
        raise ValueError(f"sbp: expected {count} of broadcast, split(0) and partial_sum, got {list(sbp)}")
    return letters


def _check(tensors: Sequence[flow.Tensor], mutable: Sequence[flow.Tensor]) -> None:
    for number, tensor in enumerate(tensors):
        if not isinstance(tensor, flow.Tensor):
            raise TypeError(f"input {number}: expected a oneflow.Tensor, got {type(tensor).__name__}")
        if tensor.is_cuda:
            raise ValueError(f"input {number}: expected a tensor on the CPU")
    for number, tensor in enumerate(mutable):
        if not tensor.is_contiguous():
            raise ValueError(f"mutable input {number}: expected a contiguous tensor")
        if sum(other is tensor for other in tensors) > 1:
            raise ValueError(f"mutable input {number} is given twice")


def _check_sbp(mutable: Sequence[flow.Tensor], letters: str) -> None:
    """OneFlow would convert a global tensor of another sbp, and the Runnable would write the converted copy."""
    for number, (tensor, letter) in enumerate(zip(mutable, letters)):
        if not tensor.is_local and "".join(map(_letter, tensor.sbp)) != letter:
            raise ValueError(f"mutable input {number}: its sbp is {tensor.sbp[0]}, which is not the one given")


def _address(runnable: Runnable | Switch, tensors: Sequence[flow.Tensor]) -> flow.Tensor:
    """int64 [1] on this rank, an eager tensor also while a graph is traced, which captures it."""
    if isinstance(runnable, Switch):
        address = runnable.cell
    else:
        address = np.array([runnable.address], np.int64).view(_Address)
        address.runnable = runnable
    tensor = flow.from_numpy(address)  # shares the array's memory
    if not tensors or tensors[0].is_local:
        return tensor
    with lazy_mode.guard(False):  # each rank has an address of its own: one element a rank
        return tensor.to_global(placement=tensors[0].placement, sbp=flow.sbp.split(0))

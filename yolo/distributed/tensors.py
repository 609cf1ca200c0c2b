"""What makes, reads and writes a tensor of one process and of several alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import oneflow as flow
from oneflow.framework.graph_build_util import lazy_mode

SPLIT, REPLICATED, PARTIAL_SUM = flow.sbp.split(0), flow.sbp.broadcast, flow.sbp.partial_sum
"""How ranks share a tensor: by its first axis, all of it on each, as terms of a sum."""


def local(tensor: flow.Tensor) -> flow.Tensor:
    """What this rank has of a tensor, in the same memory."""
    return tensor if tensor.is_local else tensor.to_local()


def replicated(tensor: flow.Tensor) -> flow.Tensor:
    """All of a tensor on every rank, which all call it; a local one is that already."""
    return tensor if tensor.is_local else tensor.to_global(sbp=[REPLICATED] * len(tensor.sbp))


def arrays_of(tensors: Mapping[str, flow.Tensor]) -> dict[str, np.ndarray]:
    """Copies of local tensors, read together: one wait for OneFlow, where each could cost 4 ms.

    While a value is awaited, the thread that waits and OneFlow's scheduler both spin; with two cores the thread that is
    to bring it has none until the kernel takes one away from them.
    """
    found: dict[str, np.ndarray] = {}
    for dtype in {tensor.dtype for tensor in tensors.values()}:
        names = [name for name, tensor in tensors.items() if tensor.dtype == dtype]
        with flow.no_grad():
            joined = flow.cat([tensors[name].reshape(-1) for name in names]).numpy()
        ends = np.cumsum([tensors[name].numel() for name in names])
        for name, values in zip(names, np.split(joined, ends[:-1])):
            found[name] = values.reshape(tuple(tensors[name].shape)).copy()
    return {name: found[name] for name in tensors}


def constant(values: np.ndarray, like: flow.Tensor) -> flow.Tensor:
    """``values`` as a float32 tensor of the same device as ``like``, or whole on every rank of its placement."""
    values = np.ascontiguousarray(values, np.float32)
    if not like.is_global:
        return flow.tensor(values, device=like.device)
    with lazy_mode.guard(False):  # a graph's build knows no local-to-global step
        return flow.tensor(values).to_global(placement=like.placement, sbp=[REPLICATED] * len(like.sbp))


def full(shape: Sequence[int], value: float, like: flow.Tensor, dtype: flow.dtype = flow.float32) -> flow.Tensor:
    """So large a tensor of one value where ``like`` is; a global one is split, or not, as that one is."""
    if not like.is_global:
        return flow.full(list(shape), value, dtype=dtype, device=like.device)
    return flow.full(list(shape), value, dtype=dtype, placement=like.placement, sbp=like.sbp)


def write(tensor: flow.Tensor, values: flow.Tensor) -> None:
    """Give a tensor that a graph captures new values, where the graph is traced; eager programs need no such thing.

    OneFlow has no assignment of global tensors there: a step of gradient descent does it, up to a rounding.
    """
    if not values.is_global:
        tensor.copy_(values)
        return
    step = flow.stateful_op("sgd_update").Input("model").Input("model_diff").Build()
    flow._C.dispatch_sgd_update(step, (tensor, tensor - values), learning_rate=1.0, l2=0.0)

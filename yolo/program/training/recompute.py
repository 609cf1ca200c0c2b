"""Feature maps that are given up after the forward pass and made again for the backward pass.

A convolution's output stays, since the gradient of the batch norm behind it needs it. What comes out of batch norm,
activation and residual sum, or out of a pool or an upsampling, costs one pass over memory to make again, without any
product: with ``recompute`` it is kept no longer than the forward pass needs it. That is about half of all maps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from yolo.program import ir
from yolo.program.node_steps import resampling
from yolo.program.plan_builder import Buffer, BufferView
from yolo.program.training.forward import TrainingPlanner
from yolo.program.training.fused import Convolutions, FusedOp, NormActAdd

Maker = tuple[FusedOp, BufferView]


class Sources:
    """Where the backward pass finds what the forward pass made."""

    def __init__(self, planner: TrainingPlanner, recompute: bool) -> None:
        self.planner, self.recompute = planner, recompute
        self._makers: dict[Buffer, list[Maker]] = {}
        self._again: dict[Buffer, Buffer] = {}
        for op, view in self._written():
            self._makers.setdefault(view.buffer, []).append((op, view))
        self._kept = set(self._read_in_place())

    def of(self, op: Convolutions) -> BufferView:
        """What a convolution reads; made again, by steps that are recorded now, where it is gone."""
        return self._there(self.planner.source(op))

    def _written(self) -> Iterator[Maker]:
        """Who writes which view. A concatenation that its inputs lie in writes none."""
        for op in self.planner.graph.ops:
            if not self.planner.placement.joins(op):
                for value in self.planner.graph.made(op):
                    for view in self.planner.placement.views[value]:
                        yield op, view

    def _read_in_place(self) -> Iterator[Buffer]:
        """Buffers that must stay: backward steps read them where they were."""
        for op in self.planner.graph.ops:
            if isinstance(op, (NormActAdd, ir.Attention)):
                for value in (op.source,) if isinstance(op, NormActAdd) else op.inputs:
                    yield self.planner.placement.any(value).buffer

    def _there(self, view: BufferView) -> BufferView:
        """The same values where they lie in the backward pass."""
        if not self._given_up(view.buffer):
            return view
        return BufferView(self._made_again(view.buffer), view.first, view.channels)

    def _given_up(self, buffer: Buffer) -> bool:
        makers = self._makers.get(buffer, [])
        cheap = all(isinstance(op, (NormActAdd, ir.Pool, ir.Upsample)) for op, _ in makers)
        return self.recompute and bool(makers) and cheap and buffer not in self._kept

    def _made_again(self, buffer: Buffer) -> Buffer:
        if buffer not in self._again:
            self._again[buffer] = dataclasses.replace(buffer)
            for op, view in self._makers[buffer]:
                self._repeat(op, self._there(view))
        return self._again[buffer]

    def _repeat(self, op: FusedOp, target: BufferView) -> None:
        any_view, backward = self.planner.placement.any, self.planner.builder.backward
        if isinstance(op, NormActAdd):
            residual = None if op.residual is None else self._there(any_view(op.residual))
            views = {"source": any_view(op.source), "targets": target, "residual": residual}
            backward("norm_act_add_recompute", op.where, views, of=self.planner.numbers[op.output])
            return
        source, index = self._there(any_view(op.inputs[0])), self.planner.indices.get(op.output)
        backward("resample", op.where, {"source": source, "target": target, "index": index}, **resampling(op))

"""Where the values of a training program lie: in the concatenations that hold them, and whole where that is needed."""

from __future__ import annotations

from yolo.program import ir
from yolo.program.ir import INPUT
from yolo.program.node_steps import PLAIN_CHANNELS, offsets
from yolo.program.plan_builder import BufferView, PlanBuilder
from yolo.program.training.fused import Convolutions, FusedGraph, FusedOp, NormActAdd


class Placement:
    """The views of each value, all of which hold it once it is made; its maker writes the first one."""

    def __init__(self, graph: FusedGraph, builder: PlanBuilder) -> None:
        self.graph, self.builder = graph, builder
        self.consumers = graph.consumers()
        self.views: dict[int, list[BufferView]] = {}
        self.plain_images = self._plain_images()
        for op in reversed(graph.ops):
            self._place(op)
        self.views[INPUT] = self._other_images()

    def any(self, value: int) -> BufferView:
        """A view of the value, for steps that read any."""
        return self.views[value][0]

    def whole(self, value: int) -> BufferView:
        """Its view in a buffer of its own, for convolutions."""
        channels = self.graph.channels[value]
        return next(view for view in self.views[value] if self.is_whole(view, channels))

    def is_whole(self, view: BufferView, channels: int) -> bool:
        """Whether the view is all of its buffer."""
        return view.first == 0 and view.buffer.channels == self.builder.target.whole(channels)

    def joins(self, op: FusedOp) -> bool:
        """Whether it is a concatenation in which its inputs lie: all of them start at whole blocks."""
        block = self.builder.target.block
        return isinstance(op, ir.Concat) and all(start % block == 0 for start in offsets(op, self.graph.channels))

    def _plain_images(self) -> BufferView | None:
        """The plain images, where a convolution takes them beside blocked maps."""
        if self.builder.target.layout != "blocked":
            return None
        if self.graph.channels[INPUT] <= PLAIN_CHANNELS and any(map(takes_plain, self.consumers[INPUT])):
            return self.builder.buffer(self.graph.channels[INPUT], self.graph.sizes[INPUT], layout="nchw")
        return None

    def _other_images(self) -> list[BufferView]:
        """The images' other views: whole for convolutions and for those who have no other."""
        others = [op for op in self.consumers[INPUT] if self.plain_images is None or not takes_plain(op)]
        around = self._around(INPUT)
        lonely = not around and (others or INPUT in self.graph.outputs)
        if lonely or any(isinstance(op, Convolutions) for op in others):
            around.insert(0, self._whole(INPUT))
        return around

    def _whole(self, value: int, element: int = 0) -> BufferView:
        return self.builder.buffer(self.graph.channels[value], self.graph.sizes[value], element)

    def _around(self, value: int) -> list[BufferView]:
        """The parts of concatenations that hold the value."""
        found = []
        for op in {id(op): op for op in self.consumers[value]}.values():
            if self.joins(op):
                for input_, start in zip(op.inputs, offsets(op, self.graph.channels)):
                    if input_ == value:
                        found += [view.part(start, self.graph.channels[value]) for view in self.views[op.output]]
        return found

    def _place(self, op: FusedOp) -> None:
        if isinstance(op, Convolutions) and len(op.outputs) > 1:
            self._side_by_side(op)
            return
        for value in self.graph.made(op):
            around = self._around(value)
            writes_whole = not isinstance(op, (NormActAdd, ir.Pool, ir.Upsample)) and not self.joins(op)
            reads_whole = any(isinstance(reader, Convolutions) for reader in self.consumers[value])
            if writes_whole or reads_whole or not around:
                around.insert(0, self._whole(value, self._element(op, value)))
            self.views[value] = around

    def _element(self, op: FusedOp, value: int) -> int:
        """Bytes of a number, 0 for the plan's: a head's where a convolution's output only leaves the program."""
        leaves = isinstance(op, Convolutions) and value in self.graph.outputs and not self.consumers[value]
        return self.builder.target.head_element if leaves and not op.nodes[0].transposed else 0

    def _side_by_side(self, op: Convolutions) -> None:
        total = sum(self.graph.channels[value] for value in op.outputs)
        joined, start = self.builder.buffer(total, self.graph.sizes[op.outputs[0]]), 0
        for value in op.outputs:
            self.views[value] = [joined.part(start, self.graph.channels[value])]
            start += self.graph.channels[value]


def takes_plain(op: FusedOp) -> bool:
    """Whether an operation can read plain images."""
    return isinstance(op, Convolutions) and op.nodes[0].groups == 1 and not op.nodes[0].transposed

"""A program, human-readable: the graph before and after each pass, and the steps that run."""

from __future__ import annotations

from collections.abc import Iterator

from yolo import native
from yolo.program.ir import INPUT, Conv, Graph, Node, Size
from yolo.program.plan import Plan

_QUIET = {"weights", "out_channels", "bias", "transposed", "output_padding"}
_USUAL = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1, "average": False}


def graph_lines(title: str, graph: Graph, size: Size) -> Iterator[str]:
    """One line a node: its value, kind, output shape, in int8 graphs precision, inputs, attributes and place."""
    sizes = graph.sizes(*size)
    products = sum(graph.products(node, sizes) for node in graph.nodes if isinstance(node, Conv))
    yield f"== {title}: {len(graph.nodes)} nodes, {2 * products / 1e9:.3f} GFLOP"
    for node in graph.nodes:
        height, width = sizes[node.output]
        shape = f"[{graph.channels[node.output]}, {height}, {width}]"
        inputs = ", ".join("images" if value == INPUT else f"%{value}" for value in node.inputs)
        form, what = _form(node.output, graph), _attributes(node)
        yield f"%{node.output:<4} {node.kind:<14} {shape:<18} {form}<- {inputs:<18} {what:<44} {node.where}"
    yield "outputs: " + ", ".join(f"%{value}" for value in graph.outputs)


def plan_lines(plan: Plan, executor: native.Executor) -> Iterator[str]:
    """One line a step of a plan, then one a step of its executor: kernel, work, memory traffic and, profiled, time."""
    yield from plan.lines()
    steps = executor.steps
    total = sum(_milliseconds(step) for step in steps)
    yield f"== executor: {len(steps)} steps, {executor.memory_bytes / 1e6:.1f} MB of memory, {total:.2f} ms"
    for number, step in enumerate(steps):
        time = _milliseconds(step)
        rate = f"{step.flops / time / 1e6:7.1f} GFLOP/s" if step.flops and time else ""
        work = f"{step.flops / 1e6:10.2f} MFLOP {step.bytes / 1e3:10.1f} kB {time:8.3f} ms {rate:<16}"
        yield f"{number:<4} {step.kind:<14} {step.implementation:<26} {work} {step.where}"


def _milliseconds(step: native.StepInfo) -> float:
    return step.milliseconds / max(step.runs, 1)


def _form(value: int, graph: Graph) -> str:
    """Of a graph with int8 values: the precision, for bytes with their step and zero."""
    scale = graph.scales.get(value)
    form = "fp32" if scale is None else f"u8 {scale.step:.3g}*(q-{scale.zero})"
    return f"{form:<22} " if graph.scales else ""


def _attributes(node: Node) -> str:
    shown = [(name, value) for name, value in node.attributes() if name not in _QUIET and _USUAL.get(name) != value]
    return " ".join(f"{name}={_short(value)}" for name, value in shown)


def _short(value: object) -> str:
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return str(value).removeprefix("nn.").removesuffix("()")

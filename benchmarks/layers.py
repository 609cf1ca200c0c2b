"""Where a network's time goes, and how near each layer is to the least that this processor needs for it.

python -m benchmarks.layers [--way training] [--precisions fp32 bf16 int8] [--each] [--json]

The floor of a step is the longer of two times: of its products at the processor's best rate in that precision, and of
its maps and weights, each read or written once, at the speed of a copy of as much memory as the network works in. Both
are measured in the same run (``floor/machine.cpp``, built with g++). Steps are timed one by one, while they run as
always; a step's time is the shortest of all rounds'. Others on the machine slow it: the best is taken everywhere.
Transforms of Winograd's algorithm, activations and copies within the caches have no floor.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.driver import confine
from benchmarks.inference import calibration_file
from benchmarks.options import base_parser, positive
from benchmarks.places import ROOT, WORK, weights
from benchmarks.table import Row, as_json, as_text
from yolo import native

WAYS = ("inference", "training")
PRECISIONS = ("fp32", "bf16", "int8")
COLUMNS = {
    "model": "model",
    "precision": "precision",
    "step": "step",
    "count": "steps",
    "min_ms": "min ms",
    "part_share": "share",
    "operations_ms": "products ms",
    "memory_ms": "bytes ms",
    "floor_ms": "floor ms",
    "floor_ratio": "x floor",
}


class Machine:
    """What the processor can do at best: ``rates``, operations a second by precision, and bytes a second of a copy."""

    def __init__(self, threads: int) -> None:
        """Build what measures it; raises CalledProcessError, and FileNotFoundError without g++."""
        self.threads, self.rates = threads, dict.fromkeys(PRECISIONS, 0.0)
        self._program = WORK / "machine"
        self._copies: dict[int, float] = {}
        self._program.parent.mkdir(parents=True, exist_ok=True)
        source = ROOT / "benchmarks" / "floor" / "machine.cpp"
        flags = ["-std=c++17", "-O3", "-march=native", "-pthread"]
        subprocess.run(["g++", *flags, str(source), "-o", str(self._program)], check=True)

    def measure(self, memory: int) -> None:
        """Once more, over so many bytes; what was better before stays."""
        command = [self._program, str(self.threads), str(memory)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        self.rates = {precision: max(rate, found[precision]) for precision, rate in self.rates.items()}
        self._copies[memory] = max(self._copies.get(memory, 0.0), found["copy"])

    def copy(self, memory: int) -> float:
        """Bytes a second, read and written, of what works in so many."""
        return self._copies[memory]


@dataclasses.dataclass
class Group:
    """Steps of one kind by one kernel, seconds."""

    count: int = 0
    time: float = 0.0
    operations: float = 0.0
    memory: float = 0.0
    floor: float = 0.0

    def add(self, step: native.StepInfo, time: float, rate: float, copy: float) -> None:
        """One step, which took so many seconds; ``rate``: operations a second, ``copy``: bytes."""
        operations, memory = (step.executed or step.flops) / rate, step.bytes / copy
        self.count, self.time = self.count + 1, self.time + time
        self.operations, self.memory = self.operations + operations, self.memory + memory
        self.floor += max(operations, memory)


def main() -> int:
    """Measure, print; 2 where files or the compiler are missing."""
    options = _options()
    confine(options.threads)
    rows: list[Row] = []
    try:
        machine, taken = Machine(options.threads), []
        for model in options.models:
            path = weights(model, options.weights)
            for precision in options.precisions:
                run, executor = _subject(path, precision, options)
                machine.measure(executor.memory_bytes)
                taken.append((model, precision, executor, _times(run, executor, options.rounds)))
                machine.measure(executor.memory_bytes)
        rows = [row for found in taken for row in _rows(*found, machine, options.each)]
    except (FileNotFoundError, ValueError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 2
    size = f"{options.batch} x {options.size}x{options.size}"
    title = f"Steps of {options.way}, {size}, {options.threads} threads"
    about = {name: getattr(options, name) for name in ("way", "size", "batch", "threads")}
    print(as_json(rows, **about, rates=machine.rates) if options.json else as_text(title, rows, COLUMNS))
    return 0


def _options() -> argparse.Namespace:
    parser = base_parser(__doc__, size=640, rounds=20)
    parser.add_argument("--way", choices=WAYS, default="inference")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=["fp32"])
    parser.add_argument("--batch", type=positive, help="images of a training step, 16; inference takes one")
    parser.add_argument("--each", action="store_true", help="a row for each step, not for each kind of steps")
    options = parser.parse_args()
    if options.rounds < 1 or options.only:
        parser.error("--rounds must be at least 1, and --only names contenders, of which there are none here")
    if options.way == "training":
        options.batch = options.batch or 16
        if "int8" in options.precisions:
            parser.error("--precisions int8 does not train")
    elif options.batch not in (None, 1):
        parser.error("--batch is for --way training: inference takes one image at a time")
    options.batch = options.batch or 1
    return options


def _subject(path: Path, precision: str, options: argparse.Namespace) -> tuple[Callable[[], None], native.Executor]:
    """What runs all steps once, and whose steps they are; raises ValueError for what this processor lacks."""
    shape = (options.batch, 3, options.size, options.size)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    if options.way == "inference":
        return _inference(path, precision, options, images)
    return _training(path, precision, options, images)


def _inference(
    path: Path, precision: str, options: argparse.Namespace, images: np.ndarray
) -> tuple[Callable[[], None], native.Executor]:
    from benchmarks.peers.network import read_graph
    from yolo.program.compiled import CompiledNetwork
    from yolo.program.int8.build import quantise
    from yolo.program.passes import optimise

    graph = optimise(read_graph(path).graph, precision)
    if precision == "int8":
        file = calibration_file(options.data, options.size)
        graph, _ = quantise(graph, list(np.load(file)["images"]), threads=options.threads)
    executor = CompiledNetwork(graph, precision=precision, threads=options.threads).program(images.shape)
    return lambda: executor(images), executor


def _training(
    path: Path, precision: str, options: argparse.Namespace, images: np.ndarray
) -> tuple[Callable[[], None], native.Executor]:
    from graphs.parameters import ParameterVector
    from yolo import runtime
    from yolo.models.weights.load import load_weights
    from yolo.models.weights.transfer import network_from_checkpoint
    from yolo.program.lower import lower
    from yolo.program.target import Target
    from yolo.program.training.program import plan_training

    runtime.start()
    network = network_from_checkpoint(load_weights(path)).train()
    vector = ParameterVector(network)
    offsets = {slot.name: slot.start for slot in vector.slots}
    target = Target.of("cpu", precision, options.threads)
    plan = plan_training(lower(network.spec, {}), images.shape, offsets, target, recompute=True)
    executor, values = native.Executor(plan), vector.gather()
    gradient = np.zeros(vector.parameter_size, np.float32)
    slopes = [np.full(shape, 1e-6, np.float32) for shape in plan.heads]

    def run() -> None:
        executor(images, values)
        executor.backward(slopes, values, gradient)

    return run, executor


def _times(run: Callable[[], None], executor: native.Executor, rounds: int) -> list[float]:
    """Seconds of each step, the shortest of all rounds."""
    run()
    found: list[float] = []
    for _ in range(rounds):
        executor.profile()
        run()
        times = [step.milliseconds / 1e3 for step in executor.steps]
        found = [min(pair) for pair in zip(found, times)] if found else times
    return found


def _rows(
    model: str, precision: str, executor: native.Executor, times: list[float], machine: Machine, each: bool
) -> Iterator[Row]:
    """A row for each kind of steps, or for each step, the longest first; then one for all of them."""
    groups: dict[str, Group] = {}
    whole = Group()
    for number, (step, time) in enumerate(zip(executor.steps, times)):
        name = f"{step.kind} {step.implementation}"
        name = f"{number} {step.where} {name}" if each else name
        for group in (groups.setdefault(name, Group()), whole):
            rate = machine.rates[_precision(step.implementation, precision)]
            group.add(step, time, rate, machine.copy(executor.memory_bytes))
    if not each:
        groups = dict(sorted(groups.items(), key=lambda item: -item[1].time))
    for name, group in [*groups.items(), ("all", whole)]:
        yield {
            "model": model,
            "precision": precision,
            "step": name,
            "count": group.count,
            "min_ms": round(1e3 * group.time, 3),
            "part_share": round(group.time / whole.time, 3),
            "operations_ms": round(1e3 * group.operations, 3),
            "memory_ms": round(1e3 * group.memory, 3),
            "floor_ms": round(1e3 * group.floor, 3),
            "floor_ratio": round(group.time / group.floor, 2) if group.floor else None,
        }


def _precision(implementation: str, precision: str) -> str:
    """In which precision a kernel multiplies; int8 networks have layers in float32."""
    own = ("amx:", "fours:", "winograd:")
    if precision == "int8" and not implementation.startswith(own) and "int8" not in implementation:
        return "fp32"
    return precision


if __name__ == "__main__":
    raise SystemExit(main())

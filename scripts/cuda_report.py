"""Prints what each CUDA kernel takes of a GPU, and fails where one takes more than the bounds below.

Reads what ptxas says about an object file (``-Xptxas -v``), which ``scripts/keep_resources.sh`` left beside it.
Usage: ``python scripts/cuda_report.py FILE``, with a file that lists the objects (``make cuda``). Exits 1 where a bound
is exceeded, 2 where an object was not compiled or there is no kernel at all.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

# The bounds, the same for all kernels and architectures; "bytes" are those of one thread, for shared those of a block.
BOUNDS = {
    "registers": 128,  # 65,536 a multiprocessor: two blocks of 256 threads
    "spill_stores": 0,
    "spill_loads": 0,
    "shared": 48 * 1024,  # what a block has without asking the driver for more
    "stack": 0,  # arrays with an index known only at run time: they lie in memory
}
SUFFIX = ".resources"
_ENTRY = re.compile(r"Compiling entry function '(\S+)' for '(\w+)'")
_FUNCTION = re.compile(r"Function properties for (\S+)")
_STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_REGISTERS = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")
_TYPES = {"__half": "half", "__nv_bfloat16": "bf16", "unsigned char": "uint8"}


@dataclasses.dataclass
class Usage:
    """What one function takes on one architecture: registers of a thread, else bytes (see ``BOUNDS``)."""

    file: str
    name: str
    arch: str
    registers: int = 0  # 0: a function that is called, whose registers are counted in its kernels
    spill_stores: int = 0
    spill_loads: int = 0
    shared: int = 0
    stack: int = 0

    def numbers(self) -> tuple[int, ...]:
        """The values in the order of ``BOUNDS``."""
        return tuple(getattr(self, field) for field in BOUNDS)


def parse(text: str, file: str) -> list[Usage]:
    """The kernels and the functions they call, by their symbols, from the output of ``ptxas -v``."""
    found: list[Usage] = []
    kernel = current = Usage(file, "", "")
    for line in text.splitlines():
        if match := _ENTRY.search(line):
            kernel = current = Usage(file, *match.groups())
            found.append(kernel)
        elif match := _FUNCTION.search(line):
            if match[1] != kernel.name:
                current = Usage(file, match[1], kernel.arch)
                found.append(current)
        elif match := _STACK.search(line):
            current.stack, current.spill_stores, current.spill_loads = map(int, match.groups())
        elif match := _REGISTERS.search(line):
            kernel.registers = int(match[1])
            kernel.shared = int(shared[1]) if (shared := _SHARED.search(line)) else 0
    return found


def demangled(symbols: Sequence[str]) -> list[str]:
    """C++ names of symbols, by binutils' c++filt; the symbols themselves where that is absent."""
    tool = shutil.which("c++filt")
    if tool is None or not symbols:
        return list(symbols)
    done = subprocess.run([tool], input="\n".join(symbols), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def short(name: str) -> str:
    """``void a::scale<__half, (a::Kind)1>(__half*, int)`` -> ``scale<half, 1>``.

    csrc/cuda's own two kernels call an object, so they go by its name: ``void a::run_each<a::Copy<float> >(…)`` ->
    ``Copy<float>``.
    """
    name = _without_parameters(name.replace("(anonymous namespace)::", ""))
    name = re.sub(r"\([\w:]+\)(?=-?\d)", "", name)  # the type of an enumerator
    name = re.sub(r"\b\w+::", "", name)
    for full, brief in _TYPES.items():
        name = name.replace(full, brief)
    start = re.match(r"[^<]*", name)[0].rstrip().rfind(" ") + 1  # templates' names begin with the type that they return
    called = re.fullmatch(r"run_(?:each|blocks)<(.*?) ?>", name[start:])
    return called[1] if called else name[start:]


def _without_parameters(name: str) -> str:
    """The name up to its list of parameters: the last parenthesis that closes, with what lies between."""
    if not name.endswith(")"):
        return name
    depth = 0
    for place in range(len(name) - 1, -1, -1):
        depth += (name[place] == ")") - (name[place] == "(")
        if depth == 0:
            return name[:place]
    return name


def table(usages: Sequence[Usage]) -> str:
    """A line for each kernel: its registers on each architecture, and the most that it takes of the rest on any."""
    archs = sorted({usage.arch for usage in usages}, key=lambda arch: int(arch.strip("sm_af")))
    kernels: dict[tuple[str, str], dict[str, Usage]] = {}
    for usage in usages:
        kernels.setdefault((usage.file, usage.name), {})[usage.arch] = usage
    rows = [("file", "kernel", *archs, "spilled st/ld", "shared", "stack")]
    for key, found in sorted(kernels.items()):
        registers = [str(found[arch].registers or "called") if arch in found else "-" for arch in archs]
        _, *worst = map(max, zip(*(usage.numbers() for usage in found.values())))
        rows.append((*key, *registers, "{}/{}".format(*worst[:2]), *map(str, worst[2:])))
    widths = [max(map(len, column)) for column in zip(*rows)]
    aligned = (str.ljust,) * 2 + (str.rjust,) * (len(widths) - 2)
    return "\n".join("  ".join(align(*cell) for align, *cell in zip(aligned, row, widths)).rstrip() for row in rows)


def exceeded(usages: Sequence[Usage]) -> Iterator[str]:
    """A line for each kernel and architecture that takes more than a bound."""
    for usage in usages:
        taken = zip(BOUNDS, usage.numbers(), BOUNDS.values())
        over = [f"{field} {value} > {most}" for field, value, most in taken if value > most]
        if over:
            yield f"{usage.file}: {usage.name} on {usage.arch}: {', '.join(over)}"


def read(objects: Sequence[Path]) -> list[Usage]:
    """What all objects' functions take, with short names. FileNotFoundError where an object has no notes."""
    found = []
    for path in objects:
        notes = path.with_name(path.name + SUFFIX)
        found += parse(notes.read_text(encoding="utf-8"), path.name.partition(".")[0])
    for usage, name in zip(found, demangled([usage.name for usage in found])):
        usage.name = short(name)
    return found


def main(listed: Path) -> int:
    """Prints the table and what exceeds the bounds; returns the exit code."""
    try:
        usages = read([Path(line) for line in listed.read_text(encoding="utf-8").split("\n") if line])
    except FileNotFoundError as error:
        print(f"not compiled yet: {error.filename} is absent", file=sys.stderr)
        return 2
    if not usages:
        print(f"no kernel in what {listed} names", file=sys.stderr)
        return 2
    print(table(usages), flush=True)
    bad = list(exceeded(usages))
    for line in bad:
        print(f"exceeds the bounds of scripts/cuda_report.py: {line}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

"""Which way imports run: in no circle, from each layer to those below it, without OneFlow where it is not needed."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

import yolo

ROOT = Path(yolo.__file__).parents[1]
COMMANDS = (
    *("yolo.train", "yolo.val", "yolo.detect", "yolo.track", "yolo.export", "yolo.check", "yolo.convert"),
    "yolo.serve",
)
LAYERS = (
    ("yolo.errors", "yolo.stops"),
    ("yolo.cuda", "yolo.io", "yolo.native"),
    (
        *("yolo.class_names", "yolo.config", "yolo.distributed.host", "yolo.distributed.launcher"),
        *("yolo.distributed.pack", "yolo.distributed.ranks", "yolo.distributed.run_fingerprint"),
        *("yolo.distributed.tensors", "yolo.no_cuda"),
    ),
    ("yolo.command", "yolo.runtime"),
    ("yolo.data", "yolo.models", "yolo.ops"),
    ("yolo.anchors", "yolo.loss", "yolo.metrics", "yolo.tracking"),
    ("yolo.plots", "yolo.program"),
    ("yolo.distributed",),
    ("graphs",),
    ("yolo.inference",),
    ("yolo.serving",),
    ("yolo.engine",),
    ("yolo.formats",),
    ("yolo.report",),
    ("yolo.loggers",),
    COMMANDS,
    ("yolo",),
)
"""From the lowest to the highest: a module imports of its own entry, and of the layers below."""
NATIVE = ("yolo._native", "yolo._oneflow", "yolo._graph_queue")
ONEFLOW_MODULES = (
    *("yolo.models.decode", "yolo.models.init", "yolo.models.layers", "yolo.models.network", "yolo.models.summary"),
    "yolo.models.weights.transfer",
)
"""Networks and losses as OneFlow's modules, which import it."""

Graph = Mapping[str, set[str]]


def modules() -> dict[str, Path]:
    """Every module's name and file."""
    files = [file for package in ("yolo", "graphs") for file in sorted((ROOT / package).rglob("*.py"))]
    return {".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): f for f in files}


def imported(file: Path, known: Iterable[str], *, at_import: bool) -> set[str]:
    """The modules that a file imports: all of them, or ``at_import`` those that its own import brings."""
    found = set()
    for node in _statements(ast.parse(file.read_text(encoding="utf-8")).body, at_import):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
            continue
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            found.add(inner if inner in known or inner in NATIVE else node.module)
    return found - {"yolo"}  # for its version: no module is meant


def _statements(body: Iterable[ast.AST], at_import: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in body:
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        never = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not (at_import and (later or never)):
            yield from _statements(ast.iter_child_nodes(node), at_import)


def graph(*, at_import: bool) -> Graph:
    """What each module imports; ``at_import`` with the packages that are imported on the way."""
    known = modules()
    edges = {name: imported(file, known, at_import=at_import) for name, file in known.items()}
    if at_import:
        edges = {
            name: found | {part for other in found for part in packages_of(other)} for name, found in edges.items()
        }
    return {name: found - {name} for name, found in edges.items()}


def packages_of(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(2, len(parts))]


def circles(edges: Graph) -> list[list[str]]:
    """Sets of modules each of which leads to all others of its set."""
    reached = {name: reachable(name, edges) for name in edges}
    found = {frozenset(other for other in reached[name] if name in reached.get(other, ())) for name in edges}
    return sorted(sorted(members) for members in found if members)


def reachable(name: str, edges: Graph, stops: Iterable[str] = ()) -> set[str]:
    """What ``name`` leads to, without going on behind ``stops``."""
    found, todo = set(), [name]
    while todo:
        for other in edges.get(todo.pop(), ()):
            if other not in found:
                found.add(other)
                todo += [] if other in stops else [other]
    return found


def entry(name: str) -> tuple[int, str]:
    """The layer of a module and the entry of ``LAYERS`` that it belongs to: the one that names most of it."""
    parts = [(level, part) for level, layer in enumerate(LAYERS) for part in layer]
    return max((found for found in parts if within(name, found[1:])), key=lambda found: len(found[1]))


def within(name: str, packages: Iterable[str]) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


def test_no_circle() -> None:
    """Neither at import, nor by what functions import later or only types name."""
    assert circles(graph(at_import=False)) == []


def test_no_arrow_points_upwards() -> None:
    edges = graph(at_import=False)
    arrows = [(name, other) for name in edges for other in edges[name] & edges.keys()]
    assert len(arrows) > 500
    wrong = [(a, b) for a, b in arrows if entry(b)[0] >= entry(a)[0] and entry(a) != entry(b)]
    assert sorted(wrong) == []


@pytest.mark.parametrize("package", ["yolo.models", "yolo.data", "yolo.metrics", "yolo.ops"])
def test_what_needs_no_library_imports_none(package: str) -> None:
    edges = graph(at_import=True)
    heavy = {name for name in edges if within(name, (package,)) and edges[name] & {"oneflow", *NATIVE}}
    assert all(within(name, ONEFLOW_MODULES) for name in heavy)
    stops = {name for name in edges if within(name, ONEFLOW_MODULES)}
    light = [name for name in edges if within(name, (package,)) and not within(name, ONEFLOW_MODULES)]
    assert {name: found for name in light if (found := reachable(name, edges, stops) & {"oneflow", *NATIVE})} == {}
    assert light


def test_what_is_excepted_has_a_reason() -> None:
    edges = graph(at_import=True)
    for part in ONEFLOW_MODULES:
        assert any("oneflow" in edges[name] for name in edges if within(name, (part,))), part


def test_a_circle_and_its_members_are_found() -> None:
    edges = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": set()}
    assert circles(edges) == [["a", "b", "c"]]
    assert reachable("a", edges, stops=("b",)) == {"b"}

"""Imports modules as a Python without this project's native libraries would, and says which cannot be.

python -m tests.benchmarks.peer_imports REQUIREMENTS FILE..., from the repository's root: the peers' packages, modules
(.py) to import, weights to read.
The peers' frameworks are stood in for, so that none needs to be installed; what is neither among the peers' packages,
nor Python's, nor this project's Python code cannot be imported. Prints {file: error}.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import json
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

FRAMEWORKS = ("torch", "torchvision", "onnx", "onnxruntime", "openvino", "nncf", "ncnn", "pnnx")
OURS = ("yolo", "graphs", "benchmarks", "tests")


class Anything(type):
    """A class that has every attribute, may be called, derived from and used as a decorator."""

    def __getattr__(cls, name: str) -> Any:
        return anything(name)

    def __call__(cls, *arguments: Any, **options: Any) -> Any:
        return object.__new__(cls)


def anything(name: str) -> Anything:
    """A class of that name."""
    if name.startswith("__"):
        raise AttributeError(name)
    return Anything(name, (), {"__call__": lambda self, function=None: function})


class Stand(Loader):
    """Makes an empty package that has everything."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return ModuleType(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__getattr__ = anything


class Peer(MetaPathFinder):
    """What the peers' Python finds: its packages, and of this project nothing native."""

    def __init__(self, requirements: Path) -> None:
        lines = requirements.read_text(encoding="utf-8").splitlines()
        self._there = {top for line in lines if "==" in line for top in installed(line.partition("==")[0])}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        top = name.partition(".")[0]
        if top in FRAMEWORKS:
            return ModuleSpec(name, Stand(), is_package=True)
        if top in OURS:
            spec = PathFinder.find_spec(name, path)
            if spec is None or (spec.origin and not spec.origin.endswith(".py")):
                raise ModuleNotFoundError(f"{name} cannot be loaded here", name=name)
        elif top not in sys.stdlib_module_names and top not in self._there:
            raise ModuleNotFoundError(f"{name} is not among the peers' packages", name=name)
        return None


def installed(distribution: str) -> set[str]:
    """The modules that a distribution brings; none where it is not installed here."""
    try:
        files = importlib.metadata.files(distribution) or ()
    except importlib.metadata.PackageNotFoundError:
        return set()
    return {file.parts[0].partition(".")[0] for file in files}


def imports(file: Path) -> list[ast.Import | ast.ImportFrom]:
    """The import statements of a file, at its head and within its functions."""
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return [node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]


def imported(file: Path) -> set[str]:
    """The modules that those statements name."""
    nodes = imports(file)
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module for node in nodes if isinstance(node, ast.ImportFrom)}


def import_all(file: Path) -> None:
    """Import a file and whatever it imports later."""
    spec = spec_from_file_location(f"peer_{file.stem}", file)
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    for statement in imports(file):
        exec(ast.unparse(statement), {})


def read(weights: Path) -> None:
    """Read weights as the peers' workers do."""
    importlib.import_module("benchmarks.peers.network").read_graph(weights)


def main() -> None:
    sys.meta_path.insert(0, Peer(Path(sys.argv[1])))
    failures = {}
    for name in sys.argv[2:]:
        try:
            (import_all if name.endswith(".py") else read)(Path(name))
        except Exception as error:
            failures[name] = f"{type(error).__name__}: {error}"
    print(json.dumps(failures))


if __name__ == "__main__":
    main()

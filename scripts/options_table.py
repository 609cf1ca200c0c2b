"""Writes ``docs/options.md``: every option of every command, and the test that shows that it works.

The options come from the configs in ``yolo.config.commands``, the tests from their marks: ``@pytest.mark.covers``
with the command and its options, on a test that goes through the command. Usage: ``python -m scripts.options_table``.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path

from yolo.config import commands
from yolo.config.options import flags_of, shown
from yolo.io.files import write_text_atomic

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs" / "options.md"
HEAD = """# Options

Every option of every command: its default, its meaning, and the test that shows that it works. Made from
`yolo/config/commands.py` and the tests' marks by `python -m scripts.options_table`; a test fails when this file is not
up to date or an option has no test. Options may be abbreviated as long as it is clear which is meant (`--img`).
"""

Coverage = Mapping[tuple[str, str], str]


def configs() -> dict[str, type]:
    """Command -> its config class."""
    classes = inspect.getmembers(commands, lambda value: inspect.isclass(value) and dataclasses.is_dataclass(value))
    found = {name.removesuffix("Config").lower(): kind for name, kind in classes if name.endswith("Config")}
    return dict(sorted(found.items(), key=lambda item: inspect.getsourcelines(item[1])[1]))


def coverage(tests: Path = ROOT / "tests") -> Coverage:
    """(command, option) -> the first test that is marked as covering it."""
    found: dict[tuple[str, str], str] = {}
    for file in sorted(tests.rglob("test_*.py")):
        for name, command, options in _marks(ast.parse(file.read_text(encoding="utf-8"))):
            for option in options:
                found.setdefault((command, option), f"{file.relative_to(tests.parent).as_posix()}::{name}")
    return found


def _marks(tree: ast.Module) -> Iterator[tuple[str, str, list[str]]]:
    for function in ast.walk(tree):
        for decorator in getattr(function, "decorator_list", ()):
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.covers":
                command, *options = (ast.literal_eval(argument) for argument in decorator.args)
                yield function.name, command, options


def uncovered(known: Coverage) -> list[str]:
    """Options without a test, and marks that name no option, as lines of text."""
    wanted = {(name, field.name) for name, kind in configs().items() for field in dataclasses.fields(kind)}
    missing = [f"{command} {option}: no test covers it" for command, option in sorted(wanted - known.keys())]
    return missing + [f"{known[pair]} covers {pair[1]} of {pair[0]}: no such option" for pair in known.keys() - wanted]


def table(known: Coverage) -> str:
    """The text of ``docs/options.md``."""
    lines = [HEAD]
    for command, kind in configs().items():
        lines += [f"## yolo.{command}", "", inspect.getdoc(kind) or "", ""]
        lines += ["| option | default | meaning | test |", "| --- | --- | --- | --- |"]
        for field in dataclasses.fields(kind):
            flags = " ".join(f"`{flag}`" for flag in flags_of(field))
            cells = (flags, f"`{shown(field.default)}`", _meaning(field), f"`{known.get((command, field.name), '')}`")
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _meaning(field: dataclasses.Field) -> str:
    text, choices, bare = (field.metadata[name] for name in ("text", "choices", "bare"))
    text += f"; one of {', '.join(choices)}" if choices else ""
    text += f"; given alone: {bare}" if bare is not None else ""
    return text.replace("|", "\\|")


def main() -> None:
    known = coverage()
    write_text_atomic(TABLE, table(known))
    print(*uncovered(known), sep="\n")


if __name__ == "__main__":
    main()

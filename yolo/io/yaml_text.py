"""YAML that anybody may have written: every failure is one kind of error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster; not every build of PyYAML has it

MOST_REPEATED = 1_000_000
"""Characters that aliases may add to a file, each counted as often as what it names is written out."""
MOST_LEVELS = 100
"""Lists and mappings within each other, aliases written out."""
MOST_DIGITS = 4300
"""Of a whole number, as Python has it: the time to read one grows with the square."""
_MOST_SAID = 200
_WHOLE = "tag:yaml.org,2002:int"


def read_yaml(text: str) -> Any:
    """The plain data in ``text``, which may be gone through and written out: aliases are bounded, none is endless.

    Raises yaml.YAMLError, whatever is wrong with it.
    """
    try:
        return _read(text)
    except yaml.MarkedYAMLError as error:  # it may quote a tag or a name of any length
        error.context, error.problem = (words and words[:_MOST_SAID] for words in (error.context, error.problem))
        mark, lines = error.problem_mark, text.count("\n")
        if mark is not None and mark.line > lines:  # libyaml's end is a line further on
            error.problem_mark = yaml.Mark(mark.name, mark.index, lines, mark.column, None, None)
        raise
    except yaml.YAMLError:
        raise
    except Exception as error:  # a tag that does not fit its value fails in many ways (!!int '', !!timestamp x)
        raise yaml.YAMLError(f"{type(error).__name__}: {str(error)[:80]}") from error


def _read(text: str) -> Any:
    loader = _LOADER(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        _refuse_endless(root)
        return loader.construct_document(root)
    finally:
        loader.dispose()


def _refuse_endless(root: yaml.Node) -> None:
    """Raise for a document that is small as text and large, or without end, once its aliases are written out."""
    seen: dict[int, tuple[int, int] | None] = {}
    once = 0

    def measure(node: yaml.Node, level: int) -> tuple[int, int]:
        """Characters and levels of ``node``, written out."""
        nonlocal once
        if id(node) in seen:
            if (known := seen[id(node)]) is None:
                raise _error("an alias stands within what it names", node)
            return known
        seen[id(node)] = None
        size, levels = 1, 0
        if isinstance(node, yaml.ScalarNode):
            size += len(node.value)
            if node.tag == _WHOLE and len(node.value) > MOST_DIGITS:
                raise _error(f"a whole number of {len(node.value)} digits, {MOST_DIGITS} are the most", node)
        elif level > MOST_LEVELS:
            raise _error(f"more than {MOST_LEVELS} lists or mappings within each other", node)
        once += size
        for child in _children(node):
            more, below = measure(child, level + 1)
            size, levels = size + more, max(levels, below + 1)
        if levels > MOST_LEVELS:
            raise _error(f"aliases put more than {MOST_LEVELS} lists or mappings within each other", node)
        seen[id(node)] = size, levels
        return size, levels

    repeated = measure(root, 1)[0] - once
    if repeated > MOST_REPEATED:
        raise _error(f"its aliases repeat more than {MOST_REPEATED} characters", root)


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from pair


def _error(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.composer.ComposerError(None, None, problem, node.start_mark)

"""The categories of several COCO JSON files as the classes of one data set."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yolo.data.convert.records import Tally, count, need
from yolo.io.brief import brief


def merged(
    files: Sequence[tuple[Path, list[Any]]], source: Path, noticed: Tally
) -> tuple[tuple[str, ...], list[dict[int, int]]]:
    """The class names of all files, and for each file the class of each category id.

    A class is a name: a file's ids are its own. Classes come in the order of their ids; where files number them
    differently, which is ``noticed``, in the order of their smallest ids. Raises DataError.
    """
    # A file may have a name twice, with two ids; those are two classes.
    keys = [_keys(path, categories) for path, categories in files]
    ids: dict[tuple[str, int], set[int]] = defaultdict(set)
    named: dict[int, set[tuple[str, int]]] = defaultdict(set)
    for some in keys:
        for number, key in some.items():
            ids[key].add(number)
            named[number].add(key)
    if any(len(some) > 1 for some in (*ids.values(), *named.values())):
        reason = "JSON files that number their categories differently: classes go by name"
        count(noticed, reason, len(files), *(path.relative_to(source) for path, _ in files))
    order = {key: position for position, key in enumerate(sorted(ids, key=lambda key: min(ids[key])))}
    return _told_apart([name for name, _ in order]), [
        {number: order[key] for number, key in some.items()} for some in keys
    ]


def _keys(path: Path, categories: list[Any]) -> dict[int, tuple[str, int]]:
    """For each id the category's name, and how many of that name have smaller ids."""
    names: dict[int, str] = {}
    for category in categories:
        good = isinstance(category, dict) and type(category.get("id")) is int and isinstance(category.get("name"), str)
        need(good, "a category without id or name", path)
        first = names.setdefault(category["id"], category["name"])
        need(
            first == category["name"], f"the categories {brief(first)} and {brief(category['name'])} have one id", path
        )
    seen: Counter[str] = Counter()
    keys = {}
    for number in sorted(names):
        keys[number] = (names[number], seen[names[number]])
        seen[names[number]] += 1
    return keys


def renamed(
    own: tuple[str, ...], names: Sequence[str] | None, source: Path, noticed: Tally
) -> tuple[tuple[str, ...], list[int]]:
    """The class names that were asked for, and where each of the data's ``own`` is among them.

    The same names in another order are an order; others take the own ones' places. Raises DataError.
    """
    if names is None:
        return own, list(range(len(own)))
    need(len(names) == len(own), f"has {len(own)} categories, not {len(names)}", source)
    places = {name: position for position, name in enumerate(names)}
    if places.keys() == set(own):
        return tuple(names), [places[name] for name in own]
    known = set(own)
    moved = [name for position, name in enumerate(names) if name in known and own[position] != name]
    count(noticed, "class names asked for that the data has for other classes", len(moved), *moved)
    return tuple(names), list(range(len(own)))


def _told_apart(names: Sequence[str]) -> tuple[str, ...]:
    """The names, each once: a data set file takes none twice."""
    apart: dict[str, None] = {}
    last: Counter[str] = Counter()
    for name in names:
        own, number = name, max(last[name], 1)
        while own in apart:
            number += 1
            own = f"{name} {number}"
        apart[own], last[name] = None, number
    return tuple(apart)

"""Modules that stand for trackers' libraries: whatever is called on them is written down, in order."""

from __future__ import annotations

import types
from typing import Any


class Recorded:
    """Any attribute is one more of these; a call is noted with its dotted name and gives one more.

    ``values`` hold what certain attributes are instead: ``{"run.id": "abc"}``.
    """

    def __init__(self, name: str, calls: list, values: dict[str, Any]) -> None:
        self.__dict__.update(_name=name, _calls=calls, _values=values)

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        name = f"{self._name}.{attribute}".lstrip(".")
        found = self._values.get(name)
        return Recorded(name, self._calls, self._values) if found is None else found

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self._calls.append((self._name, arguments, named))
        failure = self._values.get(f"{self._name}()")
        if isinstance(failure, Exception):
            raise failure
        return Recorded(self._name + "()", self._calls, self._values)

    def __enter__(self) -> Recorded:
        return self

    def __exit__(self, *_: Any) -> None:
        return None

    def __repr__(self) -> str:
        return f"<{self._name}>"


class Library(types.ModuleType):
    """A module to be put into ``sys.modules``; ``calls`` are ``(name, arguments, named arguments)``."""

    def __init__(self, name: str, **values: Any) -> None:
        super().__init__(name)
        self.calls: list[tuple[str, tuple, dict]] = []
        self._root = Recorded("", self.calls, values)

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        return getattr(self._root, attribute)

    def names(self) -> list[str]:
        return [name for name, *_ in self.calls]

    def of(self, name: str) -> list[tuple[tuple, dict]]:
        """Arguments of each call of ``name``."""
        return [(arguments, named) for called, arguments, named in self.calls if called == name]

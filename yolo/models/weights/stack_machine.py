"""A pickle reader that can run nothing.

It is not `pickle.Unpickler` with a filter: it interprets the few opcodes that `torch.save` writes and keeps
every global name as inert data. No name is ever imported, no object of the file ever called, so there is
nothing for a hostile file to reach.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any, Final

from yolo.models.weights.rebuild import ForbiddenError, Global, Instance, check_name, is_key, rebuild

_MARK: Final = object()
_STOP: Final = b"."
_FREE_OPERATIONS: Final = 250_000
_BYTES_AN_OPERATION: Final = 128
_MAX_COPIED: Final = 1_000_000
_LETTERS_AN_ELEMENT: Final = 16
_ELEMENTS_A_SET: Final = 8
"""What an empty one costs, in elements: it has room for so many."""
_MOST_NAMES: Final = 10_000
"""Different ones; YOLOv5's own files have about fifty."""
_CONSTANTS: Final = {
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
}
_LITERALS: Final = frozenset(
    (
        *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
        *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    )
)
_IGNORED: Final = ("PROTO", "FRAME")


@dataclass(slots=True)
class _Machine:
    load_persistent: Callable[[Any], Any]
    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    names: dict[tuple[str, str], Any] = field(default_factory=dict)
    copied: int = 0
    """Elements handed to rebuilders, which copy them, and those that sets have room for."""

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise ForbiddenError("a mark where a value is expected")
        return value

    def pop_to_mark(self) -> list[Any]:
        for start in range(len(self.stack) - 1, -1, -1):
            if self.stack[start] is _MARK:
                items = self.stack[start + 1 :]
                del self.stack[start:]
                return items
        raise ForbiddenError("no mark on the stack")

    def push_name(self, module: str, name: str) -> None:
        """One object a name, however often it comes."""
        if (module, name) not in self.names:
            if len(self.names) == _MOST_NAMES:
                raise ForbiddenError(f"more than {_MOST_NAMES} different names")
            self.names[module, name] = check_name(module, name)
        self.stack.append(self.names[module, name])

    def count(self, elements: int) -> None:
        self.copied += elements
        if self.copied > _MAX_COPIED:
            raise ForbiddenError(f"copies of more than {_MAX_COPIED} elements")

    def top(self, kind: type) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise ForbiddenError(f"{type(self.stack[-1]).__name__} where a {kind.__name__} is expected")
        return self.stack[-1]


def read_pickle(stream: IO[bytes], load_persistent: Callable[[Any], Any], most: int) -> Any:
    """The object of one pickle, foreign classes as `Instance`; leaves ``stream`` after its end.

    ``load_persistent`` turns a persistent id (plain data) into a value; ``most``: operations that it may take. Raises
    ForbiddenError for a name or an opcode outside the admitted ones, or for more of them, and ValueError, IndexError,
    KeyError or the like for a broken pickle.
    """
    machine = _Machine(load_persistent)
    read, operations = stream.read, _OPERATIONS
    for _ in range(most):
        code = read(1)
        known = operations.get(code)
        if known is None:
            if code == _STOP:
                return machine.pop()
            raise _refusal(code, stream)
        argument, action = known
        action(machine, None if argument is None else argument(stream))
    raise ForbiddenError(f"more than {most} operations, which a file of this size does not need")


def most_operations(file_bytes: int) -> int:
    """Operations that a file of this size may take: YOLOv5's own need 35,000 (n) to 250,000 (x6 in training)."""
    return _FREE_OPERATIONS + file_bytes // _BYTES_AN_OPERATION


def _refusal(code: bytes, stream: IO[bytes]) -> Exception:
    """The error for an operation that is not admitted, with the name that it carries, such as INST's `os system`."""
    if not code:
        return ValueError("the pickle does not end")
    opcode = pickletools.code2op.get(code.decode("latin-1"))
    if opcode is None:
        return ValueError(f"no pickle operation {code!r}")
    named = f" ({opcode.arg.reader(stream)[:80].replace(' ', '.')})" if opcode.name == "INST" else ""
    return ForbiddenError(f"pickle operation {opcode.name}{named}")


def _put(machine: _Machine, argument: int | None) -> None:
    place = len(machine.memo) if argument is None else argument
    if not is_key(place):  # PUT has digits without end
        raise ForbiddenError("a place in the memo that is out of range")
    machine.memo[place] = machine.stack[-1]


def _global(machine: _Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    machine.push_name(module, name)


def _stack_global(machine: _Machine, argument: None) -> None:
    name, module = machine.pop(), machine.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise ForbiddenError("a global whose name is not text")
    machine.push_name(module, name)


def _reduce(machine: _Machine, argument: None) -> None:
    arguments, function = machine.pop(), machine.pop()
    if not isinstance(function, Global) or not isinstance(arguments, tuple):
        raise ForbiddenError(f"a call of a {type(function).__name__}")
    _make(machine, function, arguments)


def _new_object(machine: _Machine, argument: None) -> None:
    arguments, kind = machine.pop(), machine.pop()
    if not isinstance(kind, Global) or not isinstance(arguments, tuple):
        raise ForbiddenError(f"an instance of a {type(kind).__name__}")
    _make(machine, kind, arguments)


def _make(machine: _Machine, kind: Global, arguments: tuple[Any, ...]) -> None:
    for argument in arguments:
        if isinstance(argument, (dict, list, set, tuple)):
            machine.count(len(argument))
        elif isinstance(argument, str):
            machine.count(len(argument) // _LETTERS_AN_ELEMENT)
    machine.stack.append(rebuild(kind, arguments))


def _new_object_keywords(machine: _Machine, argument: None) -> None:
    if machine.pop() != {}:
        raise ForbiddenError("an instance with keyword arguments")
    _new_object(machine, argument)


def _build(machine: _Machine, argument: None) -> None:
    state = machine.pop()
    target = machine.stack[-1]
    if isinstance(target, Instance):
        target.state = state
    elif not isinstance(target, dict):  # an OrderedDict may carry `_metadata`, which nothing needs
        raise ForbiddenError(f"state for a {type(target).__name__}")


def _set_items(machine: _Machine, argument: None) -> None:
    items = machine.pop_to_mark()
    if len(items) % 2:
        raise ForbiddenError("a key without a value")
    _store(machine.top(dict), items)


def _set_item(machine: _Machine, argument: None) -> None:
    value, key = machine.pop(), machine.pop()
    _store(machine.top(dict), [key, value])


def _store(target: dict[Any, Any], items: list[Any]) -> None:
    for key, value in zip(items[::2], items[1::2]):
        if not is_key(key):
            raise ForbiddenError(f"a {type(key).__name__} as a key")
        target[key] = value


def _empty_set(machine: _Machine, argument: None) -> None:
    machine.count(_ELEMENTS_A_SET)
    machine.stack.append(set())


def _scalar_set(machine: _Machine) -> set[Any]:
    items = machine.pop_to_mark()
    if not all(is_key(item) for item in items):
        raise ForbiddenError("a set of other than scalars")
    return set(items)


def _add_items(machine: _Machine, argument: None) -> None:
    items = _scalar_set(machine)
    machine.top(set).update(items)


def _dict(machine: _Machine, argument: None) -> None:
    items = machine.pop_to_mark()
    machine.stack.append({})
    _store(machine.stack[-1], items)


def _tuple_of(length: int) -> Callable[[_Machine, None], None]:
    def action(machine: _Machine, argument: None) -> None:
        items = [machine.pop() for _ in range(length)]
        machine.stack.append(tuple(reversed(items)))

    return action


def _append(machine: _Machine, argument: None) -> None:
    value = machine.pop()
    machine.top(list).append(value)


def _appends(machine: _Machine, argument: None) -> None:
    items = machine.pop_to_mark()
    machine.top(list).extend(items)


_ACTIONS: Final[dict[str, Callable[[_Machine, Any], object]]] = {
    "MARK": lambda machine, _: machine.stack.append(_MARK),
    "POP": lambda machine, _: machine.stack.pop(),
    "POP_MARK": lambda machine, _: machine.pop_to_mark(),
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()),
    "EMPTY_SET": _empty_set,
    "LIST": lambda machine, _: machine.stack.append(machine.pop_to_mark()),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.pop_to_mark())),
    "FROZENSET": lambda machine, _: machine.stack.append(_scalar_set(machine)),
    "ADDITEMS": _add_items,
    "DICT": _dict,
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "APPEND": _append,
    "APPENDS": _appends,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "PUT": _put,
    "BINPUT": _put,
    "LONG_BINPUT": _put,
    "MEMOIZE": _put,
    "GET": lambda machine, key: machine.stack.append(machine.memo[key]),
    "BINGET": lambda machine, key: machine.stack.append(machine.memo[key]),
    "LONG_BINGET": lambda machine, key: machine.stack.append(machine.memo[key]),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "NEWOBJ": _new_object,
    "NEWOBJ_EX": _new_object_keywords,
    "BUILD": _build,
    "BINPERSID": lambda machine, _: machine.stack.append(machine.load_persistent(machine.pop())),
}


def _literal(machine: _Machine, argument: Any) -> None:
    machine.stack.append(argument)


def _constant(value: Any) -> Callable[[_Machine, None], None]:
    return lambda machine, _: machine.stack.append(value)


def _table() -> dict[bytes, tuple[Callable[[IO[bytes]], Any] | None, Callable[[_Machine, Any], object]]]:
    """Opcode -> how its argument is read, and what it does."""
    known = {
        **dict.fromkeys(_LITERALS, _literal),
        **dict.fromkeys(_IGNORED, lambda machine, _: None),
        **{name: _constant(value) for name, value in _CONSTANTS.items()},
        **_ACTIONS,
    }
    return {
        opcode.code.encode("latin-1"): (opcode.arg and opcode.arg.reader, known[opcode.name])
        for opcode in pickletools.opcodes
        if opcode.name in known
    }


_OPERATIONS: Final = _table()

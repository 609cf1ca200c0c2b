"""From a dataclass to a command line: each command's typed config is the one source of its options."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
from collections.abc import Sequence
from typing import Any, TypeVar

import yaml

from yolo.errors import ConfigError
from yolo.io.brief import brief

Config = TypeVar("Config")

NEAR = 0.7
"""From this likeness on, dashes aside, an unknown option is taken for a typing error."""


MOST_WHOLE = 2**63 - 1
"""What a whole number may be: what the compiled code counts with."""


def option(
    default: Any,
    text: str,
    *,
    aliases: Sequence[str] = (),
    choices: Sequence[str] | None = None,
    low: float | None = None,
    high: float | None = None,
    many: type | None = None,
    bare: Any = None,
    auto: Any = None,
) -> Any:
    """Declare one option: its default, help text, other names, and the values it takes.

    ``many`` is the element type of an option that takes several values (default: a tuple). ``bare`` is the value of
    an option that may be given without one (``--cache``, ``--resume``). ``auto`` is a value beyond ``low`` that leaves
    the choice to the command.
    """
    metadata = {
        "text": text, "aliases": aliases, "choices": choices, "low": low, "high": high, "many": many, "bare": bare,
        "auto": auto,
    }  # fmt: skip
    return dataclasses.field(default=default, metadata=metadata)


def parse(config_class: type[Config], argv: Sequence[str], program: str) -> Config:
    """Read a command line into ``config_class``.

    Unambiguous abbreviations are understood. Raises ConfigError for an unknown option (naming the nearest known one),
    a value of the wrong type or out of range.
    """
    parser = build_parser(config_class, program)
    values, unknown = parser.parse_known_args(list(argv))
    if unknown:
        _refuse_unknown(parser, unknown[0])
    config = config_class(**{k: tuple(v) if isinstance(v, list) else v for k, v in vars(values).items()})
    for field in dataclasses.fields(config_class):
        check_range(field, getattr(config, field.name))
    return config


def build_parser(config_class: type, program: str) -> argparse.ArgumentParser:
    """The argparse parser of a config class; ``--help`` comes from it."""
    parser = _Parser(prog=program, description=(config_class.__doc__ or "").strip().splitlines()[0])
    for field in dataclasses.fields(config_class):
        flags = flags_of(field)
        if "_" in field.name:
            flags.append(f"--{field.name}")
        text = field.metadata["text"].replace("%", "%%")
        if isinstance(field.default, bool):
            parser.add_argument(*flags, dest=field.name, action="store_true", help=text)
            continue
        many, bare = field.metadata["many"], field.metadata["bare"]
        parser.add_argument(
            *flags,
            dest=field.name,
            default=field.default,
            type=many or type(field.default),
            nargs="+" if many else None if bare is None else "?",
            const=bare,
            choices=field.metadata["choices"],
            metavar=None if field.metadata["choices"] else (many or type(field.default)).__name__.upper(),
            help=f"{text} (default: {shown(field.default)}{'' if bare is None else f'; alone: {bare}'})",
        )
    return parser


def flags_of(field: dataclasses.Field) -> list[str]:
    """The names of an option on the command line, its own first."""
    return [f"--{field.name.replace('_', '-')}", *field.metadata["aliases"]]


def to_yaml(config: Any) -> str:
    """The text of ``opt.yaml``."""
    values = {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(config).items()}
    return yaml.safe_dump(values, sort_keys=False)


def to_argv(config: Any) -> list[str]:
    """The command line that ``parse`` reads ``config`` from: what differs from the defaults."""
    argv = []
    for field in dataclasses.fields(config):
        value, flag = getattr(config, field.name), flags_of(field)[0]
        if value == field.default:
            continue
        if isinstance(value, bool):
            argv.append(flag)
        elif isinstance(value, tuple):
            argv += [flag, *map(str, value)]
        else:
            argv.append(f"{flag}={value}")
    return argv


class _Parser(argparse.ArgumentParser):
    def _get_option_tuples(self, option_string: str) -> list:
        """Abbreviations: two spellings of one option (--conf-thres, --conf_thres) are not ambiguous."""
        found = super()._get_option_tuples(option_string)
        return found[:1] if len({id(action) for action, *_ in found}) == 1 else found

    def error(self, message: str) -> None:
        raise ConfigError(message, hint=f"see {self.prog} --help")


def _refuse_unknown(parser: argparse.ArgumentParser, given: str) -> None:
    name = given.split("=")[0]
    if not name.startswith("-"):
        raise ConfigError(f"unexpected argument {given!r}", hint=f"see {parser.prog} --help")
    known = [flag[2:] for flag in parser._option_string_actions if flag.startswith("--") and "_" not in flag]
    near = difflib.get_close_matches(name.lstrip("-"), known, n=1, cutoff=NEAR)
    raise ConfigError(
        f"unknown option {name}", hint=f"did you mean --{near[0]}?" if near else f"see {parser.prog} --help"
    )


def check_range(field: dataclasses.Field, value: Any) -> None:
    """Raise ConfigError for a value outside an option's bounds."""
    low, high, auto = (field.metadata[name] for name in ("low", "high", "auto"))
    for number in value if isinstance(value, tuple) else (value,):
        if auto is not None and number == auto:
            continue
        if isinstance(number, int) and abs(number) > MOST_WHOLE:
            raise ConfigError(f"is {brief(number, 40)}", where=f"--{field.name.replace('_', '-')}", hint="give less")
        if (low is not None and not number >= low) or (high is not None and not number <= high):
            bounds = f"at least {low}" if high is None else f"between {low} and {high}"
            bounds += "" if auto is None else f", or {auto} to have it chosen"
            raise ConfigError(f"is {number}", where=f"--{field.name.replace('_', '-')}", hint=f"give {bounds}")


def shown(default: Any) -> str:
    """A default, readable."""
    if isinstance(default, tuple):
        return " ".join(map(str, default)) or "none"
    return "none" if default == "" else str(default)

"""Options read back from what a run kept of them: ``opt.yaml``, or a checkpoint's metadata."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from yolo.config.options import check_range
from yolo.errors import ConfigError
from yolo.io.brief import brief

Config = TypeVar("Config")


def saved_options(config_class: type[Config], values: object, where: object) -> Config:
    """The config whose ``dataclasses.asdict`` (or YAML) is ``values``; options that it lacks get their defaults.

    Names that are no options are left out: they are those of another release. Raises ConfigError for a value of the
    wrong type or out of range.
    """
    if not isinstance(values, Mapping):
        raise ConfigError("holds no options", where=where)
    found = {}
    for field in dataclasses.fields(config_class):
        if field.name in values:
            found[field.name] = _value(field, values[field.name], where)
    config = config_class(**found)
    for field in dataclasses.fields(config_class):
        check_range(field, getattr(config, field.name))
    return config


def _value(field: dataclasses.Field, value: Any, where: object) -> Any:
    many = field.metadata["many"]
    if many and isinstance(value, (list, tuple)) and all(type(one) is many for one in value):
        return tuple(value)
    kind = type(field.default)
    if type(value) is bool and {"on", "off"} <= set(field.metadata["choices"] or ()):  # of a run when it was a flag
        return "on" if value else "off"
    if type(value) is kind and not many:
        choices = field.metadata["choices"]
        if choices is None or value in (*choices, field.default, field.metadata["bare"]):
            return value
    if kind is float and type(value) is int:
        return float(value)
    raise ConfigError(
        f"option {field.name} is {brief(value)}", where=where, hint="the file was changed; start a new run"
    )

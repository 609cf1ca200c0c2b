"""YAML that anybody may have written: every failure is one kind of error, every value can be shown."""

from __future__ import annotations

from typing import Any

import yaml


def read_yaml(text: str) -> Any:
    """The plain data in ``text``. Raises yaml.YAMLError, whatever is wrong with it."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise
    except Exception as error:  # a tag that does not fit its value fails in many ways (!!int '', !!timestamp x)
        raise yaml.YAMLError(f"{type(error).__name__}: {str(error)[:80]}") from error


def brief(value: Any) -> str:
    """``value`` as a message shows it: at most 80 characters."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, lists nested without end
        return f"a huge {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:79]}…"

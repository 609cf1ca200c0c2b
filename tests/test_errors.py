"""An error a user can mend is one line: where, what, how to mend."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from yolo import errors
from yolo.errors import ConfigError, YoloError


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({}, "is wrong"),
        ({"where": "a.yaml:3"}, "a.yaml:3: is wrong"),
        ({"where": Path("a.yaml")}, "a.yaml: is wrong"),
        ({"hint": "write 1"}, "is wrong; write 1"),
        ({"where": "--conf", "hint": "write 1"}, "--conf: is wrong; write 1"),
    ],
)
def test_the_line(options, line):
    error = YoloError("is wrong", **options)
    assert str(error) == line
    assert (error.what, error.where, error.hint) == ("is wrong", options.get("where"), options.get("hint"))


def test_it_is_one_line_whatever_is_put_in():
    error = YoloError("a\nb\r\n  c", where="x\ny", hint="d\n\ne\x0b\u2028f")
    assert str(error) == "x y: a b c; d e f"
    assert len(str(error).splitlines()) == 1


@pytest.mark.parametrize("name", ["ConfigError", "DataError", "ModelError", "WeightsError", "RuntimeSetupError"])
def test_one_family(name):
    kind = getattr(errors, name)
    assert issubclass(kind, YoloError)
    with pytest.raises(YoloError, match=r"^there: odd; mend it$"):
        raise kind("odd", where="there", hint="mend it")


def test_it_crosses_processes():
    error = pickle.loads(pickle.dumps(ConfigError("odd", where="there", hint="mend it")))
    assert type(error) is ConfigError
    assert str(error) == "there: odd; mend it"
    assert (error.what, error.where, error.hint) == ("odd", "there", "mend it")

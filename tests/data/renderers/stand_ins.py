"""Modules in place of the renderers that need more than OpenCV."""

from __future__ import annotations

import sys
import types

import pytest

from yolo.data.renderers.opencv import OpenCVRenderer
from yolo.errors import ConfigError


class NativeRenderer(OpenCVRenderer):
    """Makes the samples of images with even numbers, as OpenCV does."""

    def supports(self, plan):
        return plan.index % 2 == 0


def library():
    raise ConfigError("DALI is not installed", where="--loader dali", hint="install the extra dali")


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A native renderer that makes half of the samples, and a DALI that is absent."""
    native, dali = types.ModuleType("native"), types.ModuleType("dali")
    native.NativeRenderer, dali.DaliRenderer, dali.library = NativeRenderer, None, library
    monkeypatch.setitem(sys.modules, "yolo.data.renderers.native", native)
    monkeypatch.setitem(sys.modules, "yolo.data.renderers.dali", dali)

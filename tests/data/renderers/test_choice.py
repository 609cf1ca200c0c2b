import subprocess
import sys

import pytest

from tests.data.renderers import stand_ins
from yolo.config.commands import LOADERS, TrainConfig, ValConfig
from yolo.data.renderers.choice import renderers
from yolo.data.renderers.opencv import OpenCVRenderer
from yolo.errors import ConfigError


def test_each_loader_falls_back_on_the_next(monkeypatch):
    stand_ins.install(monkeypatch)
    asked, dali = [], sys.modules["yolo.data.renderers.dali"]
    monkeypatch.setattr(dali, "library", lambda: asked.append(1))
    assert renderers("opencv") == (OpenCVRenderer,)
    assert renderers("native") == (stand_ins.NativeRenderer, OpenCVRenderer)
    assert asked == []
    assert renderers("dali") == (dali.DaliRenderer, stand_ins.NativeRenderer, OpenCVRenderer)
    assert asked == [1]
    assert set(LOADERS) == {"native", "opencv", "dali"} and TrainConfig.loader == ValConfig.loader == "native"


def test_a_library_that_is_missing_is_said(monkeypatch):
    stand_ins.install(monkeypatch)
    with pytest.raises(ConfigError, match="--loader dali: DALI is not installed"):
        renderers("dali")


def test_one_that_does_not_exist():
    with pytest.raises(ConfigError, match="--loader cuda: there is no such loader; take native, opencv or dali"):
        renderers("cuda")


def test_what_is_not_chosen_is_not_loaded():
    line = (
        "import sys; from yolo.data.renderers.choice import renderers; assert 'cv2' not in sys.modules;"
        "renderers('opencv'); print([n for n in sys.modules if n.startswith(('yolo.data.renderers.', 'nvidia'))])"
    )
    done = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    assert sorted(eval(done.stdout)) == [f"yolo.data.renderers.{name}" for name in ("choice", "opencv", "window")]

"""How a program starts: what is loaded before the first boxes are there, and what is not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import yolo
from tests.inference.samples import make_image, noise
from yolo.errors import WeightsError
from yolo.export import main as export_main
from yolo.inference.detector import Detector

FIRST_BOXES = """
import sys
from yolo import Detector
found = Detector(sys.argv[1], conf=0.001)(sys.argv[2])
assert len(found) and found.boxes.xyxy.shape[1] == 4
unneeded = (
    "oneflow", "yaml", "PIL.Image", "matplotlib", "scipy", "pandas", "requests", "argparse", "importlib.metadata",
    "yolo.config.commands", "yolo.command", "yolo.data.load", "yolo.models.weights.load", "yolo.inference.ensemble",
    "yolo.inference.sources.open", "yolo.plots.annotate", "yolo.data.renderers.native", "yolo.program.int8.build",
)
print(*(name for name in unneeded if name in sys.modules))
"""


def run(code: str, *argv: object) -> str:
    command = [sys.executable, "-c", code, *map(str, argv)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(yolo.__file__).parents[1], timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def program(weights: Path, tmp_path: Path) -> Path:
    copy = Path(shutil.copy(weights, tmp_path))
    assert export_main(["--weights", str(copy), "--imgsz", "64"]) == 0
    return copy.with_suffix(".program")


def test_the_package_alone_loads_nothing_else() -> None:
    code = "import sys; before = {*sys.modules}; import yolo; print(*sorted({*sys.modules} - before - {'typing'}))"
    loaded = run(code).split()
    assert {name.partition(".")[0] for name in loaded} <= {"__future__", "yolo", *sys.stdlib_module_names}
    assert [name for name in loaded if name.startswith("yolo")] == ["yolo"] and len(loaded) < 20


def test_first_boxes_load_only_what_they_need(program: Path, tmp_path: Path) -> None:
    """A compiled detector's file: half of the time to the first boxes was once spent on what nobody used."""
    assert run(FIRST_BOXES, program, make_image(tmp_path / "a.jpg")) == ""


def test_the_first_image_waits_for_no_compilation(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are packed when a detector is made: what an image of another size then needs takes a tenth of that."""
    detector = Detector(program, device="cpu")

    def planned(*_: object, **__: object) -> None:
        raise AssertionError("planned")

    monkeypatch.setattr("yolo.program.compiled.plan_inference", planned)
    assert detector(noise((64, 64))).input_size == (64, 64)
    with pytest.raises(AssertionError, match="planned"):
        detector(noise((48, 64)))


def test_what_cannot_be_made_ready_is_said_when_there_is_an_image(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr("yolo.program.compiled.CompiledNetwork.program", no_room)
    detector = Detector(program, device="cpu")
    with pytest.raises(WeightsError, match="does not run here: no room"):
        detector(noise((64, 64)))

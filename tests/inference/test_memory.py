"""A detector's memory does not grow with the number of images, whatever their sizes are."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import yolo
from graphs.base import synchronise
from graphs.detect import CompiledDetectGraph
from tests.inference.samples import make_image, noise
from yolo.export import main as export_main
from yolo.inference.detector import Detector
from yolo.program.compiled import MOST_SHAPES


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of each graph that is made, the number of images that it takes."""
    batches, init = [], CompiledDetectGraph.__init__

    def noting(self, batch: int, settings) -> None:
        batches.append(batch)
        init(self, batch, settings)

    monkeypatch.setattr(CompiledDetectGraph, "__init__", noting)
    return batches


def test_a_few_graphs_serve_all_shapes(weights: Path, made: list[int]) -> None:
    options = {"imgsz": 352, "conf": 0.001, "max_det": 20}
    pair = [Detector(weights, device="cpu", **options) for _ in range(2)]
    shapes = [(352, side) for side in range(16, 353, 8)]
    found = {}
    for turn in range(2):  # the second time all graphs are there
        for number, shape in enumerate(shapes):
            result = pair[(turn + number) % 2](noise(shape, seed=number))
            assert np.array_equal(found.setdefault(number, result.rows), result.rows)
            assert len(result)
    assert len({result for result in map(np.ndarray.tobytes, found.values())}) == len(shapes) > MOST_SHAPES
    assert len(made) <= 2 * 6 and set(made) == {1}
    alone = Detector(weights, device="cpu", **options)  # each shape in a graph of its size
    for number in (0, 7, 18):
        assert np.array_equal(alone(noise(shapes[number], seed=number)).rows, found[number])


def test_a_few_graphs_serve_all_numbers_of_images(weights: Path, made: list[int]) -> None:
    detector = Detector(weights, device="cpu", imgsz=64, conf=0.001, max_det=20)
    images = [noise(seed=seed) for seed in range(9)]
    expected = [detector(image).rows for image in images]
    for count in range(1, 10):
        for result, rows in zip(detector.detect_ready(list(map(detector.ready, images[:count]))), expected):
            assert np.array_equal(result.rows, rows)
    assert made == [1, 2, 4, 8, 16]


def test_a_call_that_was_broken_off_has_ended_before_the_next(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one says which program the graph runs: not while it runs."""
    detector, order, run = Detector(weights, device="cpu", imgsz=64, conf=0.001), [], CompiledDetectGraph.run
    expected = [detector(noise(size)).rows for size in ((64, 64), (32, 64))]

    def broken_off(self, program, pixels):
        order.append("run")
        run(self, program, pixels)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(CompiledDetectGraph, "run", broken_off)
        with pytest.raises(KeyboardInterrupt):
            detector(noise((64, 64)))
    monkeypatch.setattr("graphs.detect.synchronise", lambda: (order.append("wait"), synchronise()))
    for size, rows in zip(((32, 64), (64, 64)), reversed(expected)):
        assert np.array_equal(detector(noise(size)).rows, rows)
    assert order == ["run", "wait"]


@pytest.mark.parametrize("augment", [False, True])
def test_what_a_detector_keeps_of_sizes_is_bounded(weights: Path, tmp_path: Path, augment: bool) -> None:
    copy = Path(shutil.copy(weights, tmp_path))
    assert export_main(["--weights", str(copy), "--imgsz", "384"]) == 0
    detector = Detector(copy.with_suffix(".program"), device="cpu", max_det=5, augment=augment)
    sizes = [(3 * k + 1, 384) for k in range(1, 128)] + [(384, 7 * k) for k in range(1, 55)]
    images = [np.zeros((*size, 3), np.uint8) for size in sizes]
    shapes = {detector(image).input_size for image in images}
    assert 2 * MOST_SHAPES < len(shapes) <= 2 * 384 // detector.stride
    (model,) = detector.models
    kept = [model._compiled._programs, getattr(detector._runner, "_programs", ())]
    assert MOST_SHAPES == len(kept[0]) >= len(kept[1])
    detector(images)
    assert all(0 < len(lane._programs) <= MOST_SHAPES for lane in model._compiled.lanes())
    assert len(detector._fitting) <= len(shapes)


COMMAND = """
import sys
from yolo.detect import main
code = main(sys.argv[1:])
unneeded = ("yolo.models.network", "yolo.inference.graph_runner", "matplotlib.axes")
print(code, *(name for name in unneeded if name in sys.modules))
"""


def test_the_command_loads_no_modules_of_plain_networks_and_plots(weights: Path, tmp_path: Path) -> None:
    image = make_image(tmp_path / "a.png")
    options = {"--weights": weights, "--source": image, "--project": tmp_path, "--device": "cpu", "--imgsz": 64}
    argv = [sys.executable, "-c", COMMAND, *(str(word) for pair in options.items() for word in pair)]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=Path(yolo.__file__).parents[1])
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


MANY = """
import json, sys
from yolo import runtime
runtime.start()
import numpy as np
from yolo.inference.detector import Detector

weights, mode, count, images = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
compile = "off" if mode == "off" else "program"
detectors = [Detector(weights, device="cpu", imgsz=128, conf=0.3, max_det=20, compile=compile) for _ in range(count)]
rng, megabytes, shapes = np.random.default_rng(0), [], set()

def made():
    for number in range(images):
        yield np.full((*rng.integers(16, 129, 2), 3), number % 256, np.uint8)

results = detectors[0](made())
if mode != "stream":
    results = (detectors[number % count](image) for number, image in enumerate(made()))
for number, result in enumerate(results):
    shapes.add(result.input_size)
    if (number + 1) % (images // 10) == 0:
        with open("/proc/self/statm") as stream:
            megabytes.append(int(stream.read().split()[1]) * 4096 / 2**20)
print(json.dumps([megabytes, len(shapes)]))
"""


@pytest.mark.stress
@pytest.mark.parametrize(("mode", "detectors"), [("program", 1), ("program", 2), ("off", 1), ("off", 2), ("stream", 1)])
def test_ten_thousand_images(weights: Path, mode: str, detectors: int) -> None:
    argv = [sys.executable, "-c", MANY, str(weights), mode, str(detectors), "10000"]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=Path(yolo.__file__).parents[1])
    assert done.returncode == 0, done.stderr[-2000:]
    megabytes, shapes = json.loads(done.stdout.splitlines()[-1])
    assert shapes > 8, "too few shapes to tell anything"
    made = 4 if mode == "stream" else 1  # until then each shape's programs are made, of a stream on each lane too
    assert max(megabytes[made + 1 :]) - megabytes[made] < 8, megabytes  # it was 45 KB an image: 360 MB

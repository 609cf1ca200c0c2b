"""The detector: images in, Results out, equal to the published detections."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import yolo
from tests.inference.samples import NAMES, SIZE, make_image, make_video, noise
from tests.parity import PARITY, needs_parity
from yolo.errors import ConfigError, DataError, RuntimeSetupError, WeightsError
from yolo.export import main as export_main
from yolo.inference.detector import Detector


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a, b)


def test_importing_the_package_brings_up_nothing() -> None:
    code = "import sys, yolo; assert not {'oneflow', 'cv2', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(yolo.__file__).parents[1])
    assert yolo.Detector is Detector
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = yolo.Nothing


def test_the_package_shows_what_it_offers() -> None:
    assert {*yolo.__all__} <= {*dir(yolo)} and "Detector" in yolo.__all__


def test_one_image_gives_one_result(detector: Detector, tmp_path: Path) -> None:
    path = make_image(tmp_path / "a.png")
    found = detector(path)
    assert 0 < len(found) <= 20 and found.names == NAMES and found.path == path and found.frame is None
    assert found.rows.dtype == np.float32 and (found.boxes.conf > 0.001).all()
    assert (np.diff(found.boxes.conf) <= 0).all() and set(found.boxes.cls) <= {0, 1}
    assert (found.boxes.xyxy >= 0).all() and (found.boxes.xyxy <= [64, 48, 64, 48]).all()
    assert found.input_size == (48, 64) and set(found.speed_ms) == {"preprocess", "inference", "nms"}
    assert all(milliseconds >= 0 for milliseconds in found.speed_ms.values())
    assert same(found.rows, detector(str(path)).rows)
    assert same(found.rows, detector(noise()).rows) and detector(noise()).path is None


def test_a_compiled_network_is_not_built_of_modules_too(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def built(*_: object, **__: object) -> None:
        raise AssertionError("built")

    monkeypatch.setattr("yolo.models.network.Network.__init__", built)
    for options in ({}, {"augment": True}):
        assert len(Detector(weights, device="cpu", imgsz=64, conf=0.001, **options)(noise()))
    with pytest.raises(AssertionError, match="built"):
        Detector(weights, device="cpu", imgsz=64, compile="off")


def test_a_list_gives_a_list_in_its_order(detector: Detector) -> None:
    shapes = [SIZE, (64, 64), (96, 128), (64, 64), SIZE]
    images = [noise(shape, seed) for seed, shape in enumerate(shapes)]
    together = detector(images)
    assert [found.image.shape[:2] for found in together] == shapes
    for image, found in zip(images, together):
        assert same(found.rows, detector(image).rows)
    assert detector([]) == [] and len(detector((images[0],))) == 1


def test_long_lists_are_taken_in_parts(detector: Detector) -> None:
    results = detector([noise(seed=seed % 3) for seed in range(35)])
    assert len(results) == 35
    for index, found in enumerate(results):
        assert same(found.rows, results[index % 3].rows)


def test_any_array_layout_is_the_same_image(detector: Detector) -> None:
    bgr = np.ascontiguousarray(noise()[..., ::-1])
    assert same(detector(bgr[..., ::-1]).rows, detector(noise()).rows)


@pytest.mark.parametrize("size", [(1, 64), (64, 1), (1, 1), (3, 500)])
def test_thin_images_are_looked_at(detector: Detector, size: tuple[int, int]) -> None:
    found = detector(noise(size))
    assert (found.boxes.xyxy <= [size[1], size[0]] * 2).all() and (found.boxes.xyxy >= 0).all()
    assert found.plot().shape == (*size, 3)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8, 8, 3)), r"float64 \[8, 8, 3\]"),
        (np.zeros((8, 8), np.uint16), r"uint16 \[8, 8\]"),
        (np.zeros((8, 8, 5), np.uint8), r"\[8, 8, 5\]"),
        (np.zeros(8, np.uint8), r"\[8\]"),
        (np.zeros((0, 8, 3), np.uint8), r"\[0, 8, 3\]"),
        (np.zeros((2, 8, 8, 3), np.uint8), r"\[2, 8, 8, 3\]"),
        (None, "NoneType is not an image"),
        ("absent.jpg", "absent.jpg: the image cannot be read"),
        (Path(__file__), "the image cannot be decoded"),
        (Path(__file__).parent, "the image cannot be read"),
    ],
)
def test_what_is_no_image_is_refused(detector: Detector, image: object, message: str) -> None:
    for look in (lambda: detector(image), lambda: detector([noise(), image]), lambda: [*detector(iter([image]))]):
        with pytest.raises(DataError, match=message) as caught:
            look()
        assert "\n" not in str(caught.value)


def test_settings_reach_nms(detector: Detector, weights: Path) -> None:
    everything = detector(noise())
    few = Detector(weights, device="cpu", imgsz=(64, 64), conf=0.001, max_det=3, names=("x", "y"))(noise())
    assert few.names == ("x", "y") and same(few.rows, everything.rows[:3])
    only = Detector(weights, device="cpu", imgsz=[64], conf=0.001, classes=[1], max_det=20)(noise())
    assert set(only.boxes.cls) <= {1}
    none = Detector(weights, device="cpu", imgsz=64, conf=1.0)(noise())
    assert len(none) == 0 and none.boxes.xyxy.shape == (0, 4)


def test_sizes_are_rounded_up_to_the_stride(weights: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert Detector(weights, device="cpu", imgsz=(60, 90)).imgsz == (64, 96)
    assert caplog.messages == ["--imgsz 60 90 is not a multiple of the stride 8: using 64 96"]


@pytest.mark.parametrize(
    "options",
    [
        {"imgsz": 0},
        {"imgsz": (1, 2, 3)},
        {"imgsz": ()},
        {"conf": -0.1},
        {"conf": float("nan")},
        {"iou": 1.5},
        {"max_det": 0},
        {"classes": [2]},
        {"classes": [-1]},
        {"classes": 2},
        {"classes": "cat"},
        {"names": "ab"},
        {"half": "no"},
        {"int8": True},
        {"names": ["one"]},
        {"imgsz": "64"},
        {"imgsz": 64.5},
        {"imgsz": float("inf")},
        {"conf": "a"},
        {"conf": None},
        {"max_det": 1.5},
        {"compile": "Off"},
        {"channels": "BGR"},
    ],
)
def test_wrong_options_are_refused(weights: Path, options: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        Detector(weights, device="cpu", **options)


def test_what_yolov5_s_users_give_is_taken(weights: Path, detector: Detector) -> None:
    """None for all classes, whole floats, numpy's numbers; a ``max_det`` beyond what can be left costs nothing."""
    given = Detector(weights, device="cpu", imgsz=64.0, conf=np.float32(0.001), classes=None, max_det=10**9)
    found = given(noise())
    assert same(found.rows[:20], detector(noise()).rows[:20]) and len(found) > 20
    assert Detector(weights, device=None, classes=np.array([1, 0])).classes == (0, 1)
    assert set(Detector(weights, device="cpu", imgsz=64, conf=0.001, classes=1)(noise()).boxes.cls) == {1}
    with pytest.raises(RuntimeSetupError, match="--device 97"):
        Detector(weights, device=97)


@pytest.mark.parametrize("form", [str, Path, lambda path: [path], lambda path: (str(path),)])
def test_a_video_is_streamed_by_its_path(detector: Detector, tmp_path: Path, form: Callable[[Path], object]) -> None:
    path = make_video(tmp_path / "a.mp4", frames=5)
    found = list(detector.stream(form(path), vid_stride=2))
    assert [(frame.path, frame.number, result.frame) for frame, result in found] == [(path, n, n) for n in (1, 3, 5)]
    assert same(found[1][1].rows, detector(found[1][0].image).rows)


def test_folders_and_lists_are_streamed(detector: Detector, tmp_path: Path) -> None:
    paths = [make_image(tmp_path / name) for name in ("a.png", "b.png", "c.bmp")]
    assert [result.path for _, result in detector.stream(tmp_path)] == paths
    chosen = [tmp_path / "*.bmp", paths[0], tmp_path / "c.bmp"]
    assert [result.path for _, result in detector.stream(chosen)] == [paths[2], paths[0]]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "a NoneType names no source"),
        (1.5, "a float names no source"),
        (True, "a bool names no source"),
        (b"a.mp4", "the bytes given: the image cannot be decoded"),
        ([None], "a NoneType is not an image"),
        ({"a.jpg"}, "a set is not an image"),
        ([], "nothing to work on"),
        ("absent.mp4", r"absent\.mp4: does not exist"),
        (63, "there is no camera 63"),
        (["absent.mp4", "rtsp://u:p@camera/1"], r"^rtsp://camera/1: a stream cannot be mixed with files"),
        (["http://127.0.0.1:9/a.mp4", "b.jpg"], "a.mp4: a remote file cannot be mixed with other sources"),
        ((path for path in [Path("absent.jpg")]), "absent.jpg: the image cannot be read"),
    ],
)
def test_what_cannot_be_streamed_is_refused(detector: Detector, source: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(detector.stream(source))
    with pytest.raises(ConfigError, match="vid_stride: is 0"):
        list(detector.stream("a.mp4", vid_stride=0))


FORKED = """
import multiprocessing, os, sys, time
from tests.inference.samples import noise
from yolo import Detector
from yolo.errors import RuntimeSetupError

def make(kind):
    weights = [sys.argv[4] + kind] * int(sys.argv[5])
    return Detector(weights, imgsz=64, conf=0.001, max_det=20, compile=sys.argv[1] if kind != ".program" else "program")

def rows(kind):
    return make(kind)(noise()).rows.tobytes()

def say(rows_of):
    try:
        print("same" if rows_of() == before else "other", flush=True)
    except RuntimeSetupError as error:
        print(error, flush=True)

detector = make(sys.argv[2])
before = detector(noise()).rows.tobytes()
child = os.fork()
if not child:
    say(lambda: detector(noise()).rows.tobytes())  # the parent's
    say(lambda: rows(sys.argv[3]))  # one of its own
    del detector
    sys.exit(3)
deadline = time.monotonic() + 60
while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < deadline:
    time.sleep(0.05)
if not ended[0]:
    os.kill(child, 9)
print(os.waitstatus_to_exitcode(ended[1]) if ended[0] else "hangs", flush=True)
if sys.argv[3] == ".program":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(pool.map(rows, [".program"] * 4) == [before] * 4)
"""
REFUSED = "OneFlow does not run in a fork's child; start processes by 'spawn', or use a compiled detector's file"


@pytest.mark.parametrize(
    ("mode", "parent", "child", "count", "said"),
    [
        ("program", ".program", ".program", 1, ["same", "same", "3", "True"]),
        ("program", ".program", ".program", 2, ["same", "same", "3", "True"]),
        ("program", ".safetensors", ".program", 1, [REFUSED, "same", "3", "True"]),
        ("off", ".safetensors", ".safetensors", 2, [REFUSED, REFUSED, "3"]),
    ],
)
def test_a_fork_s_child_runs_a_compiled_detector_and_is_told_of_the_rest(
    weights: Path, tmp_path: Path, mode: str, parent: str, child: str, count: int, said: list[str]
) -> None:
    """Also of one that it makes itself; and it ends, with what it inherited."""
    copy = Path(shutil.copy(weights, tmp_path))
    assert export_main(["--weights", str(copy), "--imgsz", "64"]) == 0
    argv = [sys.executable, "-c", FORKED, mode, parent, child, str(copy.with_suffix("")), str(count)]
    done = subprocess.run(argv, cwd=Path(yolo.__file__).parents[1], capture_output=True, text=True, timeout=120)
    found = [line.replace(" (python -m yolo.export)", "") for line in done.stdout.splitlines()]
    assert found == said, done.stdout + done.stderr


def test_wrong_weights_and_devices_are_refused(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(WeightsError, match="absent"):
        Detector(tmp_path / "absent.pt", device="cpu")
    with pytest.raises(RuntimeSetupError, match="--device 97"):
        Detector(weights, device="97")


@pytest.fixture(params=["weights", "program"])
def shared(request: pytest.FixtureRequest, detector: Detector, weights: Path, tmp_path: Path) -> Detector:
    """A detector from weights, through graphs, or from a compiled detector's file, without OneFlow."""
    if request.param == "weights":
        return detector
    copy = Path(shutil.copy(weights, tmp_path))
    assert export_main(["--weights", str(copy), "--imgsz", "64"]) == 0
    return Detector(copy.with_suffix(".program"), conf=0.001, max_det=20)


def test_threads_may_share_a_detector(shared: Detector) -> None:
    """Also while images have many sizes, and lists and generators go on beside lone ones."""
    images = [noise(size, seed) for seed, size in enumerate(((48, 64), (64, 64), (64, 20), (300, 400)))]
    expected = [shared(image).rows for image in images]
    found = {}

    def work(number: int) -> None:
        for turn in range(10):
            image = images[(number + turn) % 4]
            if number % 3 == 0:
                result = shared(image)
            else:
                result = shared([image, image])[1] if number % 3 == 1 else next(shared(iter([image])))
            found[number, turn] = result.rows

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80
    for (number, turn), rows in found.items():
        np.testing.assert_array_equal(rows, expected[(number + turn) % 4])


def test_repeats_are_equal_in_every_bit(shared: Detector) -> None:
    first = shared(noise(seed=1)).rows
    assert len(first)
    for _ in range(5):
        np.testing.assert_array_equal(shared(noise(seed=1)).rows, first)


@needs_parity
@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize("name", ["yolov5n", "yolov5s"])
def test_detections_equal_the_published_ones(name: str) -> None:
    detector = Detector(PARITY / "weights" / f"{name}.pt", device="cpu")
    for image in ("bus", "zidane"):
        found = detector(PARITY / "data" / f"{image}.jpg")
        expected = np.loadtxt(PARITY / "reference" / f"detect_{name}" / f"{image}.txt", ndmin=2)
        lines = found.label_lines(confidence=True).splitlines()
        ours = np.array([[float(value) for value in line.split()] for line in lines])
        assert ours[:, 0].tolist() == expected[:, 0].tolist()
        height, width = found.image.shape[:2]
        pixels = np.array([width, height] * 2) * 640 / max(height, width)
        # YOLOv5 rounds its boxes to whole pixels of the image before it writes them.
        assert np.abs((ours[:, 1:5] - expected[:, 1:5]) * pixels).max() < 0.51
        assert np.abs(ours[:, 5] - expected[:, 5]).max() < 1e-5


def test_images_made_ready_go_through_together(detector: Detector) -> None:
    images = [noise(seed=seed) for seed in range(3)]
    assert detector.most_together((48, 64)) == 16 and detector.most_together((640, 640)) == 1
    found = detector.detect_ready([detector.ready(image) for image in images])
    for result, image in zip(found, images):
        np.testing.assert_allclose(result.rows, detector(image).rows, atol=1e-3)
        assert result.original is image and len(result)

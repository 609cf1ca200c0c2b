"""Raw heads to detections on a device, against the CPU's: bit for bit the same rows."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.cuda.detections import detect_on_cpu, detect_on_device
from tests.parity import PARITY, needs_parity
from yolo.program.detection import NmsSettings

ANCHORS = ([10, 13, 16, 30, 33, 23], [30, 61, 62, 45, 59, 119], [116, 90, 156, 198, 373, 326])
SETTINGS = (
    NmsSettings(),
    NmsSettings(conf=0.001, iou=0.6, max_det=50, multi_label=True),
    NmsSettings(conf=0.0, max_det=20, agnostic=True),
    NmsSettings(conf=0.3, classes=(1,)),
    NmsSettings(conf=1.0),
    NmsSettings(conf=0.05, max_candidates=7),
)


def geometry_of(strides: tuple[int, ...], scale: float = 1.0, mirror: float = 0.0) -> list[tuple]:
    return [(float(stride), list(map(float, ANCHORS[i]))) + (scale, mirror) for i, stride in enumerate(strides)]


def random_heads(batch: int, classes: int, size: tuple[int, int], seed: int = 0, mean: float = -1) -> list[np.ndarray]:
    """Of two levels, mostly unsure of everything."""
    rng = np.random.default_rng(seed)
    shapes = [(batch, 3 * (5 + classes), size[0] // stride, size[1] // stride) for stride in (8, 16)]
    return [rng.normal(mean, 2, shape).astype(np.float32) for shape in shapes]


def assert_same(heads, geometry, settings: NmsSettings, known=None) -> tuple[np.ndarray, np.ndarray]:
    found, counts = detect_on_device(heads, geometry, settings, known)
    expected, expected_counts = detect_on_cpu(heads, geometry, settings, known)
    np.testing.assert_array_equal(counts, expected_counts)
    np.testing.assert_array_equal(found, expected)
    return found, counts


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize(
    ("batch", "classes", "size"), [(1, 3, (64, 96)), (3, 2, (32, 48)), (2, 1, (64, 32)), (1, 70, (16, 16))]
)
def test_equals_the_cpu(batch: int, classes: int, size: tuple[int, int], settings: NmsSettings) -> None:
    _, counts = assert_same(random_heads(batch, classes, size), geometry_of((8, 16)), settings)
    assert settings.conf == 1.0 or settings.classes or counts.min() > 0


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_raw_numbers_that_are_none(number: float) -> None:
    rng = np.random.default_rng(1)
    heads = random_heads(2, 3, (32, 32))
    for head in heads:
        head[rng.random(head.shape) < 0.1] = number
    for settings in SETTINGS[:3]:
        assert_same(heads, geometry_of((8, 16)), settings)
    everywhere = [np.full_like(head, number) for head in heads]
    assert assert_same(everywhere, geometry_of((8, 16)), SETTINGS[0])[1].tolist() == [0, 0] or number > 0


def test_several_looks_at_an_image() -> None:
    """Scaled and mirrored, each with heads of its own."""
    heads, geometry = [], []
    for seed, (size, scale, mirror) in enumerate([((64, 64), 1.0, 0.0), ((48, 64), 0.83, 64.0), ((32, 48), 0.67, 0.0)]):
        heads += random_heads(2, 2, size, seed)
        geometry += geometry_of((8, 16), scale, mirror)
    assert_same(heads, geometry, NmsSettings(conf=0.05, iou=0.4))


def test_more_planes_than_a_kernel_takes() -> None:
    """Of fourteen levels' 42 planes the last ten go to a second kernel; which is best is in any of them."""
    heads, geometry = [], []
    for seed in range(7):
        heads += random_heads(2, 3, (16 + 8 * (seed % 3), 40), seed)
        geometry += geometry_of((8, 16))
    assert_same(heads, geometry, NmsSettings(conf=0.2, iou=0.6, multi_label=True))
    for head in heads[:-2]:
        head[:] = -9
    assert assert_same(heads, geometry, NmsSettings(conf=0.2))[1].min() > 0


def test_known_boxes_take_part() -> None:
    heads, geometry = random_heads(3, 3, (32, 32)), geometry_of((8, 16))
    rng = np.random.default_rng(2)
    boxes = np.concatenate([rng.integers(-1, 4, (3, 40, 1)), rng.uniform(4, 28, (3, 40, 4))], axis=2).astype(np.float32)
    boxes[0, 3, 1:] = np.nan
    found, counts = assert_same(heads, geometry, SETTINGS[0], (boxes, np.array([0, 3, 40], np.int32)))
    assert [int((rows[:, 4] == 1).sum()) > 0 for rows in found] == [False, True, True]
    assert_same(heads, geometry, SETTINGS[1], (boxes, np.array([40, 50, 1], np.int32)))
    unsure = [np.full_like(head, -9) for head in heads]
    _, counts = assert_same(unsure, geometry, SETTINGS[0], (boxes[:, :3], np.array([0, 0, 3], np.int32)))
    assert counts[0] == counts[1] == 0 < counts[2]


@needs_parity
@pytest.mark.parametrize(("case", "conf"), [("bus_rect", 0.25), ("bus_rect", 0.001), ("rand_2x3x256x320", 0.001)])
def test_heads_of_the_published_network(case: str, conf: float) -> None:
    with np.load(PARITY / "reference" / "forward_yolov5n.npz") as numbers:
        raw = numbers[f"{case}/head2"]
    batch, anchors, height, width, columns = raw.shape
    head = np.ascontiguousarray(raw.transpose(0, 1, 4, 2, 3)).reshape(batch, anchors * columns, height, width)
    geometry = [(32.0, list(map(float, ANCHORS[2])), 1.0, 0.0)]
    settings = NmsSettings(conf=conf, iou=0.45, max_det=300, multi_label=conf < 0.01)
    _, counts = assert_same([head], geometry, settings)
    assert counts.min() > 0 or case != "bus_rect"


def test_heads_that_do_not_fit_are_refused() -> None:
    heads = random_heads(1, 2, (32, 32))
    with pytest.raises(ValueError, match="without cells or anchors"):
        detect_on_device(heads, [(8.0, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 1.0, 0.0), (16.0, [1.0], 1.0, 0.0)], SETTINGS[0])

"""Decoding and suppression as one operator, against decoding by OneFlow and suppression in NumPy."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import oneflow as flow
import pytest

from tests.ops.operators import options_of
from tests.program.networks import channels_first, two_levels
from tests.reference import nms as reference
from yolo import native
from yolo.models.decode import decode
from yolo.models.weights.transfer import state_to_numpy
from yolo.program.compiled import CompiledNetwork
from yolo.program.detection import NmsSettings, detection_head, levels_of

STRIDES = (8, 16)
ANCHORS = np.array([[[10, 13], [16, 30], [33, 23]], [[30, 61], [62, 45], [59, 119]]], np.float32)


def random_heads(batch: int, classes: int, size: tuple[int, int], seed: int = 0) -> list[np.ndarray]:
    """[B, na, h, w, 5 + nc], mostly unsure of everything."""
    rng = np.random.default_rng(seed)
    shapes = [(batch, 3, size[0] // stride, size[1] // stride, 5 + classes) for stride in STRIDES]
    return [rng.normal(-1, 2, shape).astype(np.float32) for shape in shapes]


def expected(heads: list[np.ndarray], settings: NmsSettings) -> tuple[np.ndarray, np.ndarray]:
    predictions = decode([flow.tensor(head) for head in heads], ANCHORS, STRIDES).numpy()
    return reference.nms(predictions, **options_of(settings))


SETTINGS = (
    NmsSettings(),
    NmsSettings(conf=0.001, iou=0.6, max_det=50, multi_label=True),
    NmsSettings(conf=0.0, max_det=20, agnostic=True),
    NmsSettings(conf=0.3, classes=(1,)),
    NmsSettings(conf=1.0),
    NmsSettings(conf=0.05, max_candidates=7),
)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize(("batch", "classes", "size"), [(1, 3, (64, 96)), (3, 2, (32, 32)), (2, 1, (64, 32))])
def test_it_equals_decode_and_nms(batch: int, classes: int, size, settings: NmsSettings) -> None:
    settings = dataclasses.replace(settings, classes=tuple(c for c in settings.classes if c < classes))
    heads = random_heads(batch, classes, size)
    planes = [np.ascontiguousarray(channels_first(head)) for head in heads]
    rows, counts = detection_head([plane.shape for plane in planes], ANCHORS, STRIDES, settings)(planes)
    wanted, wanted_counts = expected(heads, settings)
    np.testing.assert_array_equal(counts, wanted_counts)
    np.testing.assert_allclose(rows, wanted, rtol=1e-5, atol=1e-4)
    assert settings.conf == 1.0 or counts.min() > 0


def test_values_that_are_no_numbers_find_nothing() -> None:
    planes = [np.full((1, 24, 8, 8), np.nan, np.float32), np.full((1, 24, 4, 4), -np.inf, np.float32)]
    rows, counts = detection_head([plane.shape for plane in planes], ANCHORS, STRIDES, NmsSettings(max_det=5))(planes)
    assert counts.tolist() == [0] and not rows.any()


def test_heads_of_another_size_are_refused_and_the_last_run_s_time_is_known() -> None:
    planes = [np.zeros((1, 24, 8, 8), np.float32), np.zeros((1, 24, 4, 4), np.float32)]
    head = detection_head([plane.shape for plane in planes], ANCHORS, STRIDES, NmsSettings())
    assert head.seconds == 0
    head(planes)
    assert head.seconds > 0
    with pytest.raises(ValueError, match="another size"):
        head([planes[0], planes[0]])
    with pytest.raises(ValueError, match="one raw head a level"):
        head(planes[:1])


def test_known_boxes_need_their_places() -> None:
    planes = [np.full((1, 24, 8, 8), -9, np.float32), np.full((1, 24, 4, 4), -9, np.float32)]
    levels = levels_of([plane.shape for plane in planes], ANCHORS, STRIDES)
    boxes = np.array([[[1, 20, 30, 10, 8], [7, 1, 1, 1, 1], [0, 5, 5, 4, 4]]], np.float32)
    settings = NmsSettings(max_det=5).native(3)
    head = native.DetectionHead(levels, 3, 1, settings, 3)
    rows, counts = head(planes, (boxes, np.array([2], np.int32)))  # of the two the second has a class that is none
    assert counts.tolist() == [1] and rows[0, 0].tolist() == [15, 26, 25, 34, 1, 1]
    for known in (None, (boxes[:, :2], np.array([2], np.int32)), (boxes, np.array([2, 2], np.int32))):
        with pytest.raises(ValueError, match="known boxes"):
            head(planes, known)
    with pytest.raises(ValueError, match="known boxes go with places"):
        native.DetectionHead(levels, 3, 1, settings)(planes, (boxes, np.array([2], np.int32)))
    other = CompiledNetwork.of(two_levels().spec, state_to_numpy(two_levels())).program((1, 3, 64, 64))
    with pytest.raises(ValueError, match="another network's"):
        native.DetectorProgram(other, head)


def test_detectors_of_all_shapes_share_the_network_s_memory() -> None:
    """Threads that run two of them at once must not see each other's heads."""
    plain = two_levels()
    network = CompiledNetwork.of(plain.spec, state_to_numpy(plain))
    settings, rng = NmsSettings(conf=0.0, max_det=50), np.random.default_rng(0)
    shapes = [(1, 3, 96, 96), (1, 3, 64, 96), (1, 3, 32, 32), (1, 3, 96, 32)]
    images = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
    programs, wanted = [], []
    for shape, image in zip(shapes, images):
        program = network.program(shape)
        head = detection_head(network.graph.head_shapes(shape), plain.anchors, plain.strides, settings)
        wanted.append(head([np.asarray(plane) for plane in program(image)]))
        programs.append(native.DetectorProgram(program, head))
    assert programs[0](images[0])[1] == [50]
    size = network._memory.bytes

    def wrong(number: int) -> bool:
        rows, counts = programs[number % 4](images[number % 4])
        return not (np.array_equal(rows, wanted[number % 4][0]) and np.array_equal(counts, wanted[number % 4][1]))

    with ThreadPoolExecutor(4) as pool:
        assert not any(pool.map(wrong, range(400)))
    assert network._memory.bytes == size

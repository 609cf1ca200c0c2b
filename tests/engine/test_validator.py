"""Validation with predictions that are known beforehand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.data.samples import make_index
from tests.ops.operators import suppress
from yolo import ops
from yolo.data.index import index_split
from yolo.data.load import load_dataset
from yolo.data.loader import val_loader
from yolo.engine.validator import Validator, validation_settings
from yolo.inference.runner import Detections
from yolo.loss.settings import LossSettings
from yolo.program.detection import NmsSettings

SETTINGS = LossSettings(2.0, 3.0, 5.0, 1.0, 1.0, 4.0, 0.0, 0.0, (1.0, 0.5))
LABELS = (
    "0 0.5 0.5 0.5 0.5\n",
    "1 0.25 0.5 0.5 0.25\n0 0.75 0.5 0.25 0.5\n",
    None,
    "1 0.5 0.4 0.6 0.3\n",
    "0 0.5 0.5 1 1\n",
)
PLACES = 4
COMPILING, RUNNING = 32.0, 0.5
"""Seconds by the clock of the tests."""


def answer(images: np.ndarray, labels, swap: bool = False) -> np.ndarray:
    """Predictions equal to the labels (sure of everything), of the other class with ``swap``."""
    height, width = images.shape[2:]
    predictions = np.zeros((len(images), PLACES, 7), np.float32)
    for rows, truth in zip(predictions, labels):
        rows[: len(truth), :4] = truth[:, 1:] * [width, height, width, height]
        rows[: len(truth), 4] = 1
        classes = truth[:, 0].astype(int)
        rows[np.arange(len(truth)), 5 + (1 - classes if swap else classes)] = 1
    return predictions


@dataclasses.dataclass
class Clock:
    """Goes on only when told to."""

    now: float = 0.0

    def perf_counter(self) -> float:
        return self.now


class Known:
    """Gives what ``answer`` gives (or nothing), and loss sums whose parts are easy to know; compiles at first."""

    loss = SETTINGS

    def __init__(self, kind: str = "right", clock: Clock | None = None) -> None:
        self.kind, self.max_labels, self.settings = kind, set(), validation_settings()
        self.clock, self.compiled = clock or Clock(), False

    def validate(self, images, labels, max_labels):
        self.max_labels.add(max_labels)
        if not self.compiled:
            self.clock.now += COMPILING
            self.compiled = True
        self.clock.now += RUNNING
        predictions = answer(images, labels, swap=self.kind == "swapped")
        if self.kind == "nothing":
            predictions[...] = 0
        # columns: sum of 1 - CIoU, matches, sum of objectness, cells, sum of class BCE
        return detected(predictions, self.settings), np.array([[1.0, 4, 8, 16, 8], [1.0, 2, 8, 16, 4]])


class Plain:
    """The same without a loss."""

    loss = None

    def __init__(self, predictions) -> None:
        self._predictions, self.settings = iter(predictions), validation_settings()

    def detect(self, images, known):
        assert not len(known)
        return detected(next(self._predictions), self.settings)


def detected(predictions: np.ndarray, settings: NmsSettings) -> Detections:
    return Detections(*suppress(predictions, settings), RUNNING, 0.0)


@pytest.fixture
def loader(tmp_path: Path):
    index = make_index(tmp_path, LABELS, sizes=((48, 64), (64, 48), (50, 50), (96, 64)))
    return val_loader(index, imgsz=64, batch_size=2, workers=0, stride=8)


def validator(forward, loader, *, single=False, **nms) -> Validator:
    forward.settings = validation_settings(**nms, single_cls=single)
    return Validator(forward, loader, 1 if single else 2, single_cls=single)


def test_perfect_predictions(loader):
    found = validator(Known(), loader).run()
    metrics = found.metrics
    assert metrics.map50 == pytest.approx(0.995) and metrics.map50_95 == pytest.approx(0.995)
    assert metrics.recall == pytest.approx(1) and metrics.precision > 0.99
    assert metrics.counts.tolist() == [3, 2] and found.images == metrics.images == 5
    np.testing.assert_array_equal(found.confusion.matrix, np.diag([3, 2, 0]))


@pytest.mark.parametrize("kind", ["nothing", "swapped"])
def test_wrong_or_no_predictions(loader, kind):
    found = validator(Known(kind), loader).run()
    assert (found.metrics.map50, found.metrics.map50_95, found.metrics.recall) == (0, 0, 0)
    assert found.metrics.counts.tolist() == [3, 2]
    if kind == "nothing":
        np.testing.assert_array_equal(found.confusion.matrix, [[0, 0, 0], [0, 0, 0], [3, 2, 0]])
    else:
        np.testing.assert_array_equal(found.confusion.matrix, [[0, 2, 0], [3, 0, 0], [0, 0, 0]])


@pytest.mark.usefixtures("loader")
def test_with_one_class_other_classes_do_not_matter(tmp_path):
    index = index_split(load_dataset(tmp_path / "data.yaml"), "train", single_cls=True, use_cache=False)
    loader = val_loader(index, imgsz=64, batch_size=2, workers=0, stride=8)
    batches = list(loader.batches())
    twice = [np.concatenate([answer(b.images, b.labels), answer(b.images, b.labels, swap=True)], 1) for b in batches]
    seen = []
    found = validator(Plain(twice), loader, single=True).run([lambda batch, rows: seen.extend(rows)])
    assert found.metrics.map50 == pytest.approx(0.995)
    assert [len(rows) for rows in seen] == [len(loader.index.labels[i]) for b in batches for i in b.indices]
    assert not np.concatenate(seen)[:, 5].any()


def test_losses_are_the_mean_of_the_batches(loader):
    found = validator(Known(), loader).run()
    # box: 2 (1/4 + 1/2); obj: 3 (8/16 + 0.5 · 8/16); cls: 5 (8/4 + 4/2)
    assert found.losses == pytest.approx((1.5, 2.25, 20.0))
    nothing = [np.zeros((len(batch), PLACES, 7), np.float32) for batch in loader.batches()]
    assert validator(Plain(nothing), loader).run().losses is None


def test_labels_get_as_many_places_as_the_fullest_image(loader):
    forward = Known()
    validator(forward, loader).run()
    assert forward.max_labels == {2}


def test_listeners_see_every_batch_with_boxes_of_the_original_images(loader):
    seen, order = [], []
    found = validator(Known(), loader).run([lambda *args: seen.append(args), lambda *args: order.append(len(seen))])
    assert order == [1, 2, 3] and found.images == 5
    assert sorted(int(i) for batch, _ in seen for i in batch.indices) == [0, 1, 2, 3, 4]
    for batch, detections in seen:
        assert len(detections) == len(batch)
        for i, rows in zip(batch.indices, detections):
            truth, size = loader.index.labels[i], tuple(loader.index.shapes[i])
            expected = np.column_stack([ops.xywhn_to_xyxy(truth[:, 1:], size), truth[:, 0]])
            by_x = expected[np.argsort(expected[:, 0])]
            np.testing.assert_allclose(rows[np.argsort(rows[:, 0])][:, [0, 1, 2, 3, 5]], by_x, atol=0.01)


def test_the_settings_of_nms(loader):
    assert validator(Known(), loader, max_det=1).run().metrics.recall == pytest.approx(5 / 6)
    batches = list(loader.batches())
    half = [answer(b.images, b.labels) * np.array([1, 1, 1, 1, 0.5, 1, 1], np.float32) for b in batches]
    assert validator(Plain(half), loader, conf=0.4).run().metrics.recall == pytest.approx(1)
    assert validator(Plain(half), loader, conf=0.6).run().metrics.recall == 0


def test_neither_compiling_nor_a_listener_is_part_of_the_speed(loader, monkeypatch):
    clock = Clock()
    monkeypatch.setattr("yolo.engine.validator.time", clock)

    def listen(*_: object) -> None:
        clock.now += 64.0

    found = validator(Known(clock=clock), loader).run([listen])
    inference = 1000 * RUNNING * len(list(loader.batches())) / found.images
    assert found.speed_ms == {"preprocess": 0.0, "inference": inference, "nms": 0.0}

from __future__ import annotations

import numpy as np
import pytest

from yolo.plots.annotate import Annotator, Tag
from yolo.plots.batch import DENSE, MOST_TAGGED, plot_batch
from yolo.plots.colours import class_colour

NO_LABELS = np.zeros((0, 5), np.float32)


def images(count, height=256, width=384):
    return np.full((count, 3, height, width), 90, np.uint8)


@pytest.mark.parametrize(
    "count, size, expected",
    [
        (1, (256, 384), (256, 384)),
        (2, (256, 384), (256, 768)),
        (5, (256, 384), (512, 1152)),
        (16, (256, 384), (1024, 1536)),
        (20, (256, 384), (1024, 1536)),
        (4, (1280, 960), (1920, 1440)),
        (4, (64, 96), (480, 720)),  # small ones are enlarged to 240
        (16, (64, 256), (480, 1920)),  # but not beyond the largest side
        (0, (256, 384), (256, 384)),
    ],
)
def test_size_of_the_mosaic(count, size, expected):
    mosaic = plot_batch(images(count, *size), [NO_LABELS] * count)
    assert mosaic.shape == (*expected, 3) and mosaic.dtype == np.uint8


def test_labels_and_detections_of_one_box_are_drawn_at_one_place():
    label = [[0, 0.5, 0.5, 0.5, 0.5]]
    detection = [[96, 64, 288, 192, 0.9, 0]]
    drawn = [plot_batch(images(1), [rows], names=["a"]) for rows in (label, detection)]
    for mosaic in drawn:
        assert tuple(mosaic[160, 96]) == tuple(mosaic[160, 288]) == class_colour(0)
        assert tuple(mosaic[128, 192]) == (90, 90, 90)


def test_boxes_shrink_with_their_images():
    mosaic = plot_batch(images(1, 640, 640), [[[160, 160, 480, 480, 0.9, 1]]], max_side=320)
    assert mosaic.shape == (320, 320, 3)
    assert tuple(mosaic[160, 80]) == tuple(mosaic[160, 240]) == class_colour(1)


def test_boxes_grow_with_their_images():
    mosaic = plot_batch(images(1, 60, 60), [[[15, 15, 45, 45, 0.9, 1]]])
    assert mosaic.shape == (240, 240, 3)
    assert tuple(mosaic[120, 60]) == tuple(mosaic[120, 180]) == class_colour(1)


def test_weak_detections_are_left_out():
    rows = [[96, 64, 288, 192, 0.25, 0]]
    bare = plot_batch(images(1), [NO_LABELS])
    assert np.array_equal(plot_batch(images(1), [rows]), bare)
    assert not np.array_equal(plot_batch(images(1), [rows], conf=0.1), bare)


def test_images_keep_their_places_and_colours():
    batch = images(4)
    batch[1, 0] = 250
    mosaic = plot_batch(batch, [NO_LABELS] * 4)
    assert tuple(mosaic[128, 384 + 192]) == (250, 90, 90)
    assert tuple(mosaic[128, 192]) == tuple(mosaic[256 + 128, 192]) == (90, 90, 90)
    assert tuple(mosaic[128, 384]) == tuple(mosaic[256, 192]) == (255, 255, 255)


def test_captions():
    plain = plot_batch(images(1), [NO_LABELS])
    named = plot_batch(images(1), [NO_LABELS], ["folder/" + "long" * 50 + ".jpg"])
    rows, _ = np.nonzero((plain != named).any(-1))
    assert rows.size and rows.min() > 128


def crowd(count, rng):
    """Detections that lie close together: a row of boxes, each a little beside the one before."""
    left = np.linspace(5, 300, count)
    return [(x, 60 + 5 * (i % 3), x + 60, 150, sure, i % 3) for i, (x, sure) in enumerate(zip(left, rng.random(count)))]


def tags_of(monkeypatch, rows, **options):
    """The tags drawn, with the text of all that was rendered in order."""
    tags, texts = [], []
    paste, rendered = Tag.paste, Annotator._rendered
    monkeypatch.setattr(Tag, "paste", lambda self, image: (tags.append(self), paste(self, image))[1])
    monkeypatch.setattr(Annotator, "_rendered", lambda self, text: (texts.append(text), rendered(self, text))[1])
    plot_batch(images(1), [rows], names=["RBC", "WBC", "Platelets"], conf=0.0, **options)
    return tags, texts


def test_a_crowd_does_not_bury_the_image(monkeypatch):
    rows = crowd(60, np.random.default_rng(0))
    (*tags, _), texts = tags_of(monkeypatch, rows, paths=["blood.jpg"])
    assert texts[-1] == f"blood.jpg ({60 - len(tags)} of 60 without a tag)" and 3 <= len(tags) < 40
    assert not any(one.covers(other) for one in tags for other in tags if one is not other)
    assert sum(tag.mask.size for tag in tags) <= MOST_TAGGED * 256 * 384
    surest = max(rows, key=lambda row: row[4])
    assert tags[-1].background == class_colour(surest[5])  # the most confident has one, and lies on top


def test_few_boxes_all_have_tags(monkeypatch):
    rows = crowd(DENSE, np.random.default_rng(0))
    (*tags, _), texts = tags_of(monkeypatch, rows, paths=["blood.jpg"])
    assert len(tags) == DENSE and texts[-1] == "blood.jpg"


def test_a_crowd_of_labels_without_captions_says_so(monkeypatch):
    rows = [(0, 0.5, 0.5, 0.1, 0.1)] * (DENSE + 1)
    tags, texts = tags_of(monkeypatch, rows)
    assert len(tags) == 2 and texts[-1] == f"({DENSE} of {DENSE + 1} without a tag)"

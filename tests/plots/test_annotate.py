from __future__ import annotations

import numpy as np
import pytest

from yolo.plots.annotate import Annotator, annotate, label_text
from yolo.plots.colours import PALETTE, class_colour, text_colour
from yolo.plots.fonts import shorten

PAPER = np.full((120, 200, 3), 90, np.uint8)
BOX = (60, 40, 140, 100)


def changed(image, paper=PAPER):
    return (image != paper).any(-1)


def test_a_frame_is_drawn_on_the_box_and_nowhere_else():
    image = annotate(PAPER, [(*BOX, 0.9, 3)], [], line_width=2, hide_labels=True)
    assert (PAPER == 90).all() and image is not PAPER
    where = changed(image)
    assert where[40, 60:140].all() and where[100, 60:140].all()
    assert where[40:100, 60].all() and where[40:100, 140].all()
    assert not where[45:96, 65:136].any()
    assert not where[:37].any() and not where[:, :57].any() and not where[104:].any()
    assert tuple(image[70, 60]) == class_colour(3)


def test_the_tag_lies_above_in_the_classes_colour():
    image = annotate(PAPER, [(*BOX, 0.9, 0)], ["cat"], line_width=2)
    tag = image[28:38, 60:90]
    assert (tag == class_colour(0)).all(-1).mean() > 0.3
    assert (tag.min(-1) > 200).any()  # white letters, but for their soft edges


@pytest.mark.parametrize("box", [(0, 0, 60, 60), (150, 2, 199, 60), (-50, -50, 500, 500), (180, 100, 200, 120)])
def test_a_tag_stays_inside_the_image(box):
    tagged = changed(annotate(PAPER, [(*box, 0.9, 0)], ["cat"], line_width=2))
    bare = changed(annotate(PAPER, [(*box, 0.9, 0)], ["cat"], line_width=2, hide_labels=True))
    # A whole tag ("cat 0.90" is some 70 × 14 pixels), not a corner of one.
    assert (tagged & ~bare).sum() > 500


def test_hiding():
    assert label_text(["cat"], 0, 0.876) == "cat 0.88"
    assert label_text(["cat"], 0) == "cat"
    assert label_text(["cat"], 7) == "7"
    full = changed(annotate(PAPER, [(*BOX, 0.9, 0)], ["cat"])).sum()
    no_conf = changed(annotate(PAPER, [(*BOX, 0.9, 0)], ["cat"], hide_conf=True)).sum()
    no_label = changed(annotate(PAPER, [(*BOX, 0.9, 0)], ["cat"], hide_labels=True)).sum()
    assert full > no_conf > no_label


def test_ids_go_with_their_boxes():
    rows = [(*BOX, 0.5, 0), (10, 60, 50, 110, 0.9, 0)]
    image = annotate(PAPER, rows, ["cat"], ids=[1, 22])
    np.testing.assert_array_equal(image, annotate(PAPER, rows[::-1], ["cat"], ids=np.array([22, 1])))
    assert changed(image, annotate(PAPER, rows, ["cat"], ids=[22, 1])).any()


@pytest.mark.parametrize("name", ["chaise à bras", "человек", "血小板", "$x$", "a" * 300, " "])
def test_any_name_can_be_drawn(name):
    image = annotate(PAPER, [(*BOX, 0.9, 0)], [name])
    assert changed(image).any()


def test_no_detections_and_senseless_boxes_change_nothing():
    nan, inf = float("nan"), float("inf")
    assert not changed(annotate(PAPER, [], ["cat"])).any()
    assert not changed(annotate(PAPER, [(nan, 1, 2, 3, 0.9, 0), (0, 0, inf, 3, 0.9, 0)], ["cat"])).any()


def test_the_most_confident_lies_on_top():
    image = annotate(PAPER, [(*BOX, 0.9, 0), (*BOX, 0.5, 1)], [], hide_labels=True)
    assert tuple(image[70, 60]) == class_colour(0)


def test_the_line_grows_with_the_image():
    small, large = (Annotator(np.zeros((s, s, 3), np.uint8)) for s in (100, 2000))
    assert (small.line_width, large.line_width) == (2, 6)
    assert Annotator(PAPER, line_width=5).line_width == 5


def test_colours_differ_and_begin_again():
    assert len(set(PALETTE)) == 20
    assert class_colour(23) == class_colour(3)
    assert text_colour((255, 255, 255)) == (0, 0, 0) and text_colour((0, 0, 80)) == (255, 255, 255)


def test_shortening():
    assert shorten("abcdef", 6) == "abcdef" and shorten("abcdefg", 6) == "abcde…"

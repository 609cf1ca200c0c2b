"""The loss and its gradient against plain double-precision formulas."""

from __future__ import annotations

import dataclasses

import numpy as np
import oneflow as flow
import pytest

from tests.ops.loss_cases import PLAIN
from tests.reference.iou import pairwise_iou
from tests.reference.loss import Loss
from yolo.config.hyp import Hyperparameters
from yolo.loss.reference import combine_terms, complete_iou, loss_terms
from yolo.loss.settings import LossSettings

ANCHORS = np.array([[(10, 13), (16, 30), (33, 23)], [(30, 61), (62, 45), (59, 119)]], np.float32)
STRIDES = (8, 16)
GRIDS = ((8, 10), (4, 5))
IMAGES, PLACES = 3, 12
VARIANTS = {
    "plain": {},
    "smoothed": {"label_smoothing": 0.1},
    "focal": {"fl_gamma": 1.5},
    "weak focal": {"fl_gamma": 0.5},
    "positive weights": {"cls_pw": 0.5, "obj_pw": 1.7},
    "all": {"label_smoothing": 0.05, "fl_gamma": 2.0, "cls_pw": 1.3, "obj_pw": 0.67198, "anchor_t": 2.9},
    "unbalanced": {"balance": (1.0, 0.3), "box": 0.5, "obj": 0.2, "cls": 2.0},
}


def settings(name):
    return dataclasses.replace(PLAIN, **VARIANTS[name])


def random_heads(seed, classes=4, spread=2.0, images=IMAGES):
    rng = np.random.default_rng(seed)
    shapes = [(images, 3, *grid, 5 + classes) for grid in GRIDS]
    return [rng.normal(0, spread, shape).astype(np.float32) for shape in shapes]


def random_labels(seed, counts=(PLACES, 4, 0), classes=4, places=PLACES):
    """Labels close enough to each other to contest cells; zero padding."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((len(counts), places, 5), np.float32)
    for target, n in zip(labels, counts):
        target[:n, 0] = rng.integers(0, classes, n)
        target[:n, 1:3] = rng.uniform(0.2, 0.8, (n, 2))
        target[:n, 3:] = np.exp(rng.uniform(-2.5, 0, (n, 2)))
    return labels, np.array(counts, np.int32)


def terms_of(heads, labels, counts, chosen):
    tensors = [head if isinstance(head, flow.Tensor) else flow.tensor(head) for head in heads]
    return loss_terms(tensors, flow.tensor(labels), flow.tensor(counts), ANCHORS, STRIDES, chosen)


def gradient_of(heads, labels, counts, chosen):
    """(parts float32 [3], the gradient of their sum times the number of images)."""
    tensors = [flow.tensor(head, requires_grad=True) for head in heads]
    parts = flow.stack(list(combine_terms(terms_of(tensors, labels, counts, chosen), chosen)))
    (parts.sum() * len(labels)).backward()
    return parts.numpy(), [tensor.grad.numpy() for tensor in tensors]


def reference(labels, counts, chosen):
    return Loss(labels, counts, ANCHORS, STRIDES, GRIDS, chosen)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("spread", [0.5, 4.0])
def test_sums_and_parts(name, spread):
    chosen, (labels, counts), heads = settings(name), random_labels(0), random_heads(1, spread=spread)
    expected = reference(labels, counts, chosen)
    terms = terms_of(heads, labels, counts, chosen)
    assert expected.terms(heads)[:, 1].min() >= 10, "too few matches to tell anything"
    np.testing.assert_allclose(terms.numpy(), expected.terms(heads), rtol=2e-5)
    parts = combine_terms(terms, chosen)
    np.testing.assert_allclose([float(part.numpy()) for part in parts], expected.parts(heads), rtol=2e-5)
    np.testing.assert_allclose(combine_terms(terms.numpy(), chosen), expected.parts(heads), rtol=2e-5)


@pytest.mark.parametrize("name", VARIANTS)
def test_gradient(name):
    chosen, (labels, counts), heads = settings(name), random_labels(2, (5, 2, 0)), random_heads(3, spread=1.0)
    expected = reference(labels, counts, chosen)
    parts, gradients = gradient_of(heads, labels, counts, chosen)
    np.testing.assert_allclose(parts, expected.parts(heads), rtol=2e-5)  # and settles alphas and targets
    checked = 0
    for level, gradient in enumerate(gradients):
        for place in coordinates(expected.levels[level].cells, gradient.shape):
            slope = difference(expected, heads, level, place)
            assert gradient[place] == pytest.approx(slope, rel=1e-3, abs=2e-6), (level, place)
            checked += abs(slope) > 1e-4
    assert checked > 40


def coordinates(cells, shape):
    """All channels of three matched cells, and one channel each of cells anywhere."""
    matched = [(image, a, row, column, k) for image, a, row, column, _ in cells[::7][:3] for k in range(shape[-1])]
    rng = np.random.default_rng(5)
    return matched + [tuple(rng.integers(0, shape)[:4]) + (k,) for k in (0, 2, 4, 4, 4, 5)]


def difference(loss, heads, level, place, step=1e-5):
    """The central difference of the reference at one coordinate."""
    totals = []
    for sign in (1, -1):
        moved = [np.float64(head) for head in heads]
        moved[level][place] += sign * step
        totals.append(loss.total(moved))
    return (totals[0] - totals[1]) / (2 * step)


def test_the_overlap_in_the_objectness_target_has_no_gradient():
    (labels, counts), heads = random_labels(2), random_heads(3)
    no_box = dataclasses.replace(PLAIN, box=0.0)
    _, gradients = gradient_of(heads, labels, counts, no_box)
    for gradient in gradients:
        assert not gradient[..., :4].any()
        assert gradient[..., 4].all()


@pytest.mark.parametrize("name", ["plain", "all"])
def test_one_class_has_no_class_loss(name):
    chosen = settings(name)
    (labels, counts), heads = random_labels(0, classes=1), random_heads(1, classes=1)
    parts, gradients = gradient_of(heads, labels, counts, chosen)
    np.testing.assert_allclose(parts, reference(labels, counts, chosen).parts(heads), rtol=2e-5)
    assert parts[2] == 0
    assert not any(gradient[..., 5].any() for gradient in gradients)


@pytest.mark.parametrize("name", VARIANTS)
def test_no_labels_at_all(name):
    chosen, (labels, counts), heads = settings(name), random_labels(0, (0, 0, 0)), random_heads(1)
    parts, gradients = gradient_of(heads, labels, counts, chosen)
    np.testing.assert_allclose(parts, reference(labels, counts, chosen).parts(heads), rtol=2e-5)
    assert parts[0] == parts[2] == 0 < parts[1]
    for gradient in gradients:
        assert np.isfinite(gradient).all()
        assert not np.delete(gradient, 4, axis=-1).any()
        assert gradient[..., 4].all()


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("logit", [80.0, -80.0, "mixed"])
def test_extreme_logits(name, logit):
    chosen, (labels, counts), heads = settings(name), random_labels(4), random_heads(5)
    heads = [np.sign(head) * 80 if logit == "mixed" else np.full_like(head, logit) for head in heads]
    parts, gradients = gradient_of(heads, labels, counts, chosen)
    np.testing.assert_allclose(parts, reference(labels, counts, chosen).parts(heads), rtol=1e-4, atol=1e-6)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_labels_as_large_and_as_small_as_can_be():
    labels = np.zeros((1, 4, 5), np.float32)
    labels[0, :, 1:] = [(0.51, 0.52, 1, 1), (0, 0, 0.2, 0.2), (1, 1, 0.2, 0.2), (0.3, 0.3, 1e-7, 1e-7)]
    counts, heads = np.int32([4]), random_heads(6, images=1)
    parts, gradients = gradient_of(heads, labels, counts, PLAIN)
    np.testing.assert_allclose(parts, reference(labels, counts, PLAIN).parts(heads), rtol=2e-5)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_labels_on_the_borders_of_cells():
    labels = np.zeros((1, 4, 5), np.float32)
    labels[0] = [(1, 0.5, 0.5, 0.3, 0.3), (2, 0.5, 0.33, 0.3, 0.3), (3, 0.37, 0.75, 0.3, 0.3), (0, 0.2, 0.25, 0.2, 0.4)]
    counts, heads = np.int32([4]), random_heads(6, images=1)
    expected = reference(labels, counts, PLAIN)
    np.testing.assert_allclose(terms_of(heads, labels, counts, PLAIN).numpy(), expected.terms(heads), rtol=2e-5)


@pytest.mark.parametrize("name", ["plain", "all"])
def test_sums_of_parts_of_a_batch_add_up(name):
    chosen, (labels, counts), heads = settings(name), random_labels(7), random_heads(8)
    whole = terms_of(heads, labels, counts, chosen).numpy()
    pieces = [slice(0, 1), slice(1, 3)]
    added = sum(terms_of([h[part] for h in heads], labels[part], counts[part], chosen).numpy() for part in pieces)
    np.testing.assert_allclose(added, whole, rtol=1e-5)


@pytest.mark.parametrize("filling", [(0, 0, 0, 0, 0), (3, 0.4, 0.4, 0.3, 0.3), (0, 7, -7, 1e6, 1e-9)])
def test_padding_changes_nothing(filling):
    (labels, counts), heads = random_labels(9), random_heads(10)
    parts, gradients = gradient_of(heads, labels, counts, PLAIN)
    padded = np.tile(np.float32(filling), (IMAGES, 2 * PLACES, 1))
    for target, rows, count in zip(padded, labels, counts):
        target[:count] = rows[:count]
    more_parts, more_gradients = gradient_of(heads, padded, counts, PLAIN)
    np.testing.assert_allclose(more_parts, parts, rtol=1e-6)
    for more, gradient in zip(more_gradients, gradients):
        np.testing.assert_allclose(more, gradient, rtol=1e-5, atol=1e-8)


def test_the_order_of_images_does_not_matter_but_that_of_labels_may():
    (labels, counts), heads = random_labels(11), random_heads(12)
    order = [2, 0, 1]
    turned = terms_of([head[order] for head in heads], labels[order], counts[order], PLAIN).numpy()
    np.testing.assert_allclose(turned, terms_of(heads, labels, counts, PLAIN).numpy(), rtol=1e-5)
    labels[0, : counts[0]] = labels[0, : counts[0]][::-1].copy()
    np.testing.assert_allclose(
        terms_of(heads, labels, counts, PLAIN).numpy(), reference(labels, counts, PLAIN).terms(heads), rtol=2e-5
    )


@pytest.mark.parametrize(
    ("levels", "balance"), [(3, (4.0, 1.0, 0.4)), (4, (4.0, 1.0, 0.25, 0.06)), (5, (4.0, 1.0, 0.25, 0.06, 0.02))]
)
def test_settings_of_a_recipe(levels, balance):
    hyp = Hyperparameters(cls_pw=0.5, obj_pw=0.7, anchor_t=3.0, fl_gamma=1.5)
    chosen = LossSettings.of(hyp.scaled(levels=levels, classes=20, imgsz=320), levels, 0.1)
    assert (chosen.box, chosen.obj, chosen.cls) == pytest.approx((0.15 / levels, 0.75 / levels, 0.375 / levels))
    assert (chosen.cls_pw, chosen.obj_pw, chosen.anchor_t, chosen.fl_gamma) == (0.5, 0.7, 3.0, 1.5)
    assert (chosen.label_smoothing, chosen.balance) == (0.1, balance)


def test_complete_iou_against_double_precision():
    rng = np.random.default_rng(0)
    boxes, others = (np.column_stack([rng.uniform(0, 20, (200, 2)), np.exp(rng.normal(1, 1, (200, 2)))]) for _ in "ab")
    others[:40] = boxes[:40]
    others[40:80, :2] = boxes[40:80, :2]
    boxes[80:90, 2] = 0  # no width
    others[90:100, 3] *= 1e3  # long and thin
    boxes, others = boxes.astype(np.float32), others.astype(np.float32)
    ours = complete_iou(*(flow.tensor(part) for part in (boxes[:, :2], boxes[:, 2:], others[:, :2], others[:, 2:])))
    corners = [np.hstack([b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2]) for b in (boxes, others)]
    expected = np.diagonal(pairwise_iou(*corners, kind="ciou"))
    np.testing.assert_allclose(ours.numpy(), expected, atol=3e-5)
    np.testing.assert_allclose(ours.numpy()[:40], 1.0, atol=1e-5)
    assert np.ptp(expected) > 1.5

"""The compiled loss against double-precision formulas, against differences of them, and against ``yolo.loss``."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import oneflow as flow
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings

from tests.ops.loss_cases import ANCHORS, CASES, PLAIN, STRIDES, VARIANTS, make, make_special
from tests.ops.operators import run
from tests.ops.samples import any_floats
from yolo import native
from yolo.loss.reference import combine_terms, loss_terms

each_variant = pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS.keys())
each_case = pytest.mark.parametrize("name", CASES)


@each_variant
@each_case
@pytest.mark.parametrize("classes", [1, 3, 20])
def test_terms_and_parts(settings, name, classes):
    case = CASES[name](classes)
    expected = case.reference(settings)
    terms, parts, _ = case.run(settings)
    assert (terms.dtype, terms.shape, parts.dtype, parts.shape) == (np.float64, (2, 5), np.float32, (4,))
    np.testing.assert_allclose(terms, expected.terms(case.rows()), rtol=1e-6)
    wanted = expected.parts(case.rows())
    np.testing.assert_allclose(parts, [wanted.sum() * len(case.labels), *wanted], rtol=1e-6)
    if name in ("usual", "wide", "border", "one cell"):
        assert terms[:, 1].min() >= 5, "too few matches to tell anything"


@each_variant
@pytest.mark.parametrize("name", ["usual", "border", "one cell"])
def test_gradient_is_the_slope_of_the_formulas(settings, name):
    case = CASES[name](3)
    expected, rows = case.reference(settings), [np.float64(head) for head in case.rows()]
    gradients = case.run(settings)[2]
    expected.parts(rows)  # settles alphas and objectness targets: they are not differentiated
    checked = 0
    for level, gradient in enumerate(gradients):
        alone = only(expected, level)
        for image, anchor, row, column, channel in coordinates(expected.levels[level].cells, rows[level].shape):
            slope = difference(alone, rows[level], (image, anchor, row, column, channel))
            found = gradient[image, anchor, channel, row, column]
            assert found == pytest.approx(slope, rel=2e-5, abs=1e-8), (level, image, anchor, row, column, channel)
            checked += abs(slope) > 1e-4
    assert checked > 30


def coordinates(cells, shape):
    """All channels of some matched cells, and one channel each of cells anywhere."""
    matched = [(image, a, row, column, k) for image, a, row, column, _ in cells[::5][:4] for k in range(shape[-1])]
    rng = np.random.default_rng(5)
    return matched + [(*rng.integers(0, shape[:4]), k) for k in (0, 2, 4, 4, 4, 5)]


def only(loss, level):
    """The loss of one level alone: the others do not move with its head."""
    alone = copy.copy(loss)
    alone.levels = [loss.levels[level]]
    alone.settings = dataclasses.replace(loss.settings, balance=(loss.settings.balance[level],))
    return alone


def difference(loss, head, place, step=1e-5):
    """The central difference of a level's loss at one coordinate."""
    totals = []
    for sign in (1, -1):
        moved = head.copy()
        moved[place] += sign * step
        totals.append(loss.total([moved]))
    return (totals[0] - totals[1]) / (2 * step)


def eager(case, settings):
    """(terms, parts, gradients in the planes' layout) of ``yolo.loss``."""
    tensors = [flow.tensor(head, requires_grad=True) for head in case.rows()]
    labels = flow.tensor(np.nan_to_num(case.labels))  # it reads the padding too, and multiplies by 0
    terms = loss_terms(tensors, labels, flow.tensor(case.counts), ANCHORS, STRIDES, settings)
    parts = flow.stack(list(combine_terms(terms, settings)))
    loss = parts.sum() * len(case.labels)
    loss.backward()
    gradients = [np.moveaxis(tensor.grad.numpy(), -1, 2) for tensor in tensors]
    return terms.numpy(), np.append(loss.numpy(), parts.numpy()), gradients


@each_variant
@pytest.mark.parametrize("name", [name for name in CASES if name != "no places"])
@pytest.mark.parametrize("classes", [1, 3])
def test_equals_yolo_loss(settings, name, classes):
    case = CASES[name](classes)
    terms, parts, gradients = case.run(settings)
    other_terms, other_parts, other_gradients = eager(case, settings)
    np.testing.assert_allclose(terms, other_terms, rtol=1e-5)
    np.testing.assert_allclose(parts, other_parts, rtol=1e-5)
    for ours, theirs in zip(gradients, other_gradients):
        assert ours.shape == theirs.shape and np.linalg.norm(theirs) > 0
        assert np.linalg.norm(ours - theirs) <= 1e-5 * np.linalg.norm(theirs)


@each_variant
def test_runs_and_threads_agree_to_the_bit(settings):
    case = make(7, ((40, 56), (20, 28)), (12, 0, 7, 12), classes=5)
    results = []
    for threads in (1, 1, 2, 2, 7):
        native.set_default_threads(threads)
        results.append(case.run(settings))
    for terms, parts, gradients in results[1:]:
        np.testing.assert_array_equal(terms, results[0][0])
        np.testing.assert_array_equal(parts, results[0][1])
        for ours, others in zip(gradients, results[0][2]):
            np.testing.assert_array_equal(ours, others)


@each_case
def test_gradients_are_written_completely(name):
    """Where the operator writes nothing, NaN is left."""
    assert all(np.isfinite(gradient).all() for gradient in CASES[name](3).run(PLAIN)[2])


@each_case
def test_the_operator_of_validation_gives_the_same_sums(name):
    case = CASES[name](3)
    batch, places = case.labels.shape[:2]
    operator = native.LossTerms(case.operator(PLAIN), batch, places)
    (terms,) = run(operator, [*case.heads, case.labels, case.counts], [((2, 5), flow.float64)])
    np.testing.assert_array_equal(terms, case.run(PLAIN)[0])


def test_only_matched_cells_have_more_than_an_objectness_slope():
    case = make(9)
    cells = [level.cells for level in case.reference(PLAIN).levels]
    for gradient, matched in zip(case.run(PLAIN)[2], cells):
        assert gradient[:, :, 4].all()
        rest = np.delete(gradient, 4, axis=2)
        image, anchor, row, column, _ = matched.T
        assert rest[image, anchor, :, row, column].any(axis=-1).all()
        rest[image, anchor, :, row, column] = 0
        assert not rest.any()


def test_one_class_has_no_class_loss():
    _, parts, gradients = make(classes=1).run(PLAIN)
    assert parts[3] == 0
    assert not any(gradient[:, :, 5].any() for gradient in gradients)


@each_variant
@pytest.mark.parametrize("logit", [80.0, -80.0, 1e4, -1e4, "mixed"])
def test_extreme_logits(settings, logit):
    case = make(5)
    case.heads = [np.sign(head) * 80 if logit == "mixed" else np.full_like(head, logit) for head in case.heads]
    _, parts, gradients = case.run(settings)
    with np.errstate(under="ignore"):
        wanted = case.reference(settings).parts(case.rows())
    np.testing.assert_allclose(parts[1:], wanted, rtol=1e-5, atol=1e-7)
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_focal_factor_has_a_floor():
    """As in ``yolo.loss``: 1e-7, below which it has no slope of its own."""
    case = make_special("empty", 1)
    case.heads = [np.full_like(head, -20) for head in case.heads]
    _, parts, gradients = case.run(VARIANTS["weak focal"])
    value, slope = 0.75 * 1e-7**0.5 * np.log1p(np.exp(-20)), 0.75 * 1e-7**0.5 / (1 + np.exp(20))
    assert parts[2] == pytest.approx(5 * value, rel=1e-5)
    for gradient, balance in zip(gradients, PLAIN.balance):
        _, anchors, _, rows, columns = gradient.shape
        expected = slope * balance / (anchors * rows * columns)  # times the images, over the cells of all of them
        np.testing.assert_allclose(gradient[:, :, 4], expected, rtol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channels", [slice(None), slice(0, 4), slice(4, 5), slice(5, None)])
def test_numbers_that_are_none(value, channels):
    case = make(6)
    for head in case.heads:
        head[:, :, channels] = value
    _, parts, gradients = case.run(PLAIN)
    assert len(gradients) == 2
    if np.isnan(value):
        assert np.isnan(parts[0])
        assert np.isnan(parts[1:]).any()


def test_one_nan_objectness_is_enough():
    case = make(6)
    case.heads[1][2, 1, 4, 3, 2] = np.nan
    _, parts, gradients = case.run(PLAIN)
    assert np.isnan(parts[[0, 2]]).all() and np.isfinite(parts[[1, 3]]).all()
    assert np.argwhere(np.isnan(gradients[1])).tolist() == [[2, 1, 4, 3, 2]]


@hypothesis_settings(max_examples=60, deadline=None)
@given(labels=any_floats((2, 3, 5)))
@example(labels=np.array([[[0, 0, 3e38, 1, 1]] * 3] * 2, np.float32))
def test_any_labels_at_all(labels):
    labels[..., 0] = np.where(labels[..., 0] < 3, labels[..., 0], 1)
    case = make(8, counts=(3, 3), places=3)
    case.labels = labels
    terms, parts, gradients = case.run(PLAIN)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(terms, case.reference(PLAIN).terms(case.rows()), rtol=1e-5)
    assert np.isfinite(parts).all() and all(np.isfinite(gradient).all() for gradient in gradients)


def test_a_class_that_does_not_exist_is_wanted_nowhere():
    case = make(classes=3)
    case.labels[..., 0] = 7
    logits = [head[:, :, 5:] for head in case.heads]
    for head in logits:
        head[...] = -20
    _, parts, gradients = case.run(PLAIN)
    assert parts[3] == pytest.approx(0, abs=1e-6) and parts[1] > 0
    assert all((gradient[:, :, 5:] >= 0).all() for gradient in gradients)

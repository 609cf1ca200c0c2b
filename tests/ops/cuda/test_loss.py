"""The loss and the target assignment of CUDA devices, on the host's processor, against the CPU's and the rule."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.device import cuda_host
from tests.ops.loss_cases import CASES, PLAIN, VARIANTS, Case, make
from tests.ops.test_assign import ANCHORS as THREE_ANCHORS
from tests.ops.test_assign import GRIDS, STRIDES, case_of, counted, random_labels
from tests.reference.assign import assign_level

each_case = pytest.mark.parametrize("name", CASES)
ODD = [np.nan, np.inf, -np.inf, 0, -0.0, 1, -1, 3e38, 1e-40, 1e7, 0.5, 0.25]


@pytest.fixture(scope="module")
def module():
    return cuda_host()


def cell_anchors(case: Case) -> list[np.ndarray]:
    return [(sizes / stride).astype(np.float32) for sizes, stride in zip(case.anchors, case.strides)]


def run(module, case: Case, settings=PLAIN, **options):
    """(terms, parts, gradients) of the device; NaN where it wrote nothing."""
    arguments = case.heads, case.labels, case.counts, cell_anchors(case), dataclasses.asdict(settings)
    return module.detection_loss(*arguments, **options)


def check(module, case: Case, settings=PLAIN) -> None:
    """The device's numbers are the CPU's; NaN is where the CPU has it."""
    terms, parts, gradients = run(module, case, settings)
    wanted_terms, wanted_parts, wanted_gradients = case.run(settings)
    assert (terms.dtype, terms.shape, parts.dtype, parts.shape) == (np.float64, (2, 5), np.float32, (4,))
    np.testing.assert_array_equal(terms[:, [1, 3]], wanted_terms[:, [1, 3]])
    np.testing.assert_allclose(terms, wanted_terms, rtol=1e-6)
    np.testing.assert_allclose(parts, wanted_parts, rtol=1e-6)
    for found, wanted in zip(gradients, wanted_gradients, strict=True):
        assert found.shape == wanted.shape
        # Where matches of one cell almost cancel, the sum of their slopes is as exact as its greatest summand.
        scale = np.nanmax(np.abs(wanted), initial=0, where=np.isfinite(wanted))
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7 * scale)


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.parametrize("classes", [1, 3])
def test_equals_the_cpu_with_all_settings(module, settings, classes):
    check(module, make(classes=classes, counts=(12, 0)), settings)


@each_case
def test_equals_the_cpu_on_all_labels(module, name):
    check(module, CASES[name](20), VARIANTS["all"])


@pytest.mark.parametrize("classes", [31, 32, 33, 80])
def test_numbers_of_classes_around_a_warp(module, classes):
    check(module, make(classes=classes, counts=(5,)))


def test_more_labels_than_a_block_has_threads(module):
    """Two tiles of labels, chains of many matches in a cell, and grids of more than one block of cells."""
    check(module, make(11, ((27, 23), (5, 6)), (150,), 2, places=160), VARIANTS["smoothed"])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 80.0, -80.0, 1e4, -1e4])
@pytest.mark.parametrize("channels", [slice(0, 4), slice(4, 5), slice(5, None)])
def test_extreme_numbers_are_what_the_cpu_makes_of_them(module, value, channels):
    case = make(6, ((5, 7), (3, 4)), (7,))
    for head in case.heads:
        head[:, :, channels] = value
    check(module, case, VARIANTS["weak focal"])


def test_one_nan_objectness_is_enough(module):
    case = make(6)
    case.heads[1][2, 1, 4, 3, 2] = np.nan
    _, parts, gradients = run(module, case)
    assert np.isnan(parts[[0, 2]]).all() and np.isfinite(parts[[1, 3]]).all()
    assert np.argwhere(np.isnan(gradients[1])).tolist() == [[2, 1, 4, 3, 2]]


@pytest.mark.parametrize("seed", range(5))
def test_any_labels_at_all(module, seed):
    rng = np.random.default_rng(seed)
    case = make(seed, ((5, 7), (3, 4)), (9, 9), places=9)
    odd = rng.random(case.labels.shape) < 0.15
    case.labels[odd] = rng.choice(np.float32(ODD), odd.sum())
    check(module, case)


def test_a_class_that_does_not_exist_is_wanted_nowhere(module):
    case = make()
    case.labels[:, ::2, 0] = 7
    check(module, case)


@pytest.mark.parametrize("anchor", [0.0, np.nan])
def test_anchors_without_a_size_match_nothing(module, anchor):
    case = make()
    case.anchors = np.full_like(case.anchors, anchor)
    terms, _, gradients = run(module, case, dataclasses.replace(PLAIN, anchor_t=1e6))
    assert not terms[:, 1].any()
    assert all(np.isfinite(gradient).all() and not gradient[:, :, :4].any() for gradient in gradients)


@each_case
def test_gradients_are_written_completely(module, name):
    assert all(np.isfinite(gradient).all() for gradient in run(module, CASES[name](3))[2])


def test_sums_are_the_same_without_gradients(module):
    case = make(counts=(9,))
    terms, parts, gradients = run(module, case, gradients=False)
    assert gradients is None
    for found, wanted in zip((terms, parts), run(module, case)[:2]):
        np.testing.assert_array_equal(found, wanted)


def test_a_scale_multiplies_gradients_alone(module):
    case = make(counts=(9,))
    plain, scaled = run(module, case), run(module, case, slope_scale=1024.0)
    for found, wanted in zip(scaled[:2], plain[:2]):
        np.testing.assert_array_equal(found, wanted)
    for found, wanted in zip(scaled[2], plain[2]):
        np.testing.assert_array_equal(found, wanted * 1024)


def test_parts_of_a_batch_add_up_to_the_whole(module):
    case = make(counts=(12, 4, 3, 0))
    halves = [
        dataclasses.replace(
            case, heads=[h[half] for h in case.heads], labels=case.labels[half], counts=case.counts[half]
        )
        for half in (slice(0, 2), slice(2, 4))
    ]
    terms, parts, gradients = case.run(PLAIN)
    found = [run(module, half, PLAIN, matches=terms[:, 1].copy(), parts=2) for half in halves]
    np.testing.assert_allclose(found[0][0] + found[1][0], terms, rtol=1e-6)
    np.testing.assert_allclose(found[0][1] + found[1][1], parts, rtol=1e-6)
    for level, wanted in enumerate(gradients):
        both = np.concatenate([half[2][level] for half in found])
        np.testing.assert_allclose(both, wanted, rtol=1e-5, atol=1e-7 * np.abs(wanted).max())


def assigned(module, case: Case, anchor_t: float = 4.0) -> list[np.ndarray]:
    """Rows (image, anchor, row, column, label, previous, followed) of the levels."""
    with np.errstate(all="ignore"):
        return module.assign(case.labels, case.counts, cell_anchors(case), case.grids, anchor_t)


def check_assignment(module, case: Case, anchor_t: float = 4.0) -> int:
    """Cells and order are the rule's, and links are those of an item's matches that share a cell."""
    levels, total = assigned(module, case, anchor_t), 0
    for found, anchors, grid in zip(levels, cell_anchors(case), case.grids, strict=True):
        with np.errstate(all="ignore"):
            cells, _ = assign_level(case.labels, case.counts, anchors, grid, anchor_t)
        order = np.lexsort((np.arange(len(cells)), cells[:, 1], cells[:, 0]))
        np.testing.assert_array_equal(found[:, :4], cells[order, :4])
        classes = np.int64(case.labels[found[:, 0], found[:, 4], 0])
        np.testing.assert_array_equal(classes, cells[order, 4])
        np.testing.assert_array_equal(found[:, 5:], links(found))
        total += len(found)
    return total


def links(found: np.ndarray) -> np.ndarray:
    """(previous, followed) from the cells of matches in order."""
    wanted, places, last = np.zeros((len(found), 2), int), {}, {}
    for k, (image, anchor, row, column) in enumerate(found[:, :4].tolist()):
        place = places[image, anchor] = places.get((image, anchor), -1) + 1
        before = last.get((image, anchor, row, column))
        wanted[k, 0] = -1 if before is None else before[0]
        if before is not None:
            wanted[before[1], 1] = 1
        last[image, anchor, row, column] = place, k
    return wanted


@pytest.mark.parametrize("images, capacity", [(1, 1), (3, 7), (1, 150)])
@pytest.mark.parametrize("anchor_t", [1.5, 4.0, 20.0])
def test_assignment_equals_the_rule(module, images, capacity, anchor_t):
    rng = np.random.default_rng(capacity)
    case = case_of(random_labels(rng, images, capacity), rng.integers((capacity + 1) // 2, capacity + 1, images))
    matches = check_assignment(module, case, anchor_t)
    assert matches > 20 or capacity < 100
    found = module.count_matches(case.labels, case.counts, cell_anchors(case), GRIDS, anchor_t)
    np.testing.assert_array_equal(found, counted(case, anchor_t))
    assert found.sum() == matches


@pytest.mark.parametrize("name", ["border", "one cell", "odd", "empty", "no places"])
def test_assignment_of_special_labels(module, name):
    matches = check_assignment(module, CASES[name](3))
    assert (matches > 0) == (name not in ("empty", "no places"))


@pytest.mark.parametrize("x", [0.0, 0.05, 0.1, 0.1001, 0.15, 0.5, 0.85, 0.9, 0.95, 1.0])
def test_assignment_at_cell_borders(module, x):
    labels = [[[3, x, y, 0.2, 0.2] for y in (0.0, 0.149, 0.5, 1.0)]]
    anchors = np.array([[[16, 16]]], np.float32)
    assert check_assignment(module, case_of(labels, [4], anchors, (8,), ((10, 10),))) >= 4


def test_more_levels_than_there_is_room_for_are_refused(module):
    labels, counts = np.zeros((1, 1, 5), np.float32), np.zeros(1, np.int32)
    with pytest.raises(ValueError, match="levels"):
        module.assign(labels, counts, [THREE_ANCHORS[0] / STRIDES[0]] * 9, [(4, 4)] * 9, 4.0)

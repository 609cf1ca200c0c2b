import cv2
import numpy as np
import pytest

from tests.data.samples import hyperparameters
from yolo.data.augment import affine_matrix, copy_paste, covered_share, hsv_gains, mosaic_tiles
from yolo.data.objects import Objects


def test_without_hyperparameters_the_matrix_moves_centre_to_centre():
    rng = np.random.default_rng(0)
    matrix, scale = affine_matrix(rng, hyperparameters(), (200, 300), (100, 100))
    np.testing.assert_allclose(matrix, [[1, 0, -100], [0, 1, -50], [0, 0, 1]], atol=1e-12)
    assert scale == 1


def test_rotation_and_scale_are_opencvs():
    for seed in range(20):
        hyp = hyperparameters(degrees=45, scale=0.5)
        matrix, scale = affine_matrix(np.random.default_rng(seed), hyp, (100, 100), (100, 100))
        assert 0.5 <= scale <= 1.5
        np.testing.assert_allclose(np.linalg.det(matrix[:2, :2]), scale**2)
        angle = np.degrees(np.arctan2(matrix[0, 1], matrix[0, 0]))
        np.testing.assert_allclose(matrix[:2], cv2.getRotationMatrix2D((50, 50), angle, scale), atol=1e-9)


def test_the_ranges_of_the_other_parts():
    shifts, shears, tilts = [], [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        matrix, _ = affine_matrix(rng, hyperparameters(translate=0.1), (200, 200), (100, 100))
        shifts.append(matrix[:2, 2] + 50)
        matrix, _ = affine_matrix(rng, hyperparameters(shear=10), (100, 100), (100, 100))
        shears.append(np.degrees(np.arctan([matrix[0, 1], matrix[1, 0]])))
        matrix, _ = affine_matrix(rng, hyperparameters(perspective=0.001), (100, 100), (100, 100))
        tilts.append(matrix[2, :2])
    for values, bound in ((shifts, 10), (shears, 10), (tilts, 0.001)):
        assert bound * 0.9 < np.abs(values).max() <= bound * (1 + 1e-9)
        assert abs(np.mean(values)) < bound * 0.15


def test_the_four_tiles_meet_in_the_centre():
    sizes = [(60, 100), (100, 40), (30, 20), (100, 100)]
    tiles = mosaic_tiles([7, 8, 9, 3], sizes, (90, 110))
    assert [tile.offset for tile in tiles] == [(-10, 50), (90, 10), (70, 110), (90, 110)]
    assert [tile.image for tile in tiles] == [7, 8, 9, 3]


def test_covered_share():
    others = np.array([[0, 0, 10, 10], [5, 5, 15, 15], [20, 20, 30, 30], [3, 3, 3, 3]], np.float64)
    np.testing.assert_allclose(covered_share(np.array([0, 0, 10, 10.0]), others), [1, 0.25, 0, 0])


def scene():
    boxes = np.array([[10, 10, 30, 30], [80, 60, 95, 90], [72, 12, 88, 28]], np.float64)
    corners = [boxes[k][[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2) for k in range(2)]
    return Objects(np.arange(3.0), boxes, [*corners, np.zeros((0, 2))])


def test_objects_are_pasted_mirrored_where_they_hide_nothing():
    objects, pastes = copy_paste(np.random.default_rng(0), scene(), 1.0, 100)
    # The first one's mirror place is taken by the third; the second one's is free; the third has no polygon.
    assert objects.classes.tolist() == [0, 1, 2, 1]
    assert objects.boxes[3].tolist() == [5, 60, 20, 90]
    np.testing.assert_allclose(np.sort(objects.polygons[3][:, 0]), [5, 5, 20, 20])
    assert len(pastes) == 1 and pastes[0].dtype == np.int32 and pastes[0][:, 0].max() == 95


@pytest.mark.parametrize(("probability", "tried"), [(0.1, 0), (0.5, 1), (1.0, 2)])
def test_the_share_of_objects_tried(probability, tried):
    free = scene()
    free = Objects(free.classes[:2], free.boxes[:2], free.polygons[:2])
    _, pastes = copy_paste(np.random.default_rng(0), free, probability, 100)
    assert len(pastes) == tried


def test_copy_paste_of_nothing():
    none = Objects(np.zeros(0), np.zeros((0, 4)), [])
    objects, pastes = copy_paste(np.random.default_rng(0), none, 1.0, 100)
    assert len(objects) == 0 and objects.boxes.shape == (0, 4) and pastes == ()


def test_hsv_gains():
    assert hsv_gains(np.random.default_rng(0), hyperparameters()) is None
    hyp = hyperparameters(hsv_h=0.015, hsv_s=0.7, hsv_v=0.4)
    gains = np.array([hsv_gains(np.random.default_rng(k), hyp) for k in range(400)])
    spread = np.abs(gains - 1).max(0)
    assert (spread <= (0.015, 0.7, 0.4)).all() and (spread > np.array((0.015, 0.7, 0.4)) * 0.95).all()

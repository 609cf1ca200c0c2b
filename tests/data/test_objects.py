import numpy as np
import pytest

from yolo.data import objects as obj


def one(box, polygon=()):
    return obj.Objects(np.zeros(1), np.array([box], np.float64), [np.array(polygon, np.float64).reshape(-1, 2)])


def test_place_and_to_rows_undo_each_other():
    rng = np.random.default_rng(0)
    centre, side = rng.uniform(0.3, 0.7, (20, 2)), rng.uniform(0.05, 0.5, (20, 2))
    rows = np.concatenate([rng.integers(0, 9, (20, 1)), centre, side], axis=1).astype(np.float32)
    placed = obj.place([obj.Placed(rows, [np.zeros((0, 2))] * 20, (120, 200), (0, 0))])
    np.testing.assert_allclose(obj.to_rows(placed, (120, 200)), rows, atol=1e-5)
    shifted = obj.place([obj.Placed(rows, [np.zeros((0, 2))] * 20, (120, 200), (7, -3))])
    np.testing.assert_allclose(shifted.boxes - placed.boxes, np.tile([7, -3, 7, -3], (20, 1)))


def test_rows_are_clipped_to_the_image_and_centres_stay_inside():
    rows = obj.to_rows(one((-50, 10, 500, 500)), (100, 200))
    np.testing.assert_allclose(rows[0, 1:], (0.5, 0.55, 1, 0.9), atol=1e-4)
    assert (obj.to_rows(one((200, 100, 300, 300)), (100, 200))[0, 1:3] < 1).all()


def test_a_box_warps_to_the_box_of_its_corners():
    angle = np.radians(30)
    matrix = np.array([[np.cos(angle), -np.sin(angle), 50], [np.sin(angle), np.cos(angle), 5], [1e-4, 0, 1]])
    boxes = np.random.default_rng(0).uniform(10, 40, (30, 4))
    boxes[:, 2:] += boxes[:, :2]
    got = obj.warp_boxes(boxes, matrix, (1000, 1000))
    for box, warped in zip(boxes, got):
        corners = []
        for x in box[[0, 2]]:
            for y in box[[1, 3]]:
                x1, y1, z = matrix @ (x, y, 1)
                corners.append((x1 / z, y1 / z))
        wanted = np.clip([*np.min(corners, 0), *np.max(corners, 0)], 0, 1000)
        np.testing.assert_allclose(warped, wanted)


def test_resampling_keeps_the_corners_and_closes_the_polygon():
    triangle = np.array([[0, 0], [30, 0], [0, 60]], np.float64)
    points = obj.resample(triangle, 10)
    assert points.shape == (10, 2)
    np.testing.assert_allclose(points[[0, 3, 6, 9]], [*triangle, triangle[0]])
    np.testing.assert_allclose(points[1], (10, 0))


def test_the_box_of_a_polygon_is_that_of_its_part_inside():
    points = obj.resample(np.array([[-50.0, 10], [50, 10], [50, 20], [-50, 20]]))
    np.testing.assert_allclose(obj.polygon_box(points, (100, 100)), (0, 10, 50, 20), atol=0.5)
    assert obj.polygon_box(points - 500, (100, 100)).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("after", "polygon", "kept"),
    [
        ((0, 0, 50, 50), False, True),
        ((0, 0, 2, 50), False, False),  # sides must be over 2 pixels
        ((0, 0, 31, 31), False, False),  # 9.6 % of the area
        ((0, 0, 32, 32), False, True),
        ((0, 0, 31, 31), True, True),
        ((0, 0, 9, 9), True, False),
        ((0, 0, 3, 900), False, False),  # 300 : 1
        ((0, 0, 0, 0), False, False),
    ],
)
def test_which_boxes_keep_their_label(after, polygon, kept):
    least = obj.MIN_AREA_POLYGON if polygon else obj.MIN_AREA
    before = np.array([[0, 0, 100, 100]], np.float64)
    assert obj.is_visible(before, np.array([after], np.float64), least).tolist() == [kept]


def test_areas_are_compared_relative_to_the_enlargement():
    quarter = np.diag([0.25, 0.25, 1.0])
    assert len(obj.warp(one((0, 0, 100, 100)), quarter, 0.25, (100, 100))) == 1
    assert len(obj.warp(one((0, 0, 100, 100)), quarter, 1.0, (100, 100))) == 0


def test_nothing_stays_nothing():
    none = obj.place([obj.Placed(np.zeros((0, 5), np.float32), [], (10, 10), (0, 0))])
    assert len(obj.warp(obj.clip(obj.join([none, none]), (10, 10)), np.eye(3), 1, (10, 10))) == 0
    assert obj.to_rows(none, (10, 10)).shape == (0, 5)

import cv2
import numpy as np
import pytest

from tests.data.samples import hyperparameters
from yolo.data.augment import affine_matrix, mosaic_tiles
from yolo.data.images import write_image
from yolo.data.plan import SamplePlan, Tile, View
from yolo.data.render import may_be_seen, render, shift_colours
from yolo.errors import DataError

NONE = np.zeros((0, 5), np.float32)


@pytest.fixture
def paths(tmp_path):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(2)]
    return [write_image(tmp_path / f"{k}.png", picture) for k, picture in enumerate(pictures)], pictures


def sample(*views, **options):
    return SamplePlan(index=0, size=views[0].size, views=views, labels=NONE, **options)


@pytest.mark.parametrize("offset", [(0, 0), (5, 3), (-7, 4), (-29, -19), (35, 36), (50, 50)])
def test_tiles_are_cut_at_the_canvas(paths, offset):
    files, pictures = paths
    wanted = np.full((120, 120, 3), 114, np.uint8)
    wanted[40 + offset[1] : 60 + offset[1], 40 + offset[0] : 70 + offset[0]] = pictures[0]
    got = render(sample(View((40, 40), (Tile(0, (20, 30), offset),), (40, 40))), files)
    np.testing.assert_array_equal(got, wanted[40:80, 40:80])


def test_blend_and_flips(paths):
    files, (one, two) = paths
    views = [View((20, 30), (Tile(k, (20, 30), (0, 0)),), (20, 30)) for k in range(2)]
    got = render(sample(*views, share=0.25), files)
    np.testing.assert_allclose(got, one * 0.25 + two * 0.75, atol=0.51)
    for vertical in (False, True):
        for horizontal in (False, True):
            got = render(sample(views[0], flip_vertical=vertical, flip_horizontal=horizontal), files)
            wanted = one[:: -1 if vertical else 1, :: -1 if horizontal else 1]
            np.testing.assert_array_equal(got, wanted)


def test_the_matrix_moves_pixels_and_the_rest_is_grey(paths):
    files, (one, _) = paths
    matrix = np.array([[1, 0, 4], [0, 1, -2], [0, 0, 1.0]])
    got = render(sample(View((20, 30), (Tile(0, (20, 30), (0, 0)),), (24, 40), matrix=matrix)), files)
    assert got.shape == (24, 40, 3)
    np.testing.assert_array_equal(got[:18, 4:34], one[2:])
    assert (got[:, :4] == 114).all() and (got[18:] == 114).all()


def test_pastes_are_mirrored(paths):
    files, (one, _) = paths
    polygon = np.array([[2, 3], [8, 3], [8, 9], [2, 9]], np.int32)
    got = render(sample(View((20, 30), (Tile(0, (20, 30), (0, 0)),), (20, 30), pastes=(polygon,))), files)
    wanted = one.copy()
    wanted[3:10, 21:28] = one[3:10, 2:9][:, ::-1]
    np.testing.assert_array_equal(got, wanted)


def test_colours(paths):
    _, (one, _) = paths
    same = shift_colours(one, (1.0, 1.0, 1.0)).astype(int)
    reference = cv2.cvtColor(cv2.cvtColor(one, cv2.COLOR_RGB2HSV), cv2.COLOR_HSV2RGB)
    np.testing.assert_array_equal(same, reference)
    darker = shift_colours(one, (1.0, 1.0, 0.5))
    assert abs(darker.max(-1) - one.max(-1) / 2).max() <= 1
    grey = shift_colours(one, (1.0, 0.0, 1.0))
    assert (grey == one.max(-1, keepdims=True)).all()
    red = np.full((1, 1, 3), (0, 0, 255), np.uint8)  # hue 120 of 180
    assert shift_colours(red, (1.5, 1.0, 1.0)).tolist() == [[[255, 0, 0]]], "180 is 0 again"


def test_an_unreadable_picture_is_named(tmp_path):
    view = View((20, 30), (Tile(0, (20, 30), (0, 0)),), (20, 30))
    with pytest.raises(DataError, match=r"gone\.png"):
        render(sample(view), [tmp_path / "gone.png"])


def random_views(count):
    """Mosaics of four tiles on canvases of 160 pixels, warped to 80, as the planner makes them."""
    rng, hyp = np.random.default_rng(7), hyperparameters(degrees=20, shear=8, scale=0.9, translate=0.4)
    for _ in range(count):
        centre = tuple(rng.integers(40, 120, 2).tolist())
        matrix, _ = affine_matrix(rng, hyp, (160, 160), (80, 80))
        yield View((160, 160), mosaic_tiles((0, 1, 0, 1), [(20, 30)] * 4, centre), (80, 80), matrix=matrix)


def test_tiles_out_of_sight_are_not_loaded_and_nobody_sees_it(paths, monkeypatch):
    files, _ = paths
    views = list(random_views(200))
    got = [render(sample(view), files) for view in views]
    hidden = sum(not may_be_seen(tile, view) for view in views for tile in view.tiles)
    assert 50 < hidden < 750
    monkeypatch.setattr("yolo.data.render.may_be_seen", lambda tile, view: True)
    for view, picture in zip(views, got):
        np.testing.assert_array_equal(render(sample(view), files), picture)


def test_tiles_are_loaded_where_more_than_an_affine_warp_may_show_them(paths):
    tile = Tile(0, (20, 30), (0, 0))
    away = np.array([[1, 0, 500], [0, 1, 500], [0, 0, 1.0]])
    polygon = np.array([[2, 3], [8, 3], [8, 9]], np.int32)
    assert not may_be_seen(tile, View((160, 160), (tile,), (80, 80), matrix=away))
    assert may_be_seen(tile, View((160, 160), (tile,), (80, 80), pastes=(polygon,), matrix=away))
    assert may_be_seen(tile, View((160, 160), (tile,), (80, 80)))
    assert may_be_seen(tile, View((160, 160), (tile,), (80, 80), matrix=away + [[0] * 3, [0] * 3, [1e-3, 0, 0]]))
    assert may_be_seen(tile, View((160, 160), (tile,), (80, 80), matrix=away * [[0], [0], [1]]))

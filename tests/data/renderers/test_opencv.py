import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from tests.data.samples import hyperparameters, rendered
from yolo.data.augment import affine_matrix, mosaic_tiles
from yolo.data.images import write_image
from yolo.data.letterbox import fit
from yolo.data.plan import SamplePlan, Tile, View
from yolo.data.renderers.opencv import OpenCVRenderer, shift_colours
from yolo.data.renderers.window import seen_tiles
from yolo.errors import DataError

NONE = np.zeros((0, 5), np.float32)


@pytest.fixture
def paths(tmp_path):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(2)]
    return [write_image(tmp_path / f"{k}.png", image) for k, image in enumerate(images)], images


def sample(*views, **options):
    return SamplePlan(index=0, size=views[0].size, views=views, labels=NONE, **options)


@pytest.mark.parametrize("offset", [(0, 0), (5, 3), (-7, 4), (-29, -19), (35, 36), (50, 50)])
def test_tiles_are_cut_at_the_canvas(paths, offset):
    files, images = paths
    wanted = np.full((120, 120, 3), 114, np.uint8)
    wanted[40 + offset[1] : 60 + offset[1], 40 + offset[0] : 70 + offset[0]] = images[0]
    got = rendered(sample(View((40, 40), (Tile(0, (20, 30), offset),), (40, 40))), files)
    np.testing.assert_array_equal(got, wanted[40:80, 40:80])


def test_blend_and_flips(paths):
    files, (one, two) = paths
    views = [View((20, 30), (Tile(k, (20, 30), (0, 0)),), (20, 30)) for k in range(2)]
    got = rendered(sample(*views, share=0.25), files)
    np.testing.assert_allclose(got, one * 0.25 + two * 0.75, atol=0.51)
    for vertical in (False, True):
        for horizontal in (False, True):
            got = rendered(sample(views[0], flip_vertical=vertical, flip_horizontal=horizontal), files)
            wanted = one[:: -1 if vertical else 1, :: -1 if horizontal else 1]
            np.testing.assert_array_equal(got, wanted)


def test_the_matrix_moves_pixels_and_the_rest_is_grey(paths):
    files, (one, _) = paths
    matrix = np.array([[1, 0, 4], [0, 1, -2], [0, 0, 1.0]])
    got = rendered(sample(View((20, 30), (Tile(0, (20, 30), (0, 0)),), (24, 40), matrix=matrix)), files)
    assert got.shape == (24, 40, 3)
    np.testing.assert_array_equal(got[:18, 4:34], one[2:])
    assert (got[:, :4] == 114).all() and (got[18:] == 114).all()


def test_pastes_are_mirrored(paths):
    files, (one, _) = paths
    polygon = np.array([[2, 3], [8, 3], [8, 9], [2, 9]], np.int32)
    got = rendered(sample(View((20, 30), (Tile(0, (20, 30), (0, 0)),), (20, 30), pastes=(polygon,))), files)
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


def test_an_unreadable_image_is_named(tmp_path):
    view = View((20, 30), (Tile(0, (20, 30), (0, 0)),), (20, 30))
    with pytest.raises(DataError, match=r"gone\.png"):
        rendered(sample(view), [tmp_path / "gone.png"])


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
    got = [rendered(sample(view), files) for view in views]
    hidden = sum(len(view.tiles) - len(seen_tiles(view)) for view in views)
    assert 50 < hidden < 750
    monkeypatch.setattr("yolo.data.renderers.opencv.seen_tiles", lambda view: view.tiles)
    for view, image in zip(views, got):
        np.testing.assert_array_equal(rendered(sample(view), files), image)


def test_tiles_are_loaded_where_more_than_an_affine_warp_may_show_them(paths):
    tile = Tile(0, (20, 30), (0, 0))
    away = np.array([[1, 0, 500], [0, 1, 500], [0, 0, 1.0]])
    polygon = np.array([[2, 3], [8, 3], [8, 9]], np.int32)
    assert not seen_tiles(View((160, 160), (tile,), (80, 80), matrix=away))
    assert seen_tiles(View((160, 160), (tile,), (80, 80), pastes=(polygon,), matrix=away))
    assert seen_tiles(View((160, 160), (tile,), (80, 80)))
    assert seen_tiles(View((160, 160), (tile,), (80, 80), matrix=away + [[0] * 3, [0] * 3, [1e-3, 0, 0]]))
    assert seen_tiles(View((160, 160), (tile,), (80, 80), matrix=away * [[0], [0], [1]]))


def plans_of(views):
    """Samples with all that follows the views."""
    rng = np.random.default_rng(3)
    pairs = list(zip(views[::2], views[1::2]))
    for number, pair in enumerate(pairs):
        gains = tuple(rng.uniform(0.6, 1.4, 3).tolist())
        changes = {"hsv": gains if number % 3 else None, "flip_horizontal": number % 2 == 0}
        yield sample(*pair, share=0.4, **changes) if number % 4 else sample(pair[0], **changes)


@pytest.mark.parametrize("threads", [0, 1, 3, 8])
def test_a_batch_is_what_its_samples_are_alone(paths, threads):
    """Written into the very memory that was given, whatever was in it."""
    files, _ = paths
    plans = list(plans_of(list(random_views(40))))
    batch = np.full((len(plans), 3, 80, 80), 255, np.uint8)
    renderer = OpenCVRenderer(files, threads)
    renderer.render(plans, batch)
    renderer.close()
    for plan, planes in zip(plans, batch):
        np.testing.assert_array_equal(planes.transpose(1, 2, 0), rendered(plan, files))


@pytest.mark.parametrize("size", [(64, 64), (48, 96), (20, 30)])
@pytest.mark.parametrize("target", [None, (40, 40)])
def test_a_letterboxed_sample_needs_no_canvas_and_looks_the_same(paths, size, target):
    files, _ = paths
    box = fit((20, 30), size)
    view = View(size, (Tile(0, box.resized, box.offset),), size)
    one, two = (np.empty((1, 3, *(target or size)), np.uint8) for _ in range(2))
    OpenCVRenderer(files, 0).render([sample(view, letterbox=box)], one)
    OpenCVRenderer(files, 0).render([sample(view)], two)
    np.testing.assert_array_equal(one, two)


def test_a_part_of_a_batch_is_filled_and_nothing_beside_it(paths):
    files, (one, _) = paths
    plain = sample(View((20, 30), (Tile(0, (20, 30), (0, 0)),), (20, 30)))
    batch = np.full((2, 3, 60, 60), 7, np.uint8)
    OpenCVRenderer(files, 2).render([plain, plain], [batch[0, :, 5:25, 8:38], batch[1, :, 0:10, 0:15]])
    np.testing.assert_array_equal(batch[0, :, 5:25, 8:38], one.transpose(2, 0, 1))
    half = cv2.resize(one, (15, 10), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(batch[1, :, :10, :15], half.transpose(2, 0, 1))
    batch[0, :, 5:25, 8:38] = batch[1, :, :10, :15] = 7
    assert (batch == 7).all()


@pytest.mark.parametrize("threads", [0, 2])
def test_the_first_sample_that_cannot_be_made_is_named(paths, tmp_path, threads):
    files = [*paths[0], tmp_path / "lost.png", tmp_path / "gone.png"]
    plans = [sample(View((20, 30), (Tile(k, (20, 30), (0, 0)),), (20, 30))) for k in (0, 3, 2, 1)]
    renderer = OpenCVRenderer(files, threads)
    with pytest.raises(DataError, match=r"gone\.png"):
        renderer.render(plans, np.empty((4, 3, 20, 30), np.uint8))
    renderer.close()


def test_what_opencv_refuses_is_named_by_the_sample(paths):
    files, _ = paths
    broken = View((20, 30), (Tile(1, (20, 30), (0, 0)),), (20, 30), matrix=np.eye(3)[:, :2])
    with pytest.raises(DataError, match=r"0\.png: the sample cannot be made"):
        rendered(sample(broken), files)


def test_closing_gives_up_what_has_not_begun(paths, monkeypatch):
    files, _ = paths
    begun, go_on, made = threading.Event(), threading.Event(), []

    def slow(path, size, *, augmented):
        made.append(path)
        begun.set()
        assert go_on.wait(60)
        return np.zeros((*size, 3), np.uint8)

    monkeypatch.setattr("yolo.data.renderers.opencv.load_image", slow)
    renderer = OpenCVRenderer(files, 1)
    plans = [sample(View((20, 30), (Tile(0, (20, 30), (0, 0)),), (20, 30)))] * 5
    with ThreadPoolExecutor(2) as others:
        rendering = others.submit(renderer.render, plans, np.empty((5, 3, 20, 30), np.uint8))
        assert begun.wait(60)
        closing = others.submit(renderer.close)
        with pytest.raises(RuntimeError, match="shutdown"):  # from then on nothing waits any more
            while True:
                renderer._pool.submit(int)
        go_on.set()
        closing.result(60)
        assert isinstance(rendering.exception(60), CancelledError)
    assert len(made) == 1

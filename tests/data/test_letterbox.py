import cv2
import numpy as np
import pytest

from yolo.data.letterbox import fit, letterbox, rect_shapes, resize_to, resized_size


@pytest.mark.parametrize(
    ("original", "size", "options", "resized", "offset", "padded"),
    [
        ((1080, 810), 640, {}, (640, 480), (80, 0), (640, 640)),
        ((1080, 810), 640, {"auto": True}, (640, 480), (0, 0), (640, 480)),
        ((720, 1280), 640, {"auto": True}, (360, 640), (0, 12), (384, 640)),
        ((100, 60), (320, 640), {}, (320, 192), (224, 0), (320, 640)),
        ((100, 60), (320, 640), {"scaleup": False}, (100, 60), (290, 110), (320, 640)),
        ((33, 64), 64, {}, (33, 64), (0, 15), (64, 64)),
        ((1, 1000), 64, {}, (1, 64), (0, 31), (64, 64)),
    ],
)
def test_numbers(original, size, options, resized, offset, padded):
    image = np.full((*original, 3), 255, np.uint8)
    out, box = letterbox(image, size, **options)
    assert (box.original, box.resized, box.offset, box.size) == (original, resized, offset, padded)
    assert out.shape == (*padded, 3)
    rows, columns = np.where((out == 255).all(-1))
    assert (columns.min(), rows.min()) == offset
    assert (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1) == resized
    assert set(np.unique(out)) <= {114, 255}


def test_the_odd_pixel_goes_right_and_below_and_the_pad_is_half():
    _, box = letterbox(np.zeros((33, 64, 3), np.uint8), 64)
    assert box.pad == (0.0, 15.5) and box.offset == (0, 15)


def test_ratio_and_pad_lead_to_the_padded_picture():
    rng = np.random.default_rng(0)
    for _ in range(200):
        original = tuple(int(side) for side in rng.integers(10, 900, 2))
        box = fit(original, 320)
        far_y = original[0] * box.ratio[0] + 2 * box.pad[1]
        far_x = original[1] * box.ratio[1] + 2 * box.pad[0]
        assert (far_y, far_x) == pytest.approx((320, 320))


def test_the_long_side_is_exact_for_every_size():
    for side in range(1, 3000):
        assert max(resized_size((side, max(side // 3, 1)), 640)) == 640
    assert resized_size((427, 640), 320) == (214, 320)


def test_loading_shrinks_by_area_only_without_augmentation():
    image = np.random.default_rng(0).integers(0, 256, (100, 200, 3), dtype=np.uint8)
    area = cv2.resize(image, (100, 50), interpolation=cv2.INTER_AREA)
    linear = cv2.resize(image, (100, 50), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(resize_to(image, 100, False), area)
    np.testing.assert_array_equal(resize_to(image, 100, True), linear)
    np.testing.assert_array_equal(
        resize_to(image, 400, False), cv2.resize(image, (400, 200), interpolation=cv2.INTER_LINEAR)
    )
    assert resize_to(image, 200, True) is image


def test_rect_batches():
    shapes = [(480, 640), (640, 480), (500, 500), (320, 640)]
    order, sizes = rect_shapes(shapes, 2, 640, 32, 0.5)
    assert order.tolist() == [3, 0, 2, 1]
    assert sizes == [(512, 672), (672, 672)]
    order, sizes = rect_shapes(shapes, 1, 640, 32, 0.0)
    assert sizes == [(320, 640), (480, 640), (640, 640), (640, 480)]
    order, sizes = rect_shapes(np.zeros((0, 2)), 2, 640, 32, 0.5)
    assert len(order) == 0 and sizes == []

import cv2
import numpy as np
import pytest

from yolo.data.images import load_image, write_image
from yolo.data.letterbox import fit, letterbox, letterbox_into, rect_shapes, resized_size


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
    box = fit(original, size, **options)
    out = letterbox(image, box).transpose(1, 2, 0)
    assert (box.original, box.resized, box.offset, box.size) == (original, resized, offset, padded)
    assert out.shape == (*padded, 3)
    rows, columns = np.where((out == 255).all(-1))
    assert (columns.min(), rows.min()) == offset
    assert (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1) == resized
    assert set(np.unique(out)) <= {114, 255}


def test_the_odd_pixel_goes_right_and_below_and_the_pad_is_half():
    box = fit((33, 64), 64)
    assert box.pad == (0.0, 15.5) and box.offset == (0, 15)


def test_ratio_and_pad_lead_to_the_padded_image():
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


def test_a_letterbox_may_be_a_part_of_a_batch():
    image = np.random.default_rng(0).integers(0, 256, (40, 90, 3), dtype=np.uint8)
    box, batch = fit((40, 90), (64, 60)), np.full((2, 3, 70, 70), 9, np.uint8)
    letterbox_into(batch[1, :, 3:67, 5:65], image, box)
    inner = cv2.resize(image, (60, 27), interpolation=cv2.INTER_LINEAR)
    wanted = np.full((64, 60, 3), 114, np.uint8)
    wanted[18:45] = inner
    np.testing.assert_array_equal(batch[1, :, 3:67, 5:65].transpose(1, 2, 0), wanted)
    np.testing.assert_array_equal(letterbox(image, box).transpose(1, 2, 0), wanted)
    batch[1, :, 3:67, 5:65] = 9
    assert (batch == 9).all()


def test_loading_shrinks_by_area_only_without_augmentation(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (100, 200, 3), dtype=np.uint8)
    path = write_image(tmp_path / "0.png", image)
    area = cv2.resize(image, (100, 50), interpolation=cv2.INTER_AREA)
    linear = cv2.resize(image, (100, 50), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(load_image(path, (50, 100), augmented=False), area)
    np.testing.assert_array_equal(load_image(path, (50, 100), augmented=True), linear)
    enlarged = cv2.resize(image, (400, 200), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(load_image(path, (200, 400), augmented=False), enlarged)
    np.testing.assert_array_equal(load_image(path, (100, 200), augmented=True), image)


def test_rect_batches():
    shapes = [(480, 640), (640, 480), (500, 500), (320, 640)]
    order, sizes = rect_shapes(shapes, 2, 640, 32, 0.5)
    assert order.tolist() == [3, 0, 2, 1]
    assert sizes == [(512, 672), (672, 672)]
    order, sizes = rect_shapes(shapes, 1, 640, 32, 0.0)
    assert sizes == [(320, 640), (480, 640), (640, 640), (640, 480)]
    order, sizes = rect_shapes(np.zeros((0, 2)), 2, 640, 32, 0.5)
    assert len(order) == 0 and sizes == []

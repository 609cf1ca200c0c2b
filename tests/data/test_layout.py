import numpy as np
import pytest

from yolo.data.layout import Layouts


def test_plain_batches_are_an_image_a_sample():
    layout = Layouts(640, 32, 0).layout(3, 1, 5, (448, 640))
    assert (layout.count, layout.size, layout.leaders()) == (5, (448, 640), [0, 1, 2, 3, 4])
    assert all(cell.size == layout.size and cell.corner == (0, 0) for cell in layout.cells)
    labels = [np.full((k, 5), k, np.float32) for k in range(5)]
    assert all(one is two for one, two in zip(layout.join(labels), labels))


@pytest.mark.parametrize(
    ("imgsz", "stride", "least", "most"), [(640, 32, 320, 960), (64, 32, 32, 96), (416, 32, 192, 640), (32, 32, 32, 64)]
)
def test_sizes_are_drawn_on_the_grid_from_half_to_one_and_a_half(imgsz, stride, least, most):
    layouts = Layouts(imgsz, stride, 1, scales=True)
    seen = [layouts.layout(epoch, number, 1, (imgsz, imgsz)).size for epoch in range(40) for number in range(20)]
    known = layouts.sizes([(imgsz, imgsz)])
    assert set(seen) == set(known) and known[0] == (most, most) and known[-1] == (least, least)
    assert known == [(side, side) for side in range(most, least - 1, -stride)]
    counts = np.unique(seen, axis=0, return_counts=True)[1]
    assert counts.max() < 3 * 800 / len(known)


def test_a_layout_depends_on_seed_epoch_and_number_alone():
    one, two = (Layouts(640, 32, seed, quad=True, scales=True) for seed in (1, 2))
    runs = [[layouts.layout(e, n, 8, (640, 640)) for e in range(4) for n in range(4)] for layouts in (one, one, two)]
    assert runs[0] == runs[1] != runs[2]
    assert len({layout.size for layout in runs[0]}) > 3


def test_rectangles_keep_their_aspect_to_the_next_multiple():
    layouts = Layouts(640, 32, 0, scales=True)
    for number in range(30):
        height, width = layouts.layout(0, number, 2, (448, 640)).size
        assert width in range(320, 961, 32) and height % 32 == 0
        assert 0 <= height - width * 0.7 < 32


@pytest.mark.parametrize("scales", [False, True])
def test_quads_are_one_sample_enlarged_or_four(scales):
    layouts = Layouts(64, 32, 0, quad=True, scales=scales)
    kinds = []
    for number in range(40):
        layout = layouts.layout(0, number, 8, (64, 64))
        assert layout.count == 2 and layout.leaders() == [0, 4]
        assert layout.size == (128, 128) if not scales else layout.size in layouts.sizes([(64, 64)])
        covered = np.zeros((2, *layout.size), int)
        for cell in layout.cells:
            (top, left), (height, width) = cell.corner, cell.size
            covered[cell.image, top : top + height, left : left + width] += 1
        assert (covered == 1).all()
        kinds += [sum(cell.image == image for cell in layout.cells) for image in range(2)]
    assert set(kinds) == {1, 4} and 20 < kinds.count(1) < 60


def test_labels_move_with_their_quarter():
    layouts = Layouts(64, 32, 0, quad=True)
    layout = next(made for made in (layouts.layout(0, n, 4, (64, 32)) for n in range(20)) if len(made.cells) == 4)
    labels = [np.array([[k, 0.5, 0.25, 0.5, 1.0]], np.float32)[: k % 3 + 1] for k in range(4)]
    (joined,) = layout.join([*labels[:3], np.zeros((0, 5), np.float32)])
    np.testing.assert_allclose(
        joined, [[0, 0.25, 0.125, 0.25, 0.5], [1, 0.25, 0.625, 0.25, 0.5], [2, 0.75, 0.125, 0.25, 0.5]]
    )

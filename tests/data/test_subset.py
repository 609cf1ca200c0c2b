import numpy as np
import pytest

from tests.data.samples import make_index
from yolo.data.subset import take_fraction
from yolo.errors import ConfigError


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    texts = [None if k % 4 == 0 else f"0 .5 .5 .{k % 8 + 1} .5\n1 .2 .2 .6 .2 .6 .6\n" for k in range(11)]
    return make_index(tmp_path_factory.mktemp("set"), texts)


def test_all_is_all(index):
    assert take_fraction(index, 1.0) is index


@pytest.mark.parametrize(("fraction", "count"), [(0.5, 6), (0.1, 1), (0.27, 3), (0.9, 10)])
def test_images_at_even_distances_with_all_that_is_theirs(index, fraction, count):
    part = take_fraction(index, fraction)
    order = [index.paths.index(path) for path in part.paths]
    assert order == sorted(order) and len(part) == count == round(11 * fraction)
    gaps = np.diff([*order, 11])
    assert gaps.max() - gaps.min() <= 1
    for k, i in enumerate(order):
        assert part.labels[k].tolist() == index.labels[i].tolist()
        assert [some.tolist() for some in part.segments[k]] == [some.tolist() for some in index.segments[i]]
        assert part.shapes[k].tolist() == index.shapes[i].tolist()
    assert part.report.pictures == len(part) and part.report.labels == sum(map(len, part.labels))
    assert part.report.without_labels == sum(not len(rows) for rows in part.labels)
    assert index.report.pictures == 11


@pytest.mark.parametrize("fraction", [0.0, 0.04])
def test_nothing_left_is_refused(index, fraction):
    with pytest.raises(ConfigError, match=r"--fraction: is 0.* none of 11 images; give more"):
        take_fraction(index, fraction)

from pathlib import Path

import numpy as np
import pytest

from yolo.data.plan import SamplePlan
from yolo.data.renderers.base import RendererChain
from yolo.errors import DataError

PATHS = [Path(f"{k}.png") for k in range(6)]


class Divisible:
    """Supports plans by their number, and fills the image with it; notes what it is given."""

    def __init__(self, by: int) -> None:
        self.by, self.given, self.closed = by, [], False

    def __call__(self, paths, threads, cache):
        assert (paths, threads, cache) == (PATHS, 2, None)
        return self

    def supports(self, plan):
        return plan.index % self.by == 0

    def render(self, plans, out):
        self.given.append(([plan.index for plan in plans], out))
        for plan, planes in zip(plans, out):
            planes[:] = 10 * self.by + plan.index

    def close(self):
        self.closed = True


def plans(*numbers):
    return [SamplePlan(k, (4, 4), (), np.zeros((0, 5), np.float32)) for k in numbers]


def test_each_sample_is_made_by_the_first_that_supports_it():
    renderers = [Divisible(3), Divisible(2), Divisible(1)]
    batch = np.zeros((6, 3, 4, 4), np.uint8)
    RendererChain(renderers, PATHS, 2, None).render(plans(*range(6)), batch)
    assert [[numbers for numbers, _ in one.given] for one in renderers] == [[[0, 3]], [[2, 4]], [[1, 5]]]
    assert batch[:, 0, 0, 0].tolist() == [30, 11, 22, 33, 24, 15]


def test_samples_are_counted_by_who_made_them():
    class Even(Divisible):
        pass

    class Broken(Divisible):
        def render(self, plans, out):
            raise DataError("not this one")

    chain = RendererChain([Divisible(3), Broken(7), Even(2), Divisible(1)], PATHS, 2, None)
    assert chain.counts() == {}
    batch = np.zeros((3, 3, 4, 4), np.uint8)
    for _ in range(2):
        chain.render(plans(2, 3, 4), batch)
    assert chain.counts() == {"Divisible": 2, "Even": 4}
    with pytest.raises(DataError, match="not this one"):
        chain.render(plans(7), batch[:1])
    assert chain.counts() == {"Divisible": 2, "Even": 4}


def test_one_that_supports_all_is_given_the_batch_itself():
    one, other = Divisible(1), Divisible(1)
    batch = np.zeros((3, 3, 4, 4), np.uint8)
    RendererChain([one, other], PATHS, 2, None).render(plans(5, 4, 3), batch)
    ((numbers, out),) = one.given
    assert numbers == [5, 4, 3] and out is batch and not other.given


def test_a_sample_that_none_supports_is_named_before_any_is_made():
    renderers = [Divisible(2), Divisible(3)]
    with pytest.raises(DataError, match=r"5\.png: no renderer can make the sample"):
        RendererChain(renderers, PATHS, 2, None).render(plans(2, 3, 5), np.zeros((3, 3, 4, 4), np.uint8))
    assert not renderers[0].given and not renderers[1].given


def test_all_are_closed():
    renderers = [Divisible(2), Divisible(3)]
    RendererChain(renderers, PATHS, 2, None).close()
    assert all(one.closed for one in renderers)

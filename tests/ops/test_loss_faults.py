"""What the compiled loss says of settings and arrays that do not fit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.ops.loss_cases import PLAIN, make


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"anchor_t": 0.0}, "anchor_t"),
        ({"anchor_t": np.nan}, "anchor_t"),
        ({"fl_gamma": -1.0}, "fl_gamma"),
        ({"box": np.nan}, "box: expected 0 or more, got nan"),
        ({"obj": -0.5}, "obj"),
        ({"cls": np.inf}, "cls"),
        ({"cls_pw": -1.0}, "cls_pw"),
        ({"obj_pw": np.nan}, "obj_pw"),
        ({"label_smoothing": 1.5}, "label_smoothing"),
        ({"balance": (1.0,)}, "balance: expected one number a level"),
        ({"balance": (1.0, np.inf)}, "balance"),
    ],
)
def test_settings_that_mean_nothing_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        make().operator(dataclasses.replace(PLAIN, **changes))


def test_every_setting_is_given_by_its_name():
    case = make()
    loss, settings = type(case.operator(PLAIN)), dataclasses.asdict(PLAIN)
    with pytest.raises(ValueError, match="no such setting"):
        loss([], 3, **settings, gamma=1.0)
    del settings["obj_pw"]
    with pytest.raises(KeyError, match="obj_pw"):
        loss([], 3, **settings)
    with pytest.raises(TypeError):
        loss([], 3, *settings.values())


@pytest.mark.parametrize("anchor", [0.0, np.nan])
def test_anchors_without_a_size_match_nothing(anchor):
    """Those of a model file that says only how many there are, before they are fitted to the labels."""
    case, settings = make(), dataclasses.replace(PLAIN, anchor_t=1e6)
    case.anchors = np.full_like(case.anchors, anchor)
    terms, _, gradients = case.run(settings)
    assert not terms[:, 1].any()
    assert all(np.isfinite(gradient).all() and not gradient[:, :, :4].any() for gradient in gradients)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("heads", lambda heads: [], "heads: expected one a level"),
        ("heads", lambda heads: heads[:1], "heads: expected one a level"),
        ("heads", lambda heads: [heads[0], heads[1][:, :2]], "heads: expected another size"),
        ("heads", lambda heads: [head[:1] for head in heads], "heads: expected another size"),
        ("labels", lambda rows: rows[:2], "counts"),
        ("labels", lambda rows: rows[..., :4], "labels"),
        ("labels", lambda rows: rows[0], "labels"),
        ("counts", lambda counts: counts + 1, "counts"),
        ("counts", lambda counts: counts - 1, "counts"),
        ("counts", lambda counts: counts[:1], "counts"),
    ],
)
def test_arrays_that_do_not_fit_are_named(name, change, message):
    case = make()
    operator = case.operator(PLAIN)
    setattr(case, name, change(getattr(case, name)))
    with pytest.raises(ValueError, match=message):
        operator(case.heads, case.labels, case.counts)

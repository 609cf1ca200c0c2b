"""What ``detection_loss`` says of arguments that do not fit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.ops.loss_cases import CELLS, PLAIN, make
from yolo.ops import detection_loss


def test_other_types_and_strides_are_converted():
    case = make(2)
    expected = case.run(PLAIN)[1]
    case.heads = [np.float64(head)[..., ::-1].copy()[..., ::-1] for head in case.heads]
    case.counts = np.int64(case.counts)
    np.testing.assert_array_equal(case.run(PLAIN)[1], expected)


def changed(**changes):
    case = make()
    arguments = {
        "heads": case.heads,
        "labels": case.labels,
        "counts": case.counts,
        "anchors_in_cells": CELLS,
        "settings": PLAIN,
    }
    arguments.update({name: change(arguments.get(name)) for name, change in changes.items()})
    return arguments


def setting(**changes):
    return {"settings": lambda plain: dataclasses.replace(plain, **changes)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": lambda h: []}, "heads: expected one array a level, got none"),
        ({"heads": lambda h: h[:1]}, "heads: expected 2 pairs"),
        ({"heads": lambda h: [h[0], h[1][:, :2]]}, r"heads: .* got shape \[3, 2, 8, 4, 5\]"),
        ({"heads": lambda h: [head[:, :, :5] for head in h]}, "heads"),
        ({"heads": lambda h: [head[..., :0] for head in h]}, "heads"),
        ({"heads": lambda h: [head[:0] for head in h]}, "heads"),
        ({"heads": lambda h: [head[0] for head in h]}, "heads"),
        ({"heads": lambda h: [head.astype(complex) for head in h]}, "heads: .* dtype complex"),
        ({"labels": lambda rows: rows[:2], "counts": lambda c: c[:2]}, "labels: expected rows for 3 images"),
        ({"labels": lambda rows: rows[..., :4]}, "labels"),
        ({"labels": lambda rows: np.full_like(rows, 3)}, "labels: expected classes below 3"),
        ({"counts": lambda c: c + 1}, "counts: expected numbers from 0 to 12, got 13"),
        ({"counts": lambda c: c - 1}, "counts"),
        ({"anchors_in_cells": lambda a: a[:, :2]}, "anchors: expected 3 anchors"),
        ({"anchors_in_cells": lambda a: -a}, "anchors"),
        ({"gradients": lambda _: []}, "gradients: expected 2 arrays"),
        ({"gradients": lambda _: [np.zeros((3, 3, 8, 8, 10)), None]}, "gradients: .* dtype float64"),
        ({"gradients": lambda _: [np.zeros((3, 3, 8, 8, 9), "f4"), None]}, "gradients"),
        ({"gradients": lambda _: [np.zeros((3, 3, 8, 8, 20), "f4")[..., ::2], None]}, "gradients: .* got strides"),
        (setting(anchor_t=0.0), "settings.anchor_t"),
        (setting(fl_gamma=-1.0), "settings.fl_gamma"),
        (setting(box=np.nan), "settings.box"),
        (setting(label_smoothing=1.5), "settings.label_smoothing"),
        (setting(balance=(1.0,)), "settings.balance: expected 2 numbers"),
        (setting(balance=(1.0, np.inf)), "settings.balance"),
    ],
)
def test_wrong_arguments_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        detection_loss(**changed(**changes))


def test_gradients_may_share_no_memory():
    case = make()
    with pytest.raises(ValueError, match="heads: expected memory of its own"):
        case.run(PLAIN, gradients=case.heads)
    case.heads[1] = case.heads[0].copy()
    array = np.zeros_like(case.heads[0])
    with pytest.raises(ValueError, match="gradients: expected memory of its own"):
        case.run(PLAIN, gradients=[array, array])
    array.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        case.run(PLAIN, gradients=[array, np.zeros_like(array)])

"""Reading many tensors together gives what reading each gives."""

from __future__ import annotations

import numpy as np
import oneflow as flow

from yolo.distributed.tensors import arrays_of


def test_tensors_of_all_kinds() -> None:
    rng = np.random.default_rng(0)
    given = {
        "weight": rng.normal(size=(3, 4, 2)).astype(np.float32),
        "count": np.array(7, np.int64),
        "denormal": np.array([1e-42, -0.0, np.inf, np.nan], np.float32),
        "wide": rng.normal(size=(2, 0, 3)),
        "wider": rng.normal(size=5),
        "other count": np.arange(2**62, 2**62 + 3),
    }
    tensors = {name: flow.tensor(array) for name, array in given.items()}
    tensors["weight"].requires_grad = True
    found = arrays_of(tensors)
    assert list(found) == list(given)
    for name, array in given.items():
        assert (found[name].dtype, found[name].shape, found[name].tobytes()) == (
            array.dtype,
            array.shape,
            array.tobytes(),
        )


def test_they_are_copies() -> None:
    tensor = flow.ones(3)
    first = arrays_of({"a": tensor})["a"]
    first += 1
    assert tensor.numpy().tolist() == [1, 1, 1]
    tensor += 5
    assert first.tolist() == [2, 2, 2]


def test_none() -> None:
    assert arrays_of({}) == {}

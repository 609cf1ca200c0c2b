"""Two and four ranks train as one rank does on the joined batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.device import as_gpu  # noqa: F401  (a fixture)
from tests.engine import ranked_training
from tests.launched import launch
from yolo.models.layers import normalisation

SCRIPT = str(Path(ranked_training.__file__))
State = dict[str, np.ndarray]


def ranked(folder: Path, ranks: int, *kind: str) -> list[State]:
    """What every rank was left with."""
    done = launch([SCRIPT, str(folder), *kind], ranks)
    assert done.returncode == 0, done.stderr[-3000:]
    return [dict(np.load(folder / f"{rank}of{ranks}.npz")) for rank in range(ranks)]


def off(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(np.float64(a) - b) / max(np.linalg.norm(b), 1e-30))


def assert_equal(found: list[State], expected: State) -> None:
    for name, right in expected.items():
        if np.abs(right).max() == 0:
            assert np.abs(found[0][name]).max() == 0, name
            continue
        assert off(found[0][name], right) <= 1e-5, name
        for other in found[1:]:
            if name != "gradient":  # summands: the first rank has it all
                np.testing.assert_array_equal(other[name], found[0][name], err_msg=name)


KINDS = [
    (2, "program", "normalised", "AdamW", "sync"),
    (4, "program", "plain", "SGD", "own"),
    (2, "off", "short", "AdamW", "sync"),
]
ON_DEVICES = [("normalised", "SGD", "sync"), ("plain", "AdamW", "own")]


@pytest.mark.slow
@pytest.mark.parametrize("ranks, compile, kind, optimizer, sync", KINDS)
def test_ranks_equal_one_rank_on_the_joined_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranks: int, compile: str, kind: str, optimizer: str, sync: str
) -> None:
    # Statistics of one rank by the operators of several: OneFlow's kernel alone puts gradients 1.4e-5 off theirs here.
    monkeypatch.setattr(normalisation, "MOST_SUMMED", 0)
    alone = ranked_training.train(kind, optimizer, False, compile)
    assert np.isfinite(alone["losses"]).all() and (alone["norms"] > 10).any()  # gradients are clipped
    assert np.abs(alone["gradient"]).max() > 0  # something is pending at the end
    found = ranked(tmp_path, ranks, kind, optimizer, sync, compile, "cpu")
    assert_equal(found, alone)
    assert not found[1]["gradient"].any()


@pytest.mark.slow
@pytest.mark.usefixtures("as_gpu")
@pytest.mark.parametrize("kind, optimizer, sync", ON_DEVICES)
def test_ranks_with_a_gpu_each_equal_one(tmp_path: Path, kind: str, optimizer: str, sync: str) -> None:
    """The GPUs are the host's module, whose ranks add up by way of the host's memory."""
    alone = ranked_training.train(kind, optimizer, False, "program", "cuda:0")
    assert np.abs(alone["gradient"]).max() > 0
    found = ranked(tmp_path, 2, kind, optimizer, sync, "program", "cuda")
    assert_equal(found, alone)
    assert not found[1]["gradient"].any()

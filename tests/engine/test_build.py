"""What the set-up says: options that a machine bounds, a training set that does not divide."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.data.samples import hyperparameters, make_index
from yolo.config.commands import TrainConfig, ValConfig
from yolo.data.loader import train_loader
from yolo.distributed.process_group import LONE
from yolo.distributed.ranks import ALONE, Ranks
from yolo.engine.build import _says_repeated, say_workers

BY_FOUR = "once more in each epoch: 5 do not divide by four (--quad)"


@pytest.mark.parametrize("config", [TrainConfig, ValConfig])
@pytest.mark.parametrize(("asked", "said"), [(1, False), (2, False), (8, False), (64, True), (3, True)])
def test_fewer_threads_than_asked_for_are_said(
    config: type, asked: int, said: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8 is what nobody asked for."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    with caplog.at_level(logging.WARNING, "yolo"):
        say_workers(config(workers=asked), LONE)
    assert caplog.messages == ([f"--workers {asked}: using 2, one for each core"] if said else [])


@pytest.mark.parametrize(
    ("quad", "ranks", "said"),
    [
        (False, Ranks(0, 2), "1 image comes once more in each epoch: 5 do not divide among 2 ranks"),
        (False, Ranks(1, 4), "3 images come once more in each epoch: 5 do not divide among 4 ranks"),
        (True, ALONE, "3 images come once more in each epoch: 5 do not divide by four (--quad)"),
        (
            True,
            Ranks(0, 2),
            "3 images come once more in each epoch: 5 do not divide by four (--quad) and among 2 ranks",
        ),
        (False, Ranks(0, 5), None),
        (False, ALONE, None),
    ],
)
def test_images_that_come_again_are_counted(tmp_path: Path, quad: bool, ranks: Ranks, said: str | None) -> None:
    index = make_index(tmp_path, ["0 .5 .5 .5 .5\n"] * 5)
    batch_size = 4 * ranks.count
    loader = train_loader(
        index, hyperparameters(), imgsz=32, batch_size=batch_size, workers=0, seed=0, quad=quad, ranks=ranks
    )
    assert loader.repeated == (int(said[0]) if said else 0)
    assert sum(map(len, loader.batches(0))) * ranks.count * (4 if quad else 1) == 5 + loader.repeated
    if said:
        assert _says_repeated(loader, quad, ranks) == said

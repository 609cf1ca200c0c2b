"""Options that do not fit the number of processes are refused, with what to give instead."""

from __future__ import annotations

import pytest

from yolo.config.commands import TrainConfig
from yolo.distributed.ranks import Ranks
from yolo.engine.ranks import refuse_ranks
from yolo.errors import ConfigError


@pytest.mark.parametrize(
    "options, ranks",
    [
        ({}, 1),
        ({"batch_size": 12}, 3),
        ({"batch_size": 24, "quad": True}, 3),
        ({"sync_bn": True}, 2),
        ({"compile": "off"}, 2),
    ],
)
def test_what_fits(options: dict, ranks: int) -> None:
    refuse_ranks(TrainConfig(**options), Ranks(0, ranks))


@pytest.mark.parametrize(
    "options, ranks, said",
    [
        (
            {"batch_size": 13},
            3,
            "13 images do not divide among 3 ranks; give a multiple of 3, such as 12",
        ),
        ({"batch_size": 2}, 3, "a multiple of 3, such as 3"),
        ({"batch_size": 12, "quad": True}, 2, "12 images, four of which make one, .* a multiple of 8, such as 8"),
        ({"evolve": 3}, 2, "--evolve: .* start it without the launcher"),
        ({"sync_bn": True}, 1, "--sync-bn: .* a single one"),
        ({"local_rank": 1}, 1, "--local_rank 1: this run is a single process"),
    ],
)
def test_what_does_not(options: dict, ranks: int, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        refuse_ranks(TrainConfig(**options), Ranks(0, ranks))

"""Which rank a process is, and what of the work is its."""

from __future__ import annotations

import pytest

from yolo.distributed.ranks import Ranks
from yolo.errors import ConfigError


def test_without_a_launcher_a_process_is_alone() -> None:
    ranks = Ranks.of({})
    assert ranks == Ranks(0, 1) and ranks.alone and ranks.first


def test_what_oneflow_writes_for_a_process_that_is_alone() -> None:
    assert Ranks.of({"RANK": "-1", "WORLD_SIZE": "1"}) == Ranks(0, 1)


def test_the_launcher_says_which_it_is() -> None:
    ranks = Ranks.of({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"})
    assert ranks == Ranks(3, 4, 1) and not ranks.alone and not ranks.first


def test_by_hand_all_ranks_may_be_of_one_machine() -> None:
    assert Ranks.of({"RANK": "3", "WORLD_SIZE": "4"}) == Ranks(3, 4, 3)


@pytest.mark.parametrize("local", ["2", "-1", "", "x"])
def test_a_place_on_the_machine_that_cannot_be_is_refused(local: str) -> None:
    with pytest.raises(ConfigError, match=f"LOCAL_RANK={local} name no rank"):
        Ranks.of({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": local})


@pytest.mark.parametrize("rank, count", [("4", "4"), ("-1", "4"), ("a", "2"), ("0", "0"), ("0", ""), ("", "2")])
def test_numbers_that_name_no_rank_are_refused(rank: str, count: str) -> None:
    with pytest.raises(ConfigError, match="name no rank"):
        Ranks.of({"RANK": rank, "WORLD_SIZE": count})


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_parts_cover_everything_once_in_order(count: int) -> None:
    things = list(range(12))
    assert [x for rank in range(count) for x in things[Ranks(rank, count).part(12)]] == things


def test_unequal_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="7 things do not divide among 2 ranks"):
        Ranks(0, 2).part(7)

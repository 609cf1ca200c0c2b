"""Where ranks run: cores are shared by what the kernel says, and no process of another machine is ended."""

from __future__ import annotations

import dataclasses
import os
import socket

import pytest

from yolo.place import Place

PLACE = Place(host="box", process=7, kernel="a", numbering="pid:[1]", cores=(0, 1))


def other(**instead: object) -> Place:
    return dataclasses.replace(PLACE, **{"process": 8, **instead})


def test_ones_own() -> None:
    own = Place.own()
    assert (own.host, own.process, own.cores) == (socket.gethostname(), os.getpid(), tuple(os.sched_getaffinity(0)))
    assert Place.from_json(own.to_json()) == own == Place.own() and str(own) == f"{own.host} {own.process}"
    assert own.shares_cores_with(own) and own.process_of(own) == 0


@pytest.mark.parametrize(
    "instead, shared, process",
    [
        ({}, True, 8),
        ({"cores": (1,)}, False, 8),
        ({"numbering": "pid:[2]"}, True, 0),  # a container beside it, of the same name
        ({"numbering": "pid:[2]", "host": "else"}, True, 0),
        ({"kernel": "b"}, False, 0),  # another machine of the same name
        ({"kernel": "b", "process": 7}, False, 0),
        ({"host": "copy"}, True, 0),  # a copied machine may say that it has the same kernel
    ],
)
def test_neighbours(instead: dict, shared: bool, process: int) -> None:
    assert PLACE.shares_cores_with(other(**instead)) is shared
    assert PLACE.process_of(other(**instead)) == process

"""Where ranks run: cores are shared by what the kernel says."""

from __future__ import annotations

import dataclasses
import os
import socket

import pytest

from yolo.distributed.host import HostInfo

HOST = HostInfo(host="box", process=7, kernel="a", cores=(0, 1))


def other(**instead: object) -> HostInfo:
    return dataclasses.replace(HOST, **{"process": 8, **instead})


def test_ones_own() -> None:
    own = HostInfo.own()
    assert (own.host, own.process, own.cores) == (socket.gethostname(), os.getpid(), tuple(os.sched_getaffinity(0)))
    assert HostInfo.from_json(own.to_json()) == own == HostInfo.own() and str(own) == f"{own.host} {own.process}"
    assert own.shares_cores_with(own)


@pytest.mark.parametrize(
    "instead, shared",
    [
        ({}, True),
        ({"cores": (1,)}, False),
        ({"host": "else"}, True),  # a container beside it
        ({"kernel": "b"}, False),  # another machine of the same name
        ({"kernel": "b", "process": 7}, False),
    ],
)
def test_neighbours(instead: dict, shared: bool) -> None:
    assert HOST.shares_cores_with(other(**instead)) is shared


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        b"\xff",
        other(host="a\x1b[2J").to_json(),
        other(process="7").to_json(),
        other(cores=("x",)).to_json(),
        other(kernel=None).to_json(),
        HOST.to_json()[:-1] + b', "more": 1}',
        HOST.to_json().replace(b'"cores": [0, 1]', b'"cores": 1'),
    ],
)
def test_what_is_no_place_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        HostInfo.from_json(text)

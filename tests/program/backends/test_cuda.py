"""What several ranks with a GPU each add up by, and how batches come to a GPU."""

from __future__ import annotations

import itertools
import logging
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from yolo import cuda
from yolo.program.backends.cuda import CudaBackend, Uploads


def group_with(nccl: str | RuntimeError, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str | None]:
    """The exchange and the folder of NCCL that the group is made of; ``nccl``: the folder, or why it does not work."""

    def make(exchange: str, nccl: str | None = None, *, found: str | RuntimeError = nccl) -> tuple[str, str | None]:
        if nccl is not None and isinstance(found, RuntimeError):
            raise found
        return exchange, nccl

    monkeypatch.setattr(cuda, "library_folder", lambda package, library: "" if isinstance(nccl, RuntimeError) else nccl)
    return CudaBackend(SimpleNamespace(Group=make)).group("exchange")


def test_nccl_is_taken_where_all_have_it(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    assert group_with("/nvidia/nccl/lib", monkeypatch) == ("exchange", "/nvidia/nccl/lib")
    assert not caplog.records


def test_else_the_hosts_memory_with_a_line_that_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="yolo"):
        assert group_with(RuntimeError("rank 1: NCCL is not there"), monkeypatch) == ("exchange", None)
    assert caplog.messages == [
        "the ranks' GPUs add up through the hosts' memory, which is slow: rank 1: NCCL is not there "
        "(pip install nvidia-nccl-cu13 brings NCCL)"
    ]


class Staged:
    """A buffer that is counted."""

    made: ClassVar[list[int]] = []

    def __init__(self, room: int) -> None:
        self.room, self.taken = room, 0
        self.made.append(room)

    def fill(self, images: np.ndarray) -> None:
        assert images.nbytes <= self.room
        self.taken = images.nbytes


def test_batches_of_all_shapes_share_a_few_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """By their sizes they were 13 times as many with --multi-scale."""
    monkeypatch.setattr(Staged, "made", [])
    uploads = Uploads(SimpleNamespace(StagedImages=Staged))
    sides = [64, 32, 48, 96, 40, 96, 80, 56]
    for side, later in itertools.pairwise(sides):
        two = [uploads(np.zeros((2, 3, size, size), np.uint8)) for size in (side, later)]
        assert two[0] is not two[1] and [one.taken for one in two] == [6 * side**2, 6 * later**2]
        for staged in two:
            uploads.give_back(staged)
    assert len(Staged.made) <= 4 and max(Staged.made) == 6 * 96**2, Staged.made  # two, and two that grew

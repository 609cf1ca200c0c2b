"""What several ranks with a GPU each add up by."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from yolo import cuda
from yolo.program.backends.cuda import CudaBackend


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

"""What csrc/cuda/gpu/nccl.cpp does with NCCL, which a library of this project's stands in for: ranks are threads."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.cuda import programs

NET = programs.ROOT / "csrc" / "net"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The program, with the library beside it."""
    folder = tmp_path_factory.mktemp("nccl")
    flags = ["-std=c++17", "-O0", "-Wall", "-Wextra", "-Werror", f"-I{programs.ROOT / 'csrc'}", "-pthread"]
    library = [*flags, "-shared", "-fPIC", programs.HERE / "stand_in_nccl.cpp", "-o", folder / "libnccl.so.2"]
    sources = [programs.HERE / "nccl_ranks.cpp", programs.GPU / "nccl.cpp", NET / "exchange.cpp", NET / "socket.cpp"]
    for arguments in (library, [*flags, *sources, "-o", folder / "nccl_ranks", "-ldl"]):
        subprocess.run([programs.compiler(cuda=False), *arguments], check=True)
    return folder / "nccl_ranks"


def run(built: Path, *folders: Path, **said: str) -> tuple[list[str], list[str]]:
    """A line a rank, and how its connection ended."""
    done = subprocess.run(
        [built, *folders], env={**os.environ, **said}, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.splitlines(), done.stderr.splitlines()


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_all_ranks_get_the_sums(built, ranks):
    line = f"{ranks}: {ranks / 2:g} {sum(range(ranks))}, {ranks}e-12 {ranks} {10 * sum(range(ranks))}"
    assert run(built, *[built.parent] * ranks) == ([line] * ranks, ["destroyed"] * ranks)


def test_all_ranks_hear_of_one_without_a_library(built, tmp_path):
    lines, ended = run(built, built.parent, tmp_path, built.parent)
    assert lines[0].startswith(f"rank 1: NCCL is not there: {tmp_path}/libnccl.so.2: cannot open shared object file")
    assert lines == [lines[0]] * 3 and not ended


def test_an_old_library_is_refused(built):
    lines, _ = run(built, built.parent, built.parent, STAND_IN_VERSION="21210")
    assert lines == ["rank 0: NCCL is too old: 21210, and 21304 is needed"] * 2


def test_why_it_does_not_begin_is_told_to_all(built):
    lines, _ = run(built, built.parent, built.parent, STAND_IN_BEGINS="2")
    assert lines == ["rank 0: NCCL: beginning: another error: all that is known of it"] * 2


def test_all_ranks_hear_of_one_that_is_not_reached(built):
    lines, ended = run(built, *[built.parent] * 3, STAND_IN_LONER="2")
    assert lines == ["rank 2: NCCL: connecting the ranks' GPUs: another error: all that is known of it"] * 3
    assert ended == ["aborted"] * 2


def test_an_error_of_before_is_raised_and_nobody_is_waited_for(built):
    lines, ended = run(built, built.parent, built.parent, STAND_IN_ERROR="6")
    assert lines == ["NCCL: adding up over ranks: remote process exited: all that is known of it"] * 2
    assert ended == ["aborted"] * 2

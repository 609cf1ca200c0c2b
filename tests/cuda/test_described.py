"""cuDNN's answers for convolutions of a GPU that is only described: which engine, fused or not, on strided maps.

Graphs, heuristics, compiled kernels and plans on disk are cuDNN's own here; nothing runs. Needs cuDNN's wheels:
``pip install nvidia-cudnn-cu13``, in this environment or in the folder that ``YOLO_CUDNN`` names.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.cuda import programs

PARTS = ("algorithms", "candidate_times", "conv_graph", "cudnn", "current", "device", "plan_store", "probe")
HOPPER = {
    **{"deviceName": "a card with the numbers of an H200", "deviceVer": 900, "driverVer": 13000, "cudaDeviceId": 0},
    **{"multiProcessorCount": 132, "smClockRateKHz": 1980000, "memClockRateKHz": 3201000, "memoryBusWidth": 6144},
    **{"l2CacheSize": 62914560, "totalGlobalMem": 150000000000, "warpSize": 32, "pciDeviceId": 0, "isTccDriver": 0},
    **{"maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64], "regsPerBlock": 65536},
    **{"maxSharedMemoryPerBlock": 49152, "maxSharedMemoryPerBlockOptin": 232448, "supportCoopLaunch": 1},
    **{"oversizedSharedMemoryPerBlock": 0, "reservedSharedMemoryPerBlock": 1024, "maxRegistersPerSM": 65536},
    **{"maxCtasPerSM": 32, "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048},
}
TRIED = re.compile(r"(\|error: cuDNN: taking a stream: ).*")
"""What each ends with, since nothing runs: cuDNN's words for that are of no interest."""
FORWARD, SOURCE, WEIGHTS = range(3)
FLOAT32, BFLOAT16, FLOAT16 = range(3)


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """A function that asks for algorithms and returns a line for each convolution."""
    folder, installed = tmp_path_factory.mktemp("built"), programs.cudnn()
    built, environment = programs.program("described", PARTS, folder), programs.driver(folder / "driver")

    def asked(
        *convolutions: tuple[int, int, int, str],
        plans: Path | str = "",
        strict: bool = False,
        cudnn: Path = installed,
        device: dict = HOPPER,
    ) -> list[str]:
        values = [str(value) for convolution in convolutions for value in convolution]
        command = [built, cudnn, plans, json.dumps(device), "exact" if strict else "tf32", *values]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
        return [TRIED.sub(r"\1", line) for line in done.stdout.splitlines()]

    return asked


def test_epilogues_are_fused(ask):
    plain, biased, all_of_it = ask(*((FORWARD, FLOAT16, 1, letters) for letters in ("none", "bs", "bsr")))
    assert "fused 0|packed 0|wide 0|operands 1 2 3|" in plain
    assert "fused 1|packed 0|wide 0|operands 1 2 3 4|" in biased
    assert "fused 1|packed 0|wide 0|operands 1 2 3 4 5|" in all_of_it
    assert all("tensor cores" in line for line in (plain, biased, all_of_it))
    # Operands are taken; what fails is to run them.
    assert all("|error: cuDNN: taking a stream: " in line for line in (plain, biased, all_of_it))


def test_what_cudnn_has_no_formula_for_is_left_to_a_kernel(ask):
    (line,) = ask((FORWARD, FLOAT16, 1, "bh"))
    assert "fused 0|packed 0|wide 0|operands 1 2 3|" in line


def test_gradients_on_strided_maps(ask):
    lines = ask(*((at, number, 1, "none") for at in (SOURCE, WEIGHTS) for number in (FLOAT32, BFLOAT16, FLOAT16)))
    assert all("fused 0|packed 0|wide 0|" in line for line in lines[:3])
    assert all("fused 0|packed 0|wide 1|" in line for line in lines[3:])


def test_without_cublas_it_is_an_error_and_not_the_end_of_the_process(ask, tmp_path):
    alone = tmp_path / "nvidia" / "cudnn" / "lib"
    alone.mkdir(parents=True)
    for library in programs.cudnn().iterdir():
        (alone / library.name).symlink_to(library)
    (line,) = ask((FORWARD, FLOAT16, 1, "none"), cudnn=alone)
    assert line == "error: cuBLAS is not there, which cuDNN needs: libcublasLt.so.13"


def test_bfloat16_on_a_card_that_has_none(ask):
    for pass_ in (FORWARD, SOURCE, WEIGHTS):
        (line,) = ask((pass_, BFLOAT16, 1, "none"), device={**HOPPER, "deviceVer": 750})
        assert line.startswith("error: cuDNN has no algorithm for a convolution of bfloat16, 64 to 64 channels: ")


def test_a_description_that_is_none(ask):
    (line,) = ask((FORWARD, FLOAT16, 1, "none"), device={"deviceVer": 900})
    assert line.startswith("error: cuDNN: ")


def test_weight_gradients_on_cards_that_cannot_leave_them_as_float32(ask):
    (line,) = ask((WEIGHTS, FLOAT16, 1, "none"), device={**HOPPER, "deviceVer": 800})
    assert "fused 0|packed 0|wide 0|" in line


def test_groups(ask):
    lines = ask(*((at, FLOAT16, groups, "none") for at in (FORWARD, SOURCE, WEIGHTS) for groups in (4, 64)))
    assert all(line.startswith("cuDNN engine") for line in lines)


def test_float32_is_not_rounded_unless_it_may_be(ask):
    convolutions = [(at, FLOAT32, 1, "b") for at in (FORWARD, SOURCE, WEIGHTS)]
    exact, rounded = ask(*convolutions, strict=True), ask(*convolutions)
    assert all(line.startswith("cuDNN engine") and "tensor cores" not in line for line in exact)
    assert all("tensor cores" in line for line in rounded)


def test_plans_are_kept_and_used_again(ask, tmp_path):
    convolutions = [(FORWARD, FLOAT16, 1, "bs"), (FORWARD, FLOAT16, 1, "none"), (WEIGHTS, FLOAT16, 1, "none")]
    first = ask(*convolutions, plans=tmp_path)
    files = {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in tmp_path.iterdir()}
    assert len(files) == 3
    assert ask(*convolutions, plans=tmp_path) == first
    assert files == {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in tmp_path.iterdir()}
    ask(convolutions[1], plans=tmp_path, strict=True)  # another setting, another plan
    assert len(list(tmp_path.iterdir())) == 4
    for file in files:
        file.write_bytes(file.read_bytes()[:-9])
    assert ask(*convolutions, plans=tmp_path) == first
    assert all(len(file.read_bytes()) > len(content) - 9 for file, (_, content) in files.items())

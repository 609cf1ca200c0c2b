"""What csrc/cuda/gpu/nccl.h says of NCCL's interface is what NCCL's own header says."""

from __future__ import annotations

import re

import pytest

from tests.cuda import programs

NUMBER = re.compile(r"\b(nccl\w+|NCCL_UNIQUE_ID_BYTES)(?: *= *| +)(\d+)\b")
CALL = re.compile(r"^\s*(?:ncclResult_t|const char\*) +(nccl\w+)\(([^)]*)\)", re.MULTILINE)
SIGNATURES = {
    "ncclGetVersion": "int *version",
    "ncclGetErrorString": "ncclResult_t result",
    "ncclGetLastError": "ncclComm_t comm",
    "ncclGetUniqueId": "ncclUniqueId* uniqueId",
    "ncclCommInitRank": "ncclComm_t* comm, int nranks, ncclUniqueId commId, int rank",
    "ncclAllReduce": "const void* sendbuff, void* recvbuff, size_t count, ncclDataType_t datatype, ncclRedOp_t op, "
    "ncclComm_t comm, cudaStream_t stream",
    "ncclCommGetAsyncError": "ncclComm_t comm, ncclResult_t *asyncError",
    "ncclCommDestroy": "ncclComm_t comm",
    "ncclCommAbort": "ncclComm_t comm",
}
"""As the pointers of nccl::Library take them, by the names under which it looks for them."""


@pytest.fixture(scope="module")
def header() -> str:
    return (programs.nccl().parent / "include" / "nccl.h").read_text()


def numbers(text: str) -> dict[str, int]:
    return {name: int(value) for name, value in NUMBER.findall(text)}


def test_numbers_are_nccl_s_own(header: str):
    ours, theirs = numbers((programs.GPU / "nccl.h").read_text()), numbers(header)
    assert len(ours) == 5
    assert ours == {name: theirs.get(name) for name in ours}


def test_functions_are_nccl_s_own(header: str):
    theirs = {name: " ".join(arguments.split()) for name, arguments in CALL.findall(header)}
    asked = re.findall(r'"(nccl\w+)"', (programs.GPU / "nccl.cpp").read_text())
    assert sorted(asked) == sorted(SIGNATURES)
    assert {name: theirs.get(name) for name in SIGNATURES} == SIGNATURES

"""What ptxas said, as a table, and what exceeds the bounds. The notes are those of nvcc 13.5."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts import cuda_report

KEEP = Path(cuda_report.__file__).with_name("keep_resources.sh")
COPY = (
    "_ZN4yolo4cuda8run_eachINS_3ops4cuda36_GLOBAL__N__53f02f72_4_r_cu_82753f994CopyINS0_4HalfELi4ELNS4_4KindE1EEEEEvT_l"
)
PLAIN, CALLED = "_ZN4yolo3ops4cuda5plainEPi", "_ZN4yolo3ops4cuda3barEiPi"


def compiled(name: str, arch: str, resources: str, stack: str = "0", stores: str = "0", loads: str = "0") -> str:
    return f"""ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '{name}' for '{arch}'
ptxas info    : Function properties for {name}
    {stack} bytes stack frame, {stores} bytes spill stores, {loads} bytes spill loads
ptxas info    : Used {resources}
ptxas info    : Compile time = 4.930 ms
"""


SMALL = compiled(COPY, "sm_75", "16 registers, used 1 barriers, 1024 bytes smem, 368 bytes cmem[0]")
SAME = compiled(COPY, "sm_80", "16 registers, used 1 barriers, 1024 bytes smem")
WIDER = compiled(COPY, "sm_90", "18 registers, used 1 barriers, 2048 bytes smem")
# A function that is not inlined comes after its kernel.
CALLS = compiled(PLAIN, "sm_90", "88 registers, used 0 barriers, 360 bytes cmem[0]") + (
    f"ptxas info    : Function properties for {CALLED}\n"
    "    312 bytes stack frame, 132 bytes spill stores, 136 bytes spill loads\n"
)


@pytest.fixture
def objects(tmp_path: Path):
    """Lists objects of these names, each with its notes."""

    def write(**notes: str) -> Path:
        for name, text in notes.items():
            (tmp_path / f"{name}.cu.o.resources").write_text(text)
        (tmp_path / "objects.txt").write_text("".join(f"{tmp_path}/{name}.cu.o\n" for name in notes))
        return tmp_path / "objects.txt"

    return write


def test_every_number_is_read() -> None:
    first, second = cuda_report.parse(CALLS, "nms")
    assert first == cuda_report.Usage("nms", PLAIN, "sm_90", registers=88)
    assert second == cuda_report.Usage("nms", CALLED, "sm_90", stack=312, spill_stores=132, spill_loads=136)
    (only,) = cuda_report.parse(SMALL, "letterbox")
    assert only == cuda_report.Usage("letterbox", COPY, "sm_75", registers=16, shared=1024)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("void yolo::ops::cuda::scale<__half, 3, (yolo::ops::cuda::Kind)1>(__half*, int)", "scale<half, 3, 1>"),
        ("void a::run_each<a::(anonymous namespace)::Copy<a::Half, 4> >(a::Copy<a::Half, 4>, long)", "Copy<Half, 4>"),
        ("void a::run_blocks<a::(anonymous namespace)::Sort>(a::(anonymous namespace)::Sort)", "Sort"),
        ("yolo::ops::cuda::plain(void (*)(int), unsigned char const*)", "plain"),
        ("void a::cast<unsigned char, __nv_bfloat16>(unsigned char*)", "cast<uint8, bf16>"),
        ("_Z5plainPi", "_Z5plainPi"),
    ],
)
def test_names_are_short(name: str, expected: str) -> None:
    assert cuda_report.short(name) == expected


@pytest.mark.skipif(shutil.which("c++filt") is None, reason="symbols stay as they are without c++filt")
def test_a_kernel_is_a_line_with_the_most_that_it_takes(objects, capsys: pytest.CaptureFixture[str]) -> None:
    assert cuda_report.main(objects(nms=CALLS, letterbox=SMALL + SAME + WIDER)) == 1
    assert [re.split("  +", line) for line in capsys.readouterr().out.splitlines()] == [
        ["file", "kernel", "sm_75", "sm_80", "sm_90", "spilled st/ld", "shared", "stack"],
        ["letterbox", "Copy<Half, 4, 1>", "16", "16", "18", "0/0", "2048", "0"],
        ["nms", "bar", "-", "-", "called", "132/136", "0", "312"],
        ["nms", "plain", "-", "-", "88", "0/0", "0", "0"],
    ]


def test_what_is_within_the_bounds_is_no_error(objects, capsys: pytest.CaptureFixture[str]) -> None:
    assert cuda_report.main(objects(letterbox=SMALL + SAME + WIDER)) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("resources", "stack", "stores", "loads", "why"),
    [
        ("129 registers", "0", "0", "0", "registers 129 > 128"),
        ("32 registers, used 1 barriers, 49153 bytes smem", "0", "0", "0", "shared 49153 > 49152"),
        ("32 registers", "8", "0", "0", "stack 8 > 0"),
        ("32 registers", "0", "4", "0", "spill_stores 4 > 0"),
        ("32 registers", "0", "0", "4", "spill_loads 4 > 0"),
    ],
)
def test_each_bound_is_kept(
    objects, resources: str, stack: str, stores: str, loads: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = compiled(PLAIN, "sm_86", resources, stack, stores, loads)
    assert cuda_report.main(objects(other=SMALL, nms=notes)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"on sm_86: {why}") and " nms: " in line and "plain" in line


def test_what_kernels_reach_exactly_is_allowed(objects) -> None:
    assert (
        cuda_report.main(objects(nms=compiled(PLAIN, "sm_86", "128 registers, used 1 barriers, 49152 bytes smem"))) == 0
    )


def test_nothing_compiled_is_no_success(objects, tmp_path: Path) -> None:
    assert cuda_report.main(objects(nms="ptxas info    : 0 bytes gmem\n")) == 2
    listed = objects(nms=SMALL)
    (tmp_path / "nms.cu.o.resources").unlink()
    assert cuda_report.main(listed) == 2


@pytest.mark.parametrize("code", [0, 3])
def test_the_compiler_s_notes_are_kept_and_its_warnings_shown(code: int, tmp_path: Path) -> None:
    compiler = tmp_path / "nvcc"
    compiler.write_text(f"#!/bin/sh\ncat >&2 <<'end'\n{SMALL}a.cu(3): warning: odd\nend\nexit {code}\n")
    compiler.chmod(0o755)
    command = [str(KEEP), str(compiler), "-c", "a.cu", "-o", str(tmp_path / "a.cu.o"), "-O3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "a.cu(3): warning: odd\n")
    assert cuda_report.parse((tmp_path / "a.cu.o.resources").read_text(), "a")[0].registers == 16

"""Kernels with one line changed are caught: what is believed to see faults in them does.

A barrier that is missing is a race, which ThreadSanitizer reports; an access outside of an array is AddressSanitizer's;
a wrong mask, lane or index gives other results, or threads that wait for one another for ever.
"""

from __future__ import annotations

import pytest

from tests.cuda import kernels
from tests.cuda.kernels import Change

SYNC = "block.sync();"
OPS, PROGRAM = "ops/cuda", "program/cuda"


def change(file: str, old: str, new: str, *compiled: str) -> Change:
    """A change of a kernel's file, or of a header for those that include it."""
    return Change(file, old, new, compiled or (file,))


def without_sync(file: str, before: str, after: str, *compiled: str) -> Change:
    """A barrier left away between two pieces of text."""
    return change(file, before + SYNC + after, before + after, *compiled)


RACES = {
    "sort": ("sort", "sort", without_sync(f"{OPS}/sort.cu", "length);\n                ", "\n")),
    "a warp's exchange is no barrier": (
        *("sort", "sort"),
        change(
            f"{OPS}/sort.cu",
            "exchange(shared, i, step, length);\n                block.sync();",
            "exchange(shared, i, step, length);\n                "
            "if (step > kWarp || step == 1) block.sync(); else block.ballot(true);",
        ),
    ),
    "load_images": (
        *("maps", "load_images"),
        change(
            f"{PROGRAM}/images.cu",
            "store(target.at(pixel, channel), pack)",
            "store(target.at(pixel / 2, channel), pack)",
        ),
    ),
    "places": ("detection", "nms", without_sync(f"{OPS}/nms.cu", "sums[block.thread()] = sum;\n        ", "\n")),
    "walk": ("detection", "suppress", without_sync(f"{OPS}/suppress.cu", "later[thread] = own;\n            ", "\n")),
    "assign": ("loss", "assign", without_sync(f"{OPS}/assign.cu", "bit_count(matching);\n                ", "\n")),
    "one place for two turns": (
        *("loss", "assign"),
        change(f"{OPS}/assign.cu", "begin += kThreads, turn ^= kWarps", "begin += kThreads"),
    ),
    "loss": ("loss", "detection_loss", without_sync(f"{OPS}/loss.cu", "sums[k] = sum;\n        }\n        ", "\n")),
    "block_sum": (
        *("update", "update_parameters SGD"),
        without_sync("cuda/kernel.h", "= value;\n    ", "\n", f"{OPS}/update.cu"),
    ),
    "merge_rows": (
        *("norm", "measure"),
        without_sync(f"{PROGRAM}/tiles.h", "}\n        ", "\n        if (row < half", f"{PROGRAM}/norm.cu"),
    ),
    "blocks that write one place": (
        *("norm", "measure"),
        change(
            *(f"{PROGRAM}/tiles.h", "place.strip = block.index() / groups", "place.strip = block.index() / groups / 2"),
            f"{PROGRAM}/norm.cu",
        ),
    ),
    "attention": (
        *("attention", "attend"),
        without_sync(f"{PROGRAM}/attention_tiles.h", "", "  // all have read", f"{PROGRAM}/attention.cu"),
    ),
    "store_head": (
        *("maps", "store_head"),
        without_sync(f"{PROGRAM}/images.cu", "", "\n        if (part.pixel + part.row_pixel"),
    ),
}
ADDRESSES = {
    "store_head": (
        *("maps", "store_head"),
        change(f"{PROGRAM}/images.cu", "        if (part.pixel + part.row_pixel >= tiles.plane) return;\n", ""),
    ),
    "gather": ("maps", "gather", change(f"{PROGRAM}/moves.cu", "y >= 0 && y < fine.height", "y >= 0")),
    "update": (
        *("update", "update_parameters SGD"),
        change(f"{OPS}/update.cu", "if (i + kFour <= count)", "if (i < count)"),
    ),
    "pool": (
        *("resample", "max_pool"),
        change(
            *(f"{PROGRAM}/windows.h", "last < windows ? last + 1 : windows", "last + 1"),
            f"{PROGRAM}/resample_backward.cu",
        ),
    ),
}
VALUES = {
    "mask of the best class": (
        *("detection", "detect"),
        change(f"{OPS}/candidates.h", "mask = lanes / 2;", "mask = lanes / 4;", f"{OPS}/decode.cu"),
    ),
    "lane of a row": (
        *("detection", "nms"),
        change(f"{OPS}/candidates.h", "shuffle(objectness, lane)", "shuffle(objectness, lane ^ 1)", f"{OPS}/nms.cu"),
    ),
    "mask of a row": (
        *("attention", "attend"),
        change(
            *(
                f"{PROGRAM}/attention_tiles.h",
                "kSide / 2; mask > 0; mask /= 2) value +=",
                "1; mask > 0; mask /= 2) value +=",
            ),
            f"{PROGRAM}/attention.cu",
        ),
    ),
    "lanes before one": (
        *("loss", "assign"),
        change(f"{OPS}/assign.cu", "matching & lowest_bits(block.lane())", "matching & lowest_bits(block.lane() ^ 1)"),
    ),
    "an image's plane": (
        *("maps", "load_images"),
        change(f"{PROGRAM}/images.cu", "from[k * plane_size]", "from[k * (plane_size - 1)]"),
    ),
}


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    return kernels.Builder(tmp_path_factory.mktemp("kernels"))


def assert_clean(builder: kernels.Builder, group: str, runner: str, case: str) -> list[str]:
    """The unchanged kernels are, and this is the number for their results."""
    done = kernels.run(builder.program(group, runner), case)
    assert done.returncode == 0, done.stderr
    return kernels.results(done)


def assert_race(builder: kernels.Builder, group: str, case: str, made: Change) -> None:
    assert_clean(builder, group, "races", case)
    done = kernels.run(builder.program(group, "races", made), case)
    assert done.returncode != 0 and "ThreadSanitizer: data race" in done.stderr, done.stdout


def test_every_kernel_has_cases():
    found = {str(path.relative_to(kernels.CSRC)) for path in kernels.CSRC.glob("*/cuda/*.cu")}
    assert found == set().union(*kernels.KERNELS.values())


@pytest.mark.slow
def test_a_missing_barrier_is_a_race(builder):
    assert_race(builder, *RACES["sort"])


@pytest.mark.stress
@pytest.mark.parametrize("name", [name for name in RACES if name != "sort"])
def test_races(builder, name):
    assert_race(builder, *RACES[name])


@pytest.mark.stress
@pytest.mark.parametrize("name", ADDRESSES)
def test_missing_bounds(builder, name):
    group, case, made = ADDRESSES[name]
    assert_clean(builder, group, "addresses", case)
    done = kernels.run(builder.program(group, "addresses", made), case)
    assert done.returncode != 0 and "AddressSanitizer: heap-buffer-overflow" in done.stderr, done.stdout


@pytest.mark.stress
@pytest.mark.parametrize("name", VALUES)
def test_wrong_masks_and_indices(builder, name):
    group, case, made = VALUES[name]
    expected = assert_clean(builder, group, "values", case)
    done = kernels.run(builder.program(group, "values", made), case)
    assert done.returncode == 0 and kernels.results(done) != expected


@pytest.mark.stress
def test_an_exchange_that_some_lanes_leave_out(builder):
    assert_clean(builder, "loss", "values", "assign")
    some = "row < rows ? block.ballot(cell >= 0) : 0"
    made = change(f"{OPS}/assign.cu", "matching = block.ballot(cell >= 0)", f"matching = {some}")
    done = kernels.run(builder.program("loss", "values", made), "assign")
    assert done.returncode != 0 and "waits at a barrier that another one of its block never reaches" in done.stderr

"""Training programs on processors with less, for which oneDNN is told to use less of this one; and all models."""

from __future__ import annotations

import numpy as np
import pytest

from tests.older_processors import held_to, older
from tests.program.networks import narrow_zoo_network, network_of, random_images, two_levels
from tests.program.training_reference import Step, Subject, assert_equal, head_slopes
from yolo.models.config import PRESETS

SIZES = {f"yolov5{size}{levels}" for size in "smlx" for levels in ("", "6")}
PRESET_NAMES = sorted({path.stem for path in PRESETS.glob("*.yaml") if "transformer" not in path.stem} - SIZES)
"""With one depth and width the sizes n to x are one network."""


def check(network, shape: tuple[int, ...], *, threads: int = 2) -> list[str]:
    """The implementations of its steps, which give what the plain network gives."""
    subject = Subject(network)
    passes = subject.passes(shape, threads=threads)
    slopes = head_slopes(passes)
    images = random_images(shape)
    assert_equal(subject.compiled(passes, images, slopes), subject.plain(images, slopes))
    return [step.implementation for step in passes.executor.steps]


def in_this_process() -> None:
    """What the subprocesses run."""
    found = check(two_levels(), (2, 3, 64, 96))
    for name in ("pools", "upsample", "groups", "transposed", "activations"):
        found += check(network_of(name), (2, 3, 32, 64))
    print("\n".join(found))


WIDEST = {
    "AVX512_CORE_VNNI": ("avx512", "avx512"),
    "AVX512_CORE": ("avx512", "avx512"),
    "AVX2": ("avx2", "avx2"),
    "SSE41": ("generic", "gemm"),
}
"""The own loops and oneDNN's kernels that are taken with each limit."""


@pytest.mark.parametrize("limit", older(*WIDEST))
def test_older_processors(limit: str) -> None:
    script = (
        "from yolo import runtime; runtime.start();"
        "from tests.program.test_training_machines import in_this_process as run; run()"
    )
    done = held_to(limit, ["-c", script])
    assert done.returncode == 0, done.stderr[-2000:]
    used = set(done.stdout.split("\n"))
    loops, kernels = WIDEST[limit]
    assert loops in used and not {"avx2", "avx512", "avx512_bf16"} - {loops} & used
    assert any(kernels in each for each in used)


def narrow_model(name: str):
    """A published model with an eighth of the channels, and one block for three."""
    return narrow_zoo_network(name, 0.125, 0.33)


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESET_NAMES)
def test_zoo(name: str) -> None:
    subject = Subject(narrow_model(name))
    side = 2 * max(int(max(subject.network.strides)), 32)  # 2x2 cells: of one batch norm leaves next to nothing
    images = random_images((4, 3, side, side))
    passes = {exact: subject.passes(images.shape, exact=exact) for exact in (True, False)}
    slopes = head_slopes(passes[True])
    got = {exact: subject.compiled(given, images, slopes) for exact, given in passes.items()}
    expected, singles = subject.plain(images, slopes), rounded_steps(name, images, slopes)
    assert_equal(got[True], expected, *singles)
    assert_equal(got[False], expected, *singles, rounding=WINOGRAD_ROUNDS)


WINOGRAD_ROUNDS = 8
"""Times as much as a direct convolution: F(4x4, 3x3) is off by 1.2e-5 of the largest output, a direct one by 1.5e-6."""


def rounded_steps(name: str, images: np.ndarray, slopes: list[np.ndarray]) -> list[Step]:
    """The plain network's float32 step; of a network whose activation has a kink, some with other roundings too.

    A number that is 0 but for roundings lies on either side of the kink, and one more or less on the steep side moves
    the gradient of a small map by a few percent: how much is a matter of chance that one step does not show.
    """
    given = [images]
    if "LeakyReLU" in name:
        noise = np.random.default_rng(0)
        given += [(images / 255.0 * (1 + noise.uniform(-1e-7, 1e-7, images.shape))) for _ in range(3)]
    return [Subject(narrow_model(name)).plain(each, slopes, np.float32) for each in given]

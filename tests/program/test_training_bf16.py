"""Training programs in bfloat16: near the plain network where it is well-conditioned, refused where there is none.

A bfloat16 has 8 bits, so products are off by 2^-9. Networks without max pools (whose ties break otherwise) and of few
layers keep heads within 1 % and gradients within 5 % of their norm.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.bfloat16 import needs_bf16
from tests.older_processors import held_to
from tests.program.networks import ROWS, network_of, network_with, random_images, two_levels
from tests.program.test_training import MORE_ROWS
from tests.program.training_reference import Step, Subject, head_slopes, off

SHAPE = (2, 3, 64, 96)

NAMES = ["contract", "cross", "csp", "dilated", "focus", "ghost", "groups", "joined", "transposed"]
MORE_NAMES = ["deep_residuals", "depthwise_transposed", "many_readers", "norm_of_images", "unaligned_everywhere"]


def all_gradients(step: Step, names: list[str]) -> np.ndarray:
    return np.concatenate([step.gradients[name].reshape(-1) for name in names])


@needs_bf16
@pytest.mark.parametrize("name", NAMES + MORE_NAMES)
def test_near_the_plain_network(name: str) -> None:
    subject = Subject(network_of(name) if name in ROWS else network_with(MORE_ROWS[name], name))
    passes, images = subject.passes(SHAPE, precision="bf16"), random_images(SHAPE)
    slopes = head_slopes(passes)
    got, expected = subject.compiled(passes, images, slopes), subject.plain(images, slopes)
    for head, right in zip(got.heads, expected.heads):
        assert off(head, right) <= 0.01
    names = list(expected.gradients)
    assert off(all_gradients(got, names), all_gradients(expected, names)) <= 0.05
    for name, right in expected.statistics.items():
        assert off(got.statistics[name], right) <= 0.01


@needs_bf16
def test_takes_half_the_memory_and_repeats_itself() -> None:
    subject = Subject(two_levels())
    narrow, wide = (subject.passes((8, 3, 128, 128), precision=precision) for precision in ("bf16", "fp32"))
    assert narrow.executor.memory_bytes < 0.65 * wide.executor.memory_bytes
    slopes, images = head_slopes(narrow), random_images((8, 3, 128, 128))
    first, second = (subject.compiled(narrow, images, slopes) for _ in range(2))
    assert all(np.array_equal(first.gradients[name], second.gradients[name]) for name in first.gradients)


def refuse() -> None:
    """What the subprocess runs."""
    with pytest.raises(ValueError, match="AVX-512 BF16"):
        Subject(two_levels()).passes(SHAPE, precision="bf16")


def test_refused_where_the_processor_has_none() -> None:
    script = "from yolo import runtime; runtime.start();from tests.program.test_training_bf16 import refuse; refuse()"
    done = held_to("AVX2", ["-c", script])
    assert done.returncode == 0, done.stderr[-2000:]

"""Trains a small network for some steps on one rank of several, or alone on the joined batch; run by test_ranks."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from yolo import runtime

flow = runtime.start()

from tests.device import cuda_host  # noqa: E402
from tests.program.networks import network_with  # noqa: E402
from yolo import cuda, native  # noqa: E402
from yolo.data.batch import Batch  # noqa: E402
from yolo.distributed.process_group import LONE, ProcessGroup, join_group  # noqa: E402
from yolo.distributed.ranks import Ranks  # noqa: E402
from yolo.engine.schedule import Rates  # noqa: E402
from yolo.engine.train_step import TrainStep  # noqa: E402
from yolo.loss.settings import LossSettings  # noqa: E402
from yolo.models.weights.transfer import checkpoint_of  # noqa: E402

PLAIN = [
    *([-1, 1, "nn.Conv2d", [16, 3, 4, 1]], [-1, 1, "nn.SiLU", []]),
    *([-1, 1, "nn.Conv2d", [24, 3, 1, 1]], [-1, 1, "nn.SiLU", []]),
]
NORMALISED = [[-1, 1, "Conv", [16, 6, 4, 2]], [-1, 2, "C3", [24]]]
SHORT = [[-1, 1, "Conv", [16, 6, 4, 2]], [-1, 1, "Conv", [24, 3, 1]]]  # OneFlow compiles a plain layer for seconds
NETWORKS = {"plain": PLAIN, "normalised": NORMALISED, "short": SHORT}
BATCH, SIDE, STEPS, ACCUMULATE, RESUMED, DROPPED = 4, 32, 12, 2, 5, 9
SETTINGS = LossSettings(5.0, 10.0, 5.0, 1.0, 1.0, 4.0, 0.0, 0.0, (4.0,))


def batch(step: int, part: slice) -> Batch:
    """Some of the images of a step; the last one of every second step has no label."""
    rng = np.random.default_rng(step)
    images = rng.integers(0, 256, (BATCH, 3, SIDE, SIDE), dtype=np.uint8)
    labels = []
    for image in range(BATCH):
        n = 0 if image == BATCH - 1 and step % 2 else int(rng.integers(1, 6))
        columns = (rng.integers(0, 3, n), rng.uniform(0.1, 0.9, (n, 2)), rng.uniform(0.2, 0.7, (n, 2)))
        labels.append(np.column_stack(columns).astype(np.float32))
    return Batch(images[part], tuple(labels[part]), np.arange(BATCH)[part], (Path("x"),) * BATCH, None)


def train(
    kind: str, optimizer: str, sync_bn: bool, compile: str, device: str = "cpu", group: ProcessGroup = LONE
) -> dict[str, np.ndarray]:
    """Losses, norms and the state after some steps with warm rates, accumulation, clipping and EMA.

    In the middle, where a gradient waits, another step goes on from what the first one would save; of plain modules
    the same one. Later a gradient that waits is dropped, as at an epoch's end.
    """
    options = {"optimizer": optimizer, "weight_decay": 5e-4, "max_labels": 8, "compile": compile, "device": device}
    steps = (
        TrainStep(network_with(NETWORKS[kind], kind), SETTINGS, **options, group=group, sync_bn=sync_bn) for _ in "ab"
    )
    step = next(steps)
    part = group.ranks.part(BATCH)
    losses, norms = [], []
    for number in range(STEPS):
        if number == RESUMED:
            state = step.state.snapshot()
            saved = checkpoint_of(step.state.network, ("a", "b", "c"), state.ema, training=state.training)
            if compile == "off":  # for a new one OneFlow would compile for long: this one goes astray and comes back
                step.backward(batch(0, part))
                step.update(Rates(0.1, 0.1, 0.1, 0.8, 0.9, 1))
            else:
                step = next(steps)
            step.state.load(saved)
        if number == DROPPED:
            step.state.drop_gradient()
        losses.append(step.backward(batch(number, part)))
        if (number + 1) % ACCUMULATE == 0 and number + 1 < STEPS:
            rate = 2e-3 * (number + 1)
            update = (number + 1) // ACCUMULATE
            norms.append(step.update(Rates(rate, rate / 2, rate / 2, 0.8, 0.9, update)))
    state = step.state.snapshot()
    ema = {f"ema/{name}": array for name, array in state.ema.items()}
    return {"losses": np.array(losses), "norms": np.array(norms), **state.training, **ema}


def main(folder: Path, kind: str, optimizer: str, sync: str, compile: str, device: str) -> None:
    ranks = Ranks.of()
    if device == "cuda":
        host, device = cuda_host(), f"cuda:{ranks.local}"
        cuda.module = lambda: host
    with join_group(ranks) as group:
        native.set_default_threads(1)
        found = train(kind, optimizer, sync == "sync", compile, device, group)
    np.savez(folder / f"{ranks.rank}of{ranks.count}.npz", **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])

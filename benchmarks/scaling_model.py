"""A model of a data-parallel training step: fitted to measured runs of few ranks, it predicts runs of many.

step(N) = data + compute + other + sigma * e(N) + latency * M(N) + per_byte * V(N)

e(N) is the expected maximum of N standard normal numbers: the slowest of N ranks. M(N) counts the messages that follow
one another, V(N) the bytes that a rank sends: a ring sums ``bytes`` in 2 (N - 1) messages and 2 (N - 1) / N * bytes.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

SMALL_EXCHANGES = 4
"""A step's exchanges of a few numbers: matches, losses, whether to stop, whether the time is up."""
LIMITED = 0.95
"""From this efficiency on nothing is said to limit a run."""

ASSUMPTIONS = (
    "the batch of a rank stays, so its compute does: weak scaling",
    "ranks' compute times are independent and normal, with one mean and one spread; a rank that is always slower than "
    "the others, or falls out, is not in it",
    "gradients are float32 and summed by a ring, after backward and not overlapped with it",
    f"a step has {SMALL_EXCHANGES} small exchanges besides, each as many messages after one another as a ring's",
    "links do not slow each other down; data is read as fast for many ranks as for one",
    "what ranks that share a machine's memory and caches cost each other is measured, and not in the predictions",
)


@dataclasses.dataclass(frozen=True)
class Point:
    """A measured run's mean seconds of a step: waiting for data, own compute, the rest of what one rank does alone,
    waiting for the slowest rank, and exchange with no waiting in it."""

    ranks: int
    data: float
    compute: float
    other: float
    straggling: float = 0.0
    exchange: float = 0.0


@dataclasses.dataclass(frozen=True)
class Link:
    """bandwidth: bytes a second in each direction; latency: seconds for a message."""

    name: str
    bandwidth: float
    latency: float


LINKS = (
    Link("10 Gb/s Ethernet", 1.25e9, 50e-6),
    Link("100 Gb/s InfiniBand", 12.5e9, 5e-6),
    Link("NVLink, 300 GB/s", 300e9, 3e-6),
)


@dataclasses.dataclass(frozen=True)
class StepModel:
    """Seconds, but for ``reduced``: bytes that an update sums over ranks; ``updates``: updates a step.

    latency, per_byte: of the link measured; None where no run had several ranks; ``told_apart``: whether the runs said
    which of the two it is (they need two numbers of ranks above one; with one all counts as bandwidth).
    """

    data: float
    compute: float
    other: float
    sigma: float
    reduced: float
    updates: float
    latency: float | None = None
    per_byte: float | None = None
    told_apart: bool = False

    @property
    def alone(self) -> float:
        """Seconds of a step of one rank."""
        return self.data + self.compute + self.other

    def measured_link(self) -> Link | None:
        """The link that the runs were made on, as the fit sees it."""
        if self.per_byte is None:
            return None
        return Link("as measured", 1 / self.per_byte if self.per_byte else math.inf, self.latency)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """seconds: of a step; losses: of these, by cause, those that one rank alone has not; limit: the greatest cause,
    or what bounds a step where it scales well."""

    ranks: int
    seconds: float
    efficiency: float
    losses: dict[str, float]
    limit: str


def fit(points: Sequence[Point], *, reduced: float, updates: float = 1.0) -> StepModel:
    """The model of measured runs, of one rank and others. Raises ValueError without a run of one rank."""
    alone = [point for point in points if point.ranks == 1]
    if not alone:
        raise ValueError("a model of scaling needs a run of one rank")
    several = [point for point in points if point.ranks > 1]
    base = {name: float(np.mean([getattr(p, name) for p in alone])) for name in ("data", "compute", "other")}
    waits = [(expected_maximum(point.ranks), point.straggling) for point in several]
    squares = sum(e * e for e, _ in waits)
    sigma = sum(e * wait for e, wait in waits) / squares if squares else 0.0
    model = StepModel(**base, sigma=sigma, reduced=reduced, updates=updates)
    if not several:
        return model
    counts = sorted({point.ranks for point in several})
    columns = np.array([[messages(p.ranks, updates), volume(p.ranks, reduced, updates)] for p in several])
    latency, per_byte = _not_negative(columns, np.array([point.exchange for point in several]), len(counts) > 1)
    return dataclasses.replace(model, latency=latency, per_byte=per_byte, told_apart=len(counts) > 1)


def predict(model: StepModel, ranks: int, link: Link) -> Prediction:
    """A step of so many ranks over such links."""
    losses = {
        "stragglers": model.sigma * expected_maximum(ranks),
        "latency": link.latency * messages(ranks, model.updates),
        "bandwidth": volume(ranks, model.reduced, model.updates) / link.bandwidth,
    }
    seconds = model.alone + sum(losses.values())
    efficiency = model.alone / seconds
    if efficiency >= LIMITED:
        limit = "data" if model.data > model.compute + model.other else "compute"
    else:
        limit = max(losses, key=losses.__getitem__)
    return Prediction(ranks, seconds, efficiency, losses, limit)


def messages(ranks: int, updates: float = 1.0) -> float:
    """Messages of a step that follow one another."""
    return (SMALL_EXCHANGES + updates) * 2 * (ranks - 1)


def volume(ranks: int, reduced: float, updates: float = 1.0) -> float:
    """Bytes that a rank sends in a step to sum ``reduced`` bytes an update."""
    return 2 * (ranks - 1) / ranks * reduced * updates


@functools.lru_cache(maxsize=256)
def expected_maximum(count: int) -> float:
    """Of ``count`` independent standard normal numbers: the integral of count x phi(x) Phi(x)^(count - 1)."""
    x = np.linspace(-9, 9, 7201)
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    below = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in x])
    return float(np.trapz(count * x * density * below ** (count - 1), x))


def _not_negative(columns: np.ndarray, seconds: np.ndarray, both: bool) -> tuple[float, float]:
    """Least squares for (latency, seconds a byte), none below 0; without ``both`` the second alone.

    With one at 0 the other is that of a fit of its own; of these the better one is taken.
    """
    single = [float(max(c @ seconds / (c @ c), 0.0)) if c.any() else 0.0 for c in columns.T]
    candidates = [(0.0, single[1])]
    if both:
        candidates.append((single[0], 0.0))
        scale = np.maximum(np.abs(columns).max(axis=0), 1e-30)
        free = np.linalg.lstsq(columns / scale, seconds, rcond=None)[0] / scale
        if (free >= 0).all():
            candidates.append((float(free[0]), float(free[1])))
    return min(candidates, key=lambda pair: float(np.square(columns @ np.array(pair) - seconds).sum()))

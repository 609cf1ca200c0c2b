"""The schedule equals YOLOv5's training loop, written here as a loop."""

from __future__ import annotations

import math

import numpy as np
import pytest

from yolo.config.hyp import Hyperparameters
from yolo.engine.schedule import Schedule, ema_decay

HYP = Hyperparameters(lr0=0.02, lrf=0.1, momentum=0.9, weight_decay=0.001, warmup_epochs=2.0)
RECIPES = {
    "low": Hyperparameters(),
    "steep": HYP,
    "no warm-up": Hyperparameters(warmup_epochs=0.0),
    "odd": Hyperparameters(warmup_epochs=3.3835, warmup_momentum=0.59462, warmup_bias_lr=0.18657, lrf=0.15135),
}


def between(step, steps, first, last):
    """From first at step 0 to last at step ``steps``, in a straight line."""
    return first + (last - first) * step / steps


def published_loop(hyp, epochs, batches, batch_size, nominal, cosine, momentum_too):
    """One row a step: (images of an update in batches, bias rate, rate of the others, momentum)."""
    warm = max(round(hyp.warmup_epochs * batches), 100)
    step = 0
    for epoch in range(epochs):
        if cosine:  # from 1 to lrf in half a wave
            share = hyp.lrf + (1 - hyp.lrf) * (1 + math.cos(math.pi * epoch / epochs)) / 2
        else:
            share = (1 - epoch / epochs) * (1 - hyp.lrf) + hyp.lrf
        rate = hyp.lr0 * share
        for _ in range(batches):
            if step <= warm:
                yield (
                    max(1, round(between(step, warm, 1, nominal / batch_size))),
                    between(step, warm, hyp.warmup_bias_lr, rate),
                    between(step, warm, 0.0, rate),
                    between(step, warm, hyp.warmup_momentum, hyp.momentum) if momentum_too else hyp.momentum,
                )
            else:
                yield max(1, round(nominal / batch_size)), rate, rate, hyp.momentum
            step += 1


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize(
    ("epochs", "batches", "batch_size", "nominal"),
    [(5, 60, 16, 64), (4, 97, 3, 64), (1, 30, 8, 64), (30, 7, 64, 64), (3, 50, 128, 64), (2, 120, 16, 16)],
)
def test_every_step(recipe, cosine, epochs, batches, batch_size, nominal):
    hyp = RECIPES[recipe]
    schedule = Schedule(hyp, epochs, batches, batch_size, nominal, cosine)
    expected = list(published_loop(hyp, epochs, batches, batch_size, nominal, cosine, True))
    for step, (accumulate, bias, rate, momentum) in enumerate(expected):
        rates = schedule.rates(step, step + 1)
        found = (rates.bias, rates.weight, rates.norm, rates.momentum)
        assert found == pytest.approx((bias, rate, rate, momentum), rel=1e-12, abs=1e-15), step
        assert schedule.accumulate(step) == accumulate, step
        assert rates.step == step + 1


def test_momentum_that_is_not_warmed():
    schedule = Schedule(HYP, 3, 60, 16, warms_momentum=False)
    expected = list(published_loop(HYP, 3, 60, 16, 64, False, False))
    for step, (_, bias, rate, momentum) in enumerate(expected):
        rates = schedule.rates(step, 1)
        assert (rates.bias, rates.weight, rates.norm) == pytest.approx((bias, rate, rate), rel=1e-12)
        assert rates.momentum == momentum == HYP.momentum


def test_numbers_written_down():
    schedule = Schedule(Hyperparameters(), epochs=10, batches=100, batch_size=16)
    assert schedule.warmup_steps == 300
    assert [schedule.accumulate(step) for step in (0, 49, 51, 149, 151, 249, 251, 300, 301)] == [
        1,
        1,
        2,
        2,
        3,
        3,
        4,
        4,
        4,
    ]
    first, middle, last = schedule.rates(0, 1), schedule.rates(150, 9), schedule.rates(999, 500)
    assert (first.bias, first.weight, first.norm, first.momentum) == pytest.approx((0.1, 0, 0, 0.8))
    # epoch 1: 0.9 · 0.99 + 0.01 = 0.901 of lr0
    assert (middle.bias, middle.weight, middle.momentum) == pytest.approx((0.054505, 0.004505, 0.8685))
    assert (last.bias, last.weight, last.momentum) == pytest.approx((0.00109, 0.00109, 0.937))


@pytest.mark.parametrize("cosine", [False, True])
def test_the_line_and_the_wave_start_at_1_and_end_at_lrf(cosine):
    schedule = Schedule(HYP, 50, 10, 16, cosine=cosine)
    factors = [schedule.factor(epoch) for epoch in range(51)]
    assert (factors[0], factors[25], factors[50]) == pytest.approx((1.0, 0.55, 0.1))
    assert np.all(np.diff(factors) < 0)
    assert np.ptp(np.diff(factors)) > 0.01 if cosine else np.ptp(np.diff(factors)) < 1e-12


@pytest.mark.parametrize(
    ("batch_size", "nominal", "decay"),
    [(16, 64, 1.0), (64, 64, 1.0), (128, 64, 2.0), (1, 64, 1.0), (3, 64, 63 / 64), (48, 64, 0.75), (40, 64, 1.25)],
)
def test_weight_decay_follows_the_images_of_an_update(batch_size, nominal, decay):
    schedule = Schedule(HYP, 3, 10, batch_size, nominal)
    assert schedule.weight_decay == pytest.approx(0.001 * decay, rel=1e-12)


@pytest.mark.parametrize(
    ("epochs", "batches", "steps"), [(3.0, 10, 100), (3.0, 34, 102), (0.0, 1000, 100), (0.5, 333, 166)]
)
def test_warmup_is_no_shorter_than_100_steps(epochs, batches, steps):
    assert Schedule(Hyperparameters(warmup_epochs=epochs), 10, batches, 16).warmup_steps == steps


def test_ema_decay():
    for update in (1, 2, 100, 2000, 10**5):
        assert ema_decay(update) == pytest.approx(0.9999 * (1 - np.exp(-update / 2000)), rel=1e-12)
    assert ema_decay(0) == 0.0
    assert ema_decay(2000) == pytest.approx(0.632057, abs=1e-6)
    assert Schedule(HYP, 3, 10, 16).rates(500, 2000).ema_decay == ema_decay(2000)

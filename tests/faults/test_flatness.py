"""A leak is told from noise and from a warm-up."""

from __future__ import annotations

import random

import pytest
from flatness import Sample, growth

HOUR = [float(second) for second in range(0, 3600, 20)]


def noisy(level: float, per_hour: float = 0.0, *, noise: float = 2.0, seed: int = 1) -> list[Sample]:
    rng = random.Random(seed)
    return [(at, level + per_hour * at / 3600 + rng.uniform(-noise, noise)) for at in HOUR]


def test_noise_is_flat() -> None:
    assert all(growth(noisy(90, seed=seed), allowed=8).flat for seed in range(50))


def test_a_leak_below_the_noise_of_one_sample_is_found() -> None:
    assert not growth(noisy(90, 30, noise=20), allowed=8).flat


def test_what_grows_while_everything_warms_up_does_not_count() -> None:
    warming = [(at, min(90.0, 30 + at / 10)) for at in HOUR]
    assert growth(warming, allowed=1).grown == pytest.approx(0, abs=1e-6)


def test_a_tenth_of_what_is_large_and_what_is_allowed_of_what_is_small_are_noise() -> None:
    assert growth(noisy(1000, 100, noise=0), allowed=8).flat
    assert not growth(noisy(1000, 200, noise=0), allowed=8).flat
    assert growth(noisy(10, 11, noise=0), allowed=8).flat


def test_what_shrinks_is_flat() -> None:
    assert growth(noisy(90, -60), allowed=1).flat


def test_growth_is_told_an_hour() -> None:
    assert growth(noisy(90, 30, noise=0), allowed=8).per_hour == pytest.approx(30)


def test_few_samples_say_nothing() -> None:
    with pytest.raises(ValueError, match="samples"):
        growth([(0, 1), (1, 1), (2, 1), (3, 1)], allowed=1)

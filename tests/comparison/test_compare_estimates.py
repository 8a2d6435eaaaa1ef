import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import integrate, stats

from ghn_init.comparison.estimates import (
    area_under,
    bootstrap,
    difference_of,
    mean_of,
    smoothed,
    steps_to_reach,
)

accuracies = st.floats(0, 1, allow_subnormal=False)


@given(st.lists(accuracies, min_size=2, max_size=8), st.sampled_from((0.8, 0.95)))
def test_means_have_the_interval_of_scipys_t_test(values, confidence):
    found = mean_of(values, confidence)
    if len(set(values)) > 1:
        low, high = stats.ttest_1samp(values, 0).confidence_interval(confidence)
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)
    assert found.value == pytest.approx(np.mean(values))
    assert found.n == len(values)


@given(st.dictionaries(st.integers(0, 5), st.tuples(accuracies, accuracies), min_size=2))
def test_differences_are_paired_by_seed(pairs):
    own, reference = {seed: a for seed, (a, _) in pairs.items()}, {seed: b for seed, (_, b) in pairs.items()}
    shuffled = dict(sorted(reference.items(), reverse=True)) | {99: 1.0}
    found = difference_of(own | {77: 0.0}, shuffled, 0.95)
    differences = [own[seed] - reference[seed] for seed in own]
    if len({round(difference, 6) for difference in differences}) > 1:
        low, high = stats.ttest_rel(list(own.values()), list(reference.values())).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)
    assert found.n == len(pairs)


def test_one_run_has_no_interval_and_none_no_mean():
    assert math.isnan(mean_of([0.5], 0.95).low)
    assert math.isnan(mean_of([], 0.95).value)
    assert mean_of([], 0.95).n == 0


def test_steps_are_interpolated_on_a_logarithmic_scale():
    assert steps_to_reach([10, 1000], [0.2, 0.4], 0.3) == pytest.approx(100)
    assert steps_to_reach([0, 10, 1000], [0.1, 0.2, 0.4], 0.15) == pytest.approx(5)
    assert steps_to_reach([0, 10], [0.5, 0.2], 0.4) == 0
    assert steps_to_reach([10, 100], [0.1, 0.2], 0.2) == 100
    assert steps_to_reach([10, 100], [0.1, 0.2], 0.21) == math.inf


@given(st.lists(accuracies, min_size=2, max_size=6), accuracies)
@example([0.0, 1.0], 1e-54)  # the steps found are the first, but for rounding
def test_the_height_at_the_steps_found_is_the_target(heights, target):
    steps = [10 * 3**place for place in range(len(heights))]
    found = steps_to_reach(steps, heights, target)
    if max(heights) < target:
        assert found == math.inf
    elif heights[0] >= target:
        assert found == steps[0]
    else:
        assert np.interp(math.log(found), np.log(steps), heights) == pytest.approx(target, abs=1e-9)
        before = [height for step, height in zip(steps, heights, strict=True) if step < found * (1 - 1e-12)]
        assert max(before, default=heights[0]) <= target


@given(st.lists(accuracies, min_size=2, max_size=6))
def test_areas_are_mean_heights(heights):
    steps = [0, 1, 2, 5, 20, 100][: len(heights)]
    width = math.log1p(steps[-1])
    assert area_under(steps, heights) == pytest.approx(integrate.trapezoid(heights, np.log1p(steps)) / width)
    assert min(heights) - 1e-9 <= area_under(steps, heights) <= max(heights) + 1e-9


def test_smoothing_keeps_lines_and_ends():
    assert smoothed([1, 2, 3, 4]) == [1, 2, 3, 4]
    assert smoothed([0, 1, 0]) == [0, 0.5, 0]
    assert smoothed([3]) == [3]


def test_bootstrap_intervals_are_those_of_scipy():
    values = np.random.default_rng(1).normal(size=12)
    found = bootstrap(lambda chosen: float(values[chosen].mean()), len(values), 0.9, resamplings=20_000)
    wanted = stats.bootstrap((values,), np.mean, n_resamples=20_000, confidence_level=0.9, method="percentile", rng=3)
    interval = wanted.confidence_interval
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=0.02)
    assert found == bootstrap(lambda chosen: float(values[chosen].mean()), len(values), 0.9, resamplings=20_000)


def test_bootstrap_takes_infinite_values():
    found = bootstrap(lambda chosen: math.inf if 0 in chosen else 1.0, 3, 0.95)
    assert (found.value, found.low, found.high) == (math.inf, 1.0, math.inf)

"""A step curve is a value with a domain."""

import numpy as np
import pytest

from recoverykit.curves import StepCurve
from recoverykit.errors import ExtrapolationError


@pytest.fixture
def curve():
    return StepCurve(times=[0, 3, 6], values=[1.0, 0.8, 0.5], lower=[1.0, 0.7, 0.4], upper=[1.0, 0.9, 0.6])


def test_the_value_holds_from_its_time_until_the_next(curve):
    assert curve([0, 2.99, 3, 5, 6]).tolist() == [1.0, 1.0, 0.8, 0.8, 0.5]


@pytest.mark.parametrize("month", [-0.1, 6.01, float("nan")])
def test_it_refuses_times_outside_its_domain(curve, month):
    with pytest.raises(ExtrapolationError, match=f"asked for month {month:g}, but .* from month 0 to 6"):
        curve([3, month, 5])


def test_it_cannot_be_changed_by_its_maker_or_its_reader():
    values = np.array([1.0, 0.5])
    made = StepCurve(times=[0, 1], values=values, lower=values, upper=values)
    values[1] = 0.9
    assert made(1).item() == 0.5
    with pytest.raises(ValueError, match="read-only"):
        made.values[0] = 2


@pytest.mark.parametrize("times", [[], [0, 0], [1, 0], [0, float("nan"), 3], [float("nan")]])
def test_times_must_increase_and_exist(times):
    same = [0.5] * len(times)
    with pytest.raises(ValueError, match="strictly increasing"):
        StepCurve(times=times, values=same, lower=same, upper=same)


def test_arrays_of_another_length_are_refused():
    with pytest.raises(ValueError, match="lower has shape"):
        StepCurve(times=[0, 1], values=[1, 1], lower=[1], upper=[1, 1])


def test_the_median_is_the_first_time_at_or_below_half(curve):
    assert curve.first_time_at_or_below(0.5) == 6
    assert np.isnan(curve.first_time_at_or_below(0.4))


def test_the_median_does_not_wait_for_the_next_event_because_of_rounding():
    # Of n loans one goes each month: half are left after n / 2 months, whatever the product of the fractions rounds to.
    for n in range(2, 101, 2):
        months = np.arange(n)
        values = np.cumprod(np.append(1.0, 1.0 - 1.0 / (n - months[:-1])))
        assert StepCurve(months, values, values, values).first_time_at_or_below(0.5) == n / 2


def test_the_interval_is_read_at_the_same_step(curve):
    row = curve.at(4).iloc[0]
    assert (row["value"], row["lower"], row["upper"]) == (0.8, 0.7, 0.9)

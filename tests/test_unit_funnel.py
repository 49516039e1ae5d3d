"""Exact intervals, funnel limits and shrunken ranks: against outside references, and against their own promises."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.rates import confint_poisson

import recoverykit as rk
from recoverykit.operations._exact_intervals import binomial_interval, poisson_interval, sum_of_chances
from recoverykit.operations._funnel_kernels import count_limits, law_limits, winsorised_spread
from recoverykit.operations._shrinkage_kernels import beta_prior, gamma_prior

#: The same number by two routes of special functions.
CLOSE = 1e-9
#: A root found by halving here and by another solver there.
ROOT = 1e-6
#: Standard errors of a simulated share that a test allows.
N_ERRORS = 4.0


def units(events, cases):
    return pd.DataFrame({"unit": [f"u{i}" for i in range(len(events))], "n_events": events, "n_cases": cases})


@pytest.mark.parametrize(("events", "cases"), [(0, 10), (10, 10), (1, 10), (27, 30), (85, 100), (499, 1000)])
def test_exact_interval_of_a_share_is_that_of_scipy_and_statsmodels(events, cases):
    lower, upper = binomial_interval(events, cases, level=0.95)
    ours = np.array([lower, upper])
    theirs = stats.binomtest(events, cases).proportion_ci(0.95, method="exact")
    assert ours == pytest.approx([theirs.low, theirs.high], abs=CLOSE)
    assert ours == pytest.approx(proportion_confint(events, cases, method="beta"), abs=CLOSE)


@pytest.mark.parametrize("events", [0, 1, 7, 120])
def test_exact_interval_of_a_count_is_that_of_statsmodels(events):
    lower, upper = poisson_interval(events, level=0.9)
    assert [float(lower), float(upper)] == pytest.approx(
        confint_poisson(events, 1, method="exact-c", alpha=0.1), abs=ROOT, nan_ok=True
    )


@pytest.mark.parametrize(("events", "cases"), [(1, 10), (27, 30), (85, 100)])
def test_mid_p_limits_solve_their_equations_and_lie_inside_the_exact_ones(events, cases):
    outer, inner = (np.array(binomial_interval(events, cases, level=0.95, mid_p=mid)) for mid in (False, True))
    assert outer[0] < inner[0] < inner[1] < outer[1]
    # at the lower limit P(X > x) + P(X = x) / 2 is 2.5 %, at the upper P(X < x) + P(X = x) / 2
    above = stats.binom.sf(events, cases, inner[0]) + 0.5 * stats.binom.pmf(events, cases, inner[0])
    below = stats.binom.cdf(events - 1, cases, inner[1]) + 0.5 * stats.binom.pmf(events, cases, inner[1])
    assert [above, below] == pytest.approx([0.025, 0.025], abs=CLOSE)


def test_mid_p_interval_of_a_count_is_that_of_statsmodels():
    lower, upper = poisson_interval(9, level=0.95, mid_p=True)
    assert [float(lower), float(upper)] == pytest.approx(confint_poisson(9, 1, method="midp-c"), abs=ROOT)


def test_law_of_unequal_chances_by_hand():
    # 0.5 and 0.2: none 0.5 * 0.8 = 0.4, both 0.1, one 0.5
    assert sum_of_chances([0.5, 0.2]).tolist() == pytest.approx([0.4, 0.5, 0.1])


def test_law_of_equal_chances_is_the_binomial_one():
    assert sum_of_chances(np.full(400, 0.9)) == pytest.approx(stats.binom.pmf(np.arange(401), 400, 0.9), abs=CLOSE)


def test_limits_by_hand_on_ten_tosses():
    # Binomial(10, 1/2): P(0) = 1/1024, P(<=1) = 11/1024 = 0.0107, P(<=2) = 56/1024 = 0.0547.
    # Tail 0.025: r = 2, a = (56/1024 - 0.025) / (45/1024) = (56 - 25.6) / 45 = 0.6756, limit 2 - 0.6756 = 1.3244;
    # the upper one mirrors it: 10 - 1.3244.
    lower, upper = count_limits(stats.binom(10, 0.5), 0.025)
    assert [float(lower), float(upper)] == pytest.approx([2 - 30.4 / 45, 8 + 30.4 / 45])


@pytest.mark.parametrize("tail", [0.025, 0.001])
@pytest.mark.parametrize(("cases", "share"), [(30, 0.9), (57, 0.5), (400, 0.03)])
def test_limits_of_a_law_given_by_its_probabilities_are_the_same(cases, share, tail):
    law = stats.binom.pmf(np.arange(cases + 1), cases, share)
    lower, upper = count_limits(stats.binom(cases, share), tail)
    assert law_limits(law, tail) == pytest.approx((float(lower), float(upper)), abs=CLOSE)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("tail", [0.025, 0.001])
def test_no_unit_outside_a_limit_has_a_tail_probability_above_the_nominal_one(share, tail):
    for cases in range(5, 300, 7):
        law = stats.binom(cases, share)
        lower, upper = count_limits(law, tail)
        counts = np.arange(cases + 1)
        assert law.cdf(counts[counts < lower]).max(initial=0.0) <= tail
        assert law.sf(counts[counts > upper] - 1).max(initial=0.0) <= tail
        # and the limit is no wider than it must be: the next count inward has more than the tail beyond it
        assert law.cdf(np.ceil(lower)) > tail
        assert law.sf(np.floor(upper) - 1) > tail


@pytest.mark.parametrize(("kind", "size"), [("share", 2000), ("ratio", 1500)])
def test_funnel_limits_hold_their_false_alarm_rate(kind, size):
    n_units = 40_000
    rng = np.random.default_rng(20260930)
    drawn = rng.binomial(size, 0.3, n_units) if kind == "share" else rng.poisson(size, n_units)
    target = 0.3 if kind == "share" else 1.0
    funnel = rk.funnel_limits(units(drawn, size), events_col="n_events", size_col="n_cases", kind=kind, target=target)
    law = stats.binom(size, 0.3) if kind == "share" else stats.poisson(size)
    for tail, words in ((0.025, "95|99.8"), (0.001, "99.8")):
        lower, upper = count_limits(law, tail)
        attained = law.cdf(np.ceil(lower) - 1) + law.sf(np.floor(upper))
        seen = funnel.units["position"].str.contains(words).mean()
        error = np.sqrt(attained * (1 - attained) / n_units)
        assert abs(seen - attained) < N_ERRORS * error
        # counts are whole: what is attained is short of the nominal rate by less than the chance of two counts
        assert 2 * tail - 2 * law.pmf(np.floor(lower)) - 2 * law.pmf(np.ceil(upper)) < attained <= 2 * tail


def test_small_units_are_shown_but_not_judged():
    funnel = rk.funnel_limits(units([0, 12], [29, 100]), events_col="n_events", size_col="n_cases", target=0.5)
    assert funnel.units["position"].tolist() == ["too small", "below 99.8"]
    assert funnel.units["value"].tolist() == [0.0, 0.12]


def test_over_dispersion_by_hand():
    # ten scores, a tenth drawn in at each end: -9 becomes -3, 9 becomes 3; squares 9 + 9 + 6 * 1 + 9 + 9 = 42; / 10
    spread = winsorised_spread(np.array([-9.0, -3, -1, -1, -1, 1, 1, 1, 3, 9]), share=0.1)
    assert spread.phi == pytest.approx(4.2)
    assert spread.is_beyond_chance  # 1 + 2 sqrt(0.2) = 1.89
    assert spread.factor == pytest.approx(np.sqrt(4.2))


def test_over_dispersed_limits_are_wider_by_its_root_and_only_where_asked():
    rng = np.random.default_rng(3)
    frame = units(rng.binomial(400, rng.beta(30, 30, 60)), 400)
    options = {"events_col": "n_events", "size_col": "n_cases", "target": 0.5}
    plain = rk.funnel_limits(frame, **options)
    wide = rk.funnel_limits(frame, **options, over_dispersion="winsorised")
    assert plain.spread.is_beyond_chance
    assert not plain.is_widened
    reach = (wide.units["upper_95"] - 0.5) / (plain.units["upper_95"] - 0.5)
    assert reach.to_numpy() == pytest.approx(np.full(60, np.sqrt(plain.spread.phi)))
    assert (wide.units["position"] != "inside").sum() < (plain.units["position"] != "inside").sum()


def test_without_true_difference_over_dispersion_is_seldom_found():
    rng = np.random.default_rng(11)
    found = 0
    for _ in range(300):
        frame = units(rng.binomial(200, 0.6, 40), 200)
        funnel = rk.funnel_limits(frame, events_col="n_events", size_col="n_cases", target=0.6)
        found += funnel.spread.is_beyond_chance
    assert found / 300 < 0.05  # two standard errors, and drawing in makes it rarer still


def test_impossible_counts_are_all_named():
    frame = pd.DataFrame({"unit": ["a", "a"], "n_events": [1.5, 20], "n_cases": [10, 10]})
    with pytest.raises(rk.ContractError, match="3 rules") as caught:
        rk.funnel_limits(frame, events_col="n_events", size_col="n_cases")
    assert "whole number" in str(caught.value)
    assert "one row" in str(caught.value)


@pytest.mark.parametrize("kind", ["share", "ratio"])
def test_the_fitted_law_of_the_units_is_a_maximum(kind):
    rng = np.random.default_rng(5)
    cases = rng.integers(30, 300, 40).astype(float)
    if kind == "share":
        events = rng.binomial(cases.astype(int), rng.beta(18, 6, 40)).astype(float)
        prior = beta_prior(events, cases)
        at = lambda a, b: stats.betabinom.logpmf(events, cases, a, b).sum()  # noqa: E731
    else:
        events = rng.poisson(cases * rng.gamma(20, 1 / 20, 40)).astype(float)
        prior = gamma_prior(events, cases)
        at = lambda a, b: stats.nbinom.logpmf(events, a, b / (b + cases)).sum()  # noqa: E731
    best = at(prior.first, prior.second)
    assert best == pytest.approx(prior.loglik)
    for one, two in [(1.05, 1.0), (0.95, 1.0), (1.0, 1.05), (1.0, 0.95), (1.1, 1.1), (0.9, 0.9)]:
        assert at(prior.first * one, prior.second * two) < best


def test_shrinkage_by_hand_of_the_posterior_mean():
    frame = units([45, 30, 24, 33, 40], [50, 50, 50, 50, 50])
    ranks = rk.shrunken_ranks(frame, events_col="n_events", size_col="n_cases", rng=np.random.default_rng(1))
    a, b = ranks.prior.first, ranks.prior.second
    top = ranks.units.iloc[0]
    assert top["unit"] == "u0"
    assert top["shrunken"] == pytest.approx((a + 45) / (a + b + 50))
    assert [top["lower"], top["upper"]] == pytest.approx(stats.beta(a + 45, b + 5).ppf([0.025, 0.975]))
    assert ranks.units["prob_best"].sum() == pytest.approx(1.0)
    assert ranks.units["rank"].sum() == pytest.approx(1 + 2 + 3 + 4 + 5)


def test_units_that_do_not_differ_are_shrunken_to_one_value_and_not_told_apart():
    ranks = rk.shrunken_ranks(
        units([50] * 8, [100] * 8), events_col="n_events", size_col="n_cases", rng=np.random.default_rng(1)
    )
    assert ranks.prior.standard_deviation == 0.0
    assert ranks.units["shrunken"].to_numpy() == pytest.approx(np.full(8, 0.5), abs=1e-4)
    assert (ranks.units["rank_lower"] == 1).all()
    assert (ranks.units["rank_upper"] == 8).all()


def test_one_value_for_all_units_is_known_no_better_than_all_their_cases_let_it():
    # 400 of 800 cases: standard error sqrt(0.25 / 800) = 0.0177, so that 0.49 lies 0.566 of them below: 0.714.
    ranks = rk.shrunken_ranks(
        units([50] * 8, [100] * 8), events_col="n_events", size_col="n_cases", target=0.49, rng=np.random.default_rng(1)
    )
    assert (ranks.units["upper"] - ranks.units["lower"] > 0.06).all()
    assert ranks.units["prob_beyond_target"].to_numpy() == pytest.approx(np.full(8, 0.714), abs=0.002)
    # Observed / expected: 400 events where 400 were expected, a relative error of 1 / sqrt(400).
    options = {"events_col": "n_events", "size_col": "n_cases", "kind": "ratio", "target": 1.0}
    ratios = rk.shrunken_ranks(units([50] * 8, [50.0] * 8), rng=np.random.default_rng(1), **options).units
    assert (ratios["upper"] - ratios["lower"]).to_numpy() == pytest.approx(np.full(8, 2 * 1.96 * 0.05), rel=0.02)
    assert ratios["prob_beyond_target"].to_numpy() == pytest.approx(np.full(8, 0.5), abs=0.02)


@pytest.mark.parametrize("events", [0, 50])
def test_the_interval_of_one_value_holds_it_where_nothing_or_everything_came(events):
    ranks = rk.shrunken_ranks(
        units([events] * 4, [50] * 4), events_col="n_events", size_col="n_cases", rng=np.random.default_rng(1)
    ).units
    assert (ranks["lower"] <= ranks["shrunken"]).all()
    assert (ranks["shrunken"] <= ranks["upper"]).all()
    # Jeffreys' interval of 0 of 200 reaches to half the 97.5 % point of chi-square with one degree, 2.51, over 200.
    assert (ranks["upper"] - ranks["lower"]).to_numpy() == pytest.approx(np.full(4, 0.0125), abs=0.0003)


@pytest.mark.slow
def test_the_interval_of_one_value_covers_it_where_units_do_not_differ():
    rng = np.random.default_rng(20260930)
    held = []
    for _ in range(400):
        ranks = rk.shrunken_ranks(
            units(rng.binomial(100, 0.5, 8), [100] * 8), events_col="n_events", size_col="n_cases", rng=rng, n_draws=50
        )
        if ranks.prior.standard_deviation == 0:
            held.append(ranks.units["lower"].iloc[0] <= 0.5 <= ranks.units["upper"].iloc[0])
    assert np.mean(held) > 0.95 - N_ERRORS * np.sqrt(0.95 * 0.05 / len(held))


def test_a_unit_of_two_cases_is_shrunken_and_not_ranked():
    ranks = rk.shrunken_ranks(
        units([2, 60, 40], [2, 100, 100]), events_col="n_events", size_col="n_cases", rng=np.random.default_rng(1)
    )
    small = ranks.units.iloc[-1]
    assert small["unit"] == "u0"
    assert np.isnan(small["rank"])
    assert small["shrunken"] < 0.7
    assert ranks.n_ranked == 2


def test_ranks_are_the_same_for_the_same_seed_whatever_the_order_of_rows():
    frame = units([45, 30, 24], [50, 60, 70])
    options = {"events_col": "n_events", "size_col": "n_cases"}
    first = rk.shrunken_ranks(frame, rng=np.random.default_rng(7), **options).units
    again = rk.shrunken_ranks(frame, rng=np.random.default_rng(7), **options).units
    turned = rk.shrunken_ranks(frame.iloc[::-1], rng=np.random.default_rng(7), **options).units
    pd.testing.assert_frame_equal(first, again)
    assert first["unit"].tolist() == turned["unit"].tolist()
    assert first["shrunken"].to_numpy() == pytest.approx(turned["shrunken"].to_numpy(), rel=1e-5)


def test_shrunken_values_lie_closer_to_the_truth_than_observed_ones_and_their_intervals_hold_it():
    rng = np.random.default_rng(20260930)
    off_shrunken, off_seen, held, means, spreads = [], [], [], [], []
    for _ in range(60):
        cases = rng.integers(30, 200, 40)
        truth = rng.beta(36, 9, 40)  # mean 0.8, standard deviation sqrt(0.16 / 46) = 0.059
        ranks = rk.shrunken_ranks(
            units(rng.binomial(cases, truth), cases), events_col="n_events", size_col="n_cases", rng=rng, n_draws=200
        )
        shown = ranks.units.set_index("unit").loc[[f"u{i}" for i in range(40)]]
        off_shrunken.append(np.mean((shown["shrunken"] - truth) ** 2))
        off_seen.append(np.mean((shown["value"] - truth) ** 2))
        held.append(((shown["lower"] <= truth) & (truth <= shown["upper"])).mean())
        means.append(ranks.prior.mean)
        spreads.append(ranks.prior.standard_deviation)
    assert np.mean(off_shrunken) < 0.75 * np.mean(off_seen)
    assert np.mean(held) == pytest.approx(0.95, abs=0.02)  # 2,400 intervals, a little short for the fitted prior
    assert np.mean(means) == pytest.approx(0.8, abs=0.005)
    assert np.mean(spreads) == pytest.approx(np.sqrt(0.16 / 46), abs=0.008)

"""How defaulted loans end: the intervals by hand, a simulated truth, who borrows whose model, and books with little."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recoverykit.errors import ConvergenceError, InsufficientDataError
from recoverykit.portfolio import outcomes
from recoverykit.portfolio.outcomes import estimate_outcomes, last_told_month, outcome_frame

# The lines of the model are drawn over the observed areas: without drivers, and with all products in one.
ON_THE_CURVE = 0.03
# Three standard errors of a share of a half among 3,000 episodes.
SAMPLING = 3 * (0.25 / 3000) ** 0.5
SUM = 1e-9  # shares that add up to 1, through exponentials and logarithms

LOANS = [
    {"default_date": "2023-01-31", "outcome": "sold", "outcome_date": "2023-06-30"},
    {"default_date": "2023-01-31", "outcome": "repaid", "outcome_date": "2023-04-30"},
    {"default_date": "2023-01-31", "outstanding": 100.0},
    {"default_date": "2023-01-31", "outstanding": 100.0},
]


def simulated(book, *, never, n=3000, seed=4, last=120, weibull=False):
    """A book whose loans are cured (half of the rest) after some 6 months or written off after 15, or never end."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(["cured", "written_off", "never"], size=n, p=[(1 - never) / 2, (1 - never) / 2, never])
    median = np.select([kind == "cured", kind == "written_off"], [6.0, 15.0], default=np.inf)
    spread = rng.weibull(1.5, n) if weibull else np.exp(0.6 * rng.standard_normal(n))
    month = np.ceil(median * spread)
    observed = rng.integers(last // 2, last, size=n).astype(float)
    ended = month <= observed
    episodes = pd.DataFrame(
        {
            "obligor_id": [f"o{number}" for number in range(n)],
            "product": rng.choice(["card", "loan"], size=n),
            "region": "west",
            "outcome": np.where(ended, kind, "open"),
            "months_in_default": np.where(ended, month, observed),
            "observed_months": observed,
            "entry_months": 0.0,
        }
    )
    return replace(book, episodes=episodes, segment_by=("product", "region"))


class TestFrame:
    def test_six_loans_by_hand(self):
        # sold in month 4 -> (3, 4]; repaid in month 0 -> (0, 1], the first month; open for 7 -> beyond 7; first seen in
        # month 5 and sold in 8 -> (7, 8]; first seen in month 5 and sold in that month -> never watched, left out
        rows = [("sold", 4, 0), ("repaid", 0, 0), ("open", 7, 0), ("sold", 8, 5), ("sold", 5, 5), ("open", 0, 0)]
        episodes = pd.DataFrame(rows, columns=["outcome", "months_in_default", "entry_months"])
        frame = outcome_frame(episodes)
        assert frame["lower_months"].tolist() == [3, 0, 7, 7, 0]
        assert frame["upper_months"].tolist() == [4, 1, np.inf, 8, np.inf]
        assert frame.index.tolist() == [0, 1, 2, 3, 5]
        assert list(episodes.columns) == ["outcome", "months_in_default", "entry_months"]


@pytest.fixture(scope="module")
def with_never(prepared_book):
    return estimate_outcomes(simulated(prepared_book, never=0.3), "all")


@pytest.fixture(scope="module")
def ends(prepared_book):
    return estimate_outcomes(prepared_book, "all")


class TestTruth:
    def test_the_ultimate_shares_and_the_share_that_is_never_resolved_are_found(self, with_never):
        ends = with_never.ultimate.set_index("outcome")
        assert list(ends.index) == ["cured", "written_off", "never_resolves"]
        for name, share in {"cured": 0.35, "written_off": 0.35, "never_resolves": 0.3}.items():
            assert ends.loc[name, "value"] == pytest.approx(share, abs=SAMPLING)
            assert ends.loc[name, "lower"] < ends.loc[name, "value"] < ends.loc[name, "upper"]
        assert with_never.fit.distribution == {"cured": "lognormal", "written_off": "lognormal"}

    def test_the_distribution_is_not_chosen_before_the_class_that_never_ends(self, prepared_book):
        # Without that class a log-normal, whose tail is long, describes these Weibull times best.
        frame = outcome_frame(simulated(prepared_book, never=0.3, weibull=True).episodes)
        plain = [outcomes._fit_one(frame, name, 0.95, never_resolves=False) for name in outcomes.DISTRIBUTIONS]
        assert min(plain, key=lambda fit: fit.aic).distribution["cured"] == "lognormal"
        ends = estimate_outcomes(simulated(prepared_book, never=0.3, weibull=True), "all")
        assert ends.fit.distribution["cured"] == "weibull"
        never = ends.ultimate.set_index("outcome").loc["never_resolves"]
        assert never["lower"] < 0.3 < never["upper"]

    def test_ultimate_shares_add_up_to_one(self, with_never):
        assert with_never.ultimate["value"].sum() == pytest.approx(1, abs=SUM)

    def test_where_all_are_resolved_no_share_is_said_to_be_never(self, prepared_book):
        ends = estimate_outcomes(simulated(prepared_book, never=0.0), "all").ultimate
        assert list(ends["outcome"]) == ["cured", "written_off"]
        assert ends["value"].tolist() == pytest.approx([0.5, 0.5], abs=SAMPLING)
        assert ends["value"].sum() == pytest.approx(1, abs=SUM)

    def test_where_loans_were_watched_too_briefly_no_share_is_said_to_be_never(self, prepared_book):
        # half of them never end, but a year tells that from a late end to nobody
        brief = estimate_outcomes(simulated(prepared_book, never=0.5, last=12), "all")
        assert "never_resolves" not in set(brief.ultimate["outcome"])


class TestSample:
    def test_outcomes_and_open_share_add_up_to_one_in_every_month(self, ends):
        month = np.arange(49)
        total = sum(curve(month) for curve in ends.observed.values()) + ends.resolution(month)
        assert total == pytest.approx(np.ones(49))
        at_two_years = ends.shares_at(24)
        assert sum(at_two_years.values()) + ends.resolution(24).item() == pytest.approx(1)

    def test_the_lines_lie_on_the_edges_of_the_areas(self, ends):
        assert ends.basis == "all"
        for month in (6, 12, 24, 36):
            for name, curve in ends.fitted.items():
                assert curve(month).item() == pytest.approx(ends.observed[name](month).item(), abs=ON_THE_CURVE)

    def test_a_month_beyond_the_last_is_read_at_the_last(self, ends):
        assert ends.shares_at(10_000) == ends.shares_at(ends.resolution.times[-1])
        assert ends.last_month < ends.resolution.times[-1]

    def test_a_thin_segment_shows_its_own_outcomes_under_its_parents_lines(self, prepared_book):
        ends = estimate_outcomes(prepared_book, "personal_loan | mountain")
        assert ends.basis == "personal_loan"
        own = prepared_book.restricted("personal_loan | mountain").episodes
        assert ends.resolution.n_at_risk[0] == len(own) - (own["entry_months"] > 0).sum()
        assert ends.fit.n_episodes > 10 * len(own)
        # personal loans have no collateral: nothing is liquidated
        assert set(ends.fitted) == {"cured", "repaid", "sold", "written_off"}

    def test_an_outcome_too_rare_to_be_timed_sends_a_segment_to_its_parent(self, prepared_book):
        # enough closed episodes, but too few written off, and those more than one in a hundred
        episodes = prepared_book.restricted("mortgage | northeast").episodes
        assert (episodes["outcome"] != "open").sum() > 60
        assert (episodes["outcome"] == "written_off").sum() < 3
        assert estimate_outcomes(prepared_book, "mortgage | northeast").basis == "mortgage"

    def test_an_outcome_of_next_to_no_weight_is_set_aside_by_name(self, prepared_book):
        book = simulated(prepared_book, never=0.0)
        book.episodes.loc[[5, 6], "outcome"] = "sold"
        ends = estimate_outcomes(book, "all")
        assert (ends.basis, ends.too_rare) == ("all", ("sold",))
        assert list(ends.ultimate["outcome"]) == ["cured", "written_off"]
        assert "sold" in ends.observed
        assert ends.fit.n_episodes == len(book.episodes)
        assert ends.ultimate_facts() == {"basis": "all", "too_rare": ("sold",), "note": ""}

    def test_where_no_segment_can_time_an_outcome_the_few_are_not_counted_out(self, small_book):
        cured = {"default_date": "2023-01-31", "outcome": "cured"}
        loans = [{**cured, "outcome_date": f"2023-{5 + number % 6:02d}-28"} for number in range(70)]
        ends = estimate_outcomes(small_book([*loans, LOANS[0]]), "all")
        assert (ends.basis, ends.note) == (None, "one of the outcomes is too rare for its time to be estimated")

    def test_what_is_kept_can_be_written(self, ends):
        assert set(ends.tables()) == {"resolution", "ultimate", "incidence"}
        assert json.loads(json.dumps(ends.record()))["basis"] == "all"


class TestTooLittle:
    def test_four_loans_have_observed_shares_and_no_model(self, small_book):
        ends = estimate_outcomes(small_book(LOANS), "all")
        # one sold, one repaid, two open of four
        assert ends.shares_at(24) == {"repaid": 0.25, "sold": 0.25}
        assert ends.last_month == 0  # never ten at risk
        assert (ends.basis, ends.fit, ends.fitted) == (None, None, {})
        assert ends.note == "there are fewer than 10 closed episodes, and the model needs 60"
        assert set(ends.tables()) == {"resolution", "incidence"}
        assert ends.record()["model"] is None

    def test_loans_that_are_all_open_have_no_outcome(self, small_book):
        ends = estimate_outcomes(small_book(LOANS[2:]), "all")
        assert ends.observed == {}
        assert ends.resolution.values.tolist()[-1] == 1.0
        assert list(ends.tables()) == ["resolution"]

    def test_a_segment_without_default_is_refused(self, small_book):
        with pytest.raises(InsufficientDataError, match="no default episode in segment"):
            estimate_outcomes(small_book(LOANS), "card | west")

    def test_a_curve_without_number_at_risk_is_told_from_its_start(self, prepared_book):
        curve = replace(estimate_outcomes(prepared_book, "all", minimum_closed=10**6).resolution, n_at_risk=None)
        assert last_told_month(curve) == 0


class TestConvergence:
    def failing(self, monkeypatch, *, fails):
        fit = outcomes._fit_one

        def fit_or_fail(frame, distribution, level, *, never_resolves):
            if fails(distribution, never_resolves):
                raise ConvergenceError("no start converged")
            return fit(frame, distribution, level, never_resolves=never_resolves)

        monkeypatch.setattr(outcomes, "_fit_one", fit_or_fail)

    def test_a_distribution_that_does_not_converge_does_not_cost_the_others(self, prepared_book, monkeypatch):
        self.failing(monkeypatch, fails=lambda name, never: name == "lognormal")
        ends = estimate_outcomes(prepared_book, "mortgage", distributions=["lognormal", "weibull"])
        assert set(ends.fit.distribution.values()) == {"weibull"}

    def test_a_class_that_never_ends_and_does_not_converge_is_left_out(self, prepared_book, monkeypatch):
        self.failing(monkeypatch, fails=lambda name, never: never)
        ends = estimate_outcomes(prepared_book, "mortgage", distributions=["weibull"])
        assert ends.basis == "mortgage"
        assert not ends.fit.never_resolves

    def test_where_nothing_converges_anywhere_the_reason_is_kept(self, prepared_book, monkeypatch):
        self.failing(monkeypatch, fails=lambda name, never: True)
        ends = estimate_outcomes(prepared_book, "mortgage", distributions=["weibull"])
        assert (ends.basis, ends.note) == (None, "no start converged")

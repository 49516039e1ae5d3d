"""The checks of a cure model: the plateau's answers by hand, residuals and calibration on books with a known truth."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recoverykit.estimators.mixture_cure import MixtureCureModel
from recoverykit.portfolio.cure_checks import calibrate, check_plateau, plateau_answers, residual_hazard
from recoverykit.portfolio.cure_model import time_to_cure_frame
from recoverykit.portfolio.outcomes import observe_outcomes
from recoverykit.portfolio.time_to_cure import estimate_time_to_cure

ROUNDING = 1e-12
N = 3000
# Two standard errors of a cumulative hazard of about 0.7 among 3,000 loans of which half are left.
CLOSE = 2 * (0.7 / 1500) ** 0.5


def loans(*, never=0.5, last=60, watched_from=30, entry=0.0, seed=11):
    """Loans of which a share never cures; the others do after a Weibull time, months two at the earliest."""
    rng = np.random.default_rng(seed)
    ever = rng.random(N) >= never
    month = np.where(ever, 2 + np.ceil(8 * rng.weibull(1.4, N)), np.inf)
    observed = rng.integers(watched_from, last + 1, N).astype(float)
    cured = month <= observed
    return pd.DataFrame(
        {
            "obligor_id": [f"o{number}" for number in range(N)],
            "product": "loan",
            "region": "west",
            "outcome": np.where(cured, "cured", "open"),
            "months_in_default": np.where(cured, month, observed),
            "observed_months": observed,
            "entry_months": entry,
        }
    )


def fitted(episodes, distribution="weibull"):
    frame = time_to_cure_frame(episodes, dead_months=2)
    columns = {"lower_col": "lower_months", "upper_col": "upper_months", "entry_col": "cure_entry_months"}
    return MixtureCureModel(distribution=distribution).fit(frame, **columns), frame


def cured_curve(book, episodes):
    return observe_outcomes(replace(book, episodes=episodes), level=0.95)[0]["cured"]


class TestPlateau:
    def test_answers_count_months_from_the_default(self):
        # Ten cures in month 5 and one in 7, nine loans watched to month 12: the plateau is 12 - 7 = 5 months, and the
        # window before the last cure reaches back to month 2, so that all 11 cures lie in it: q = 11 / 20.
        episodes = pd.DataFrame(
            {
                "outcome": ["cured"] * 11 + ["open"] * 9,
                "months_in_default": [5] * 10 + [7] + [12] * 9,
                "observed_months": [12] * 20,
                "entry_months": [0] * 20,
            }
        )
        found = check_plateau(time_to_cure_frame(episodes, dead_months=2), level=0.95)
        told = plateau_answers(found, 2).set_index("answer")
        assert told.loc["last_cure", "value"] == 7
        assert told.loc["last_watched", "value"] == 12
        assert told.loc["n_beyond", "value"] == 9
        assert told.loc["n_beyond", "verdict"] == "doubts"  # fewer than ten
        assert told.loc["q_n", "value"] == pytest.approx(11 / 20, abs=ROUNDING)
        assert told.loc["alpha_n_cures", "value"] == pytest.approx((9 / 20) ** 20, abs=ROUNDING)
        assert told.loc["q_n", "verdict"] == told.loc["alpha_n_cures", "verdict"] == "supports"
        assert told.loc[["last_cure", "last_watched"], "verdict"].tolist() == ["describes"] * 2

    def test_a_long_watch_over_a_true_plateau_is_supported_by_every_answer(self):
        found = check_plateau(time_to_cure_frame(loans(), dead_months=2), level=0.95)
        told = plateau_answers(found, 2)
        assert len(told) == 9
        assert set(told["verdict"]) == {"describes", "supports"}
        assert told.set_index("answer").loc["receus", "detail"] == "weibull"

    def test_a_watch_that_ends_while_loans_still_cure_is_doubted(self):
        brief = loans(never=0.0, watched_from=4, last=9)
        told = plateau_answers(check_plateau(time_to_cure_frame(brief, dead_months=2), level=0.95), 2)
        verdicts = told.set_index("answer")["verdict"]
        assert verdicts[["n_beyond", "alpha_n", "q_n", "shen", "receus"]].tolist() == ["doubts"] * 5

    def test_loans_first_seen_late_are_not_counted_as_watched_from_the_start(self):
        late = loans().assign(entry_months=lambda f: np.where(f.index < 100, 20.0, 0.0))
        late = late[(late["entry_months"] == 0) | (late["months_in_default"] > 20)]
        n_late = int((late["entry_months"] > 0).sum())
        found = check_plateau(time_to_cure_frame(late, dead_months=2), level=0.95)
        assert 0 < n_late == len(late) - found.n_episodes

    def test_without_a_cure_there_is_no_answer(self):
        nobody = loans(never=1.0)
        assert check_plateau(time_to_cure_frame(nobody, dead_months=2), level=0.95) is None
        assert plateau_answers(None, 2).empty


class TestResiduals:
    def test_under_the_true_model_they_follow_the_diagonal(self):
        fit, frame = fitted(loans())
        curve = residual_hazard(fit, frame, level=0.95)
        told = (curve.n_at_risk >= 10) & (curve.values > 0)
        inside = (curve.lower <= curve.times) & (curve.times <= curve.upper)
        assert inside[told].mean() > 0.95
        assert np.abs(curve.values - curve.times)[told].max() < CLOSE

    def test_a_wrong_model_leaves_it(self):
        # a time to cure with two humps, two months and thirty, is no log-normal
        two = loans(never=0.3, last=72, watched_from=60)
        hump = two.index % 2 == 0
        month = np.where(hump, 3, np.minimum(two["months_in_default"] + 25, 58.0))
        two = two.assign(months_in_default=np.where(two["outcome"] == "cured", month, two["months_in_default"]))
        fit, frame = fitted(two, "lognormal")
        curve = residual_hazard(fit, frame, level=0.95)
        assert np.abs(curve.values - curve.times)[curve.n_at_risk >= 10].max() > 3 * CLOSE

    def test_a_loan_counts_from_its_entry(self):
        # residuals of late entries leave out what was gone through before
        late = loans()
        late = late[late["months_in_default"] > 6]
        fit, frame = fitted(late.assign(entry_months=6.0))
        curve = residual_hazard(fit, frame, level=0.95)
        told = curve.n_at_risk >= 10
        assert np.abs(curve.values - curve.times)[told].max() < CLOSE
        assert curve.n_at_risk[0] == len(late)

    def test_the_gap_is_read_where_enough_are_at_risk(self, prepared_book):
        cure = estimate_time_to_cure(prepared_book, "mortgage", drivers=[], distributions=["weibull"])
        gap = cure.residual_gap()
        curve = cure.residuals
        told = (curve.n_at_risk >= 10) & (curve.values > 0)
        assert gap["largest_gap"] == np.abs(curve.values - curve.times)[told].max()
        assert 0.8 < gap["share_inside"] <= 1


class TestCalibration:
    def test_predicted_and_observed_shares_agree_under_the_true_model(self, prepared_book):
        episodes = loans()
        fit, _ = fitted(episodes)
        table = calibrate(fit, episodes, cured_curve(prepared_book, episodes), dead_months=2)
        # without drivers all predictions are the same, so there is one group
        assert table["group"].tolist() == ["all loans"] * 3
        assert table["months"].tolist() == [6, 12, 24]
        # by hand: the share cured by month 6, nobody being censored before month 30
        by_six = ((episodes["outcome"] == "cured") & (episodes["months_in_default"] <= 6)).mean()
        assert table["observed"].iloc[0] == pytest.approx(by_six, abs=ROUNDING)
        months = np.array([6, 12, 24]) - 2
        assert table["predicted"].tolist() == pytest.approx(
            (1 - fit.never.value) * (1 - latency_survival(fit, months)), abs=1e-9
        )
        assert table["difference"].abs().max() < 3 * (0.25 / N) ** 0.5  # three standard errors of a share

    def test_thirds_of_a_driven_prediction_rise(self, prepared_book):
        cure = estimate_time_to_cure(prepared_book, "all", drivers=["credit_score"], distributions=["weibull"])
        table = cure.calibration
        assert table["group"].tolist() == ["lowest third", "middle third", "highest third"] * 3
        assert (table.groupby("months")["predicted"].diff().dropna() > 0).all()
        assert table["difference"].to_numpy() == pytest.approx((table["observed"] - table["predicted"]).to_numpy())

    def test_a_borrowed_model_is_held_against_the_segments_own_loans(self, prepared_book):
        cure = estimate_time_to_cure(prepared_book, "mortgage | mountain", drivers=[], distributions=["weibull"])
        own = prepared_book.restricted("mortgage | mountain").episodes
        assert cure.basis_segment == "mortgage"
        assert set(cure.calibration["n_episodes"]) == {(own["entry_months"] == 0).sum()}
        assert set(cure.calibration["group"]) == {"all loans"}

    def test_months_with_fewer_than_ten_at_risk_are_not_compared(self, prepared_book):
        young = loans(watched_from=1, last=8)
        fit, _ = fitted(loans())
        assert calibrate(fit, young, cured_curve(prepared_book, young), dead_months=2)["months"].tolist() == [6]

    def test_loans_that_were_all_first_seen_late_cannot_be_compared(self, prepared_book):
        late = loans()
        fit, _ = fitted(late)
        late = late[late["months_in_default"] > 3].assign(entry_months=3.0)
        table = calibrate(fit, late, cured_curve(prepared_book, late), dead_months=2)
        assert table.empty
        assert "predicted" in table


def latency_survival(fit, months):
    """Survival of those that ever cure, from the parameters: exp(-(t / scale) ** shape)."""
    location = fit.params["latency"].iloc[0]
    shape = np.exp(-fit.params["ancillary"].iloc[0])
    return np.exp(-((months / np.exp(location)) ** shape))

"""Court: phases with competing ends, classes of endings, packages among like cases, load and cost to the cent."""

import lifelines
import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.contingency_tables import StratifiedTable

import recoverykit as rk
from recoverykit.operations._cents import cents

DATE = "2026-06-30"
#: Rates by counting here, by two Newton solvers there.
SOLVERS = 1e-6


def filed(rows):
    columns = ["court", "filing_date", "hearing_date", "judgment_date", "settlement_date", "withdrawal_date"]
    columns += ["enforcement_date", "judgment", "package_complete", "claim_amount", "recovered_amount", "cost_amount"]
    frame = pd.DataFrame(rows, columns=columns)
    for name in columns[1:7]:
        frame[name] = pd.to_datetime(frame[name])
    return frame.assign(case_id=[f"C{i}" for i in range(len(frame))], facility_id="F", unit="alpha")


@pytest.fixture
def court():
    """Seven cases of two courts."""
    n = None
    return filed(
        [
            ("north", "2026-01-01", "2026-02-10", "2026-03-02", n, n, "2026-04-01", "won", True, 100.10, 80.05, 10.01),
            ("north", "2026-01-01", "2026-02-10", n, "2026-03-02", n, n, n, True, 200.20, 150.0, 20.02),
            ("north", "2026-01-01", n, "2026-01-31", n, n, n, "lost", False, 300.30, 0.0, 30.03),  # without a hearing
            ("north", "2026-05-01", n, n, n, n, n, n, False, 400.40, 0.0, 0.04),  # open
            ("south", "2026-02-01", "2026-03-03", n, n, "2026-04-02", n, n, False, 500.50, 0.0, 5.05),
            ("south", "2026-02-01", "2026-03-03", "2026-05-02", n, n, n, "partly_won", True, 600.60, 60.0, 6.06),
            ("south", "2026-02-01", n, "2026-05-02", "2026-05-02", n, n, "won", True, 700.70, 70.0, 7.07),  # a tie
        ]
    )


def phase(court, name):
    phases = rk.court_phases(court, reporting_date=DATE)
    return phases[phases["phase"] == name].set_index("case_id")[["days", "outcome"]].T.to_dict("list")


def test_phases_by_hand(court):
    # 1 January to 10 February: 40 days; to 2 March: 60; 1 May to 30 June: 60; 1 February to 3 March: 30
    assert phase(court, "filing_to_hearing") == {
        "C0": [40, "hearing"],
        "C1": [40, "hearing"],
        "C2": [30, "judgment"],
        "C3": [60, "open"],
        "C4": [30, "hearing"],
        "C5": [30, "hearing"],
        "C6": [90, "settled"],
    }
    assert phase(court, "hearing_to_judgment") == {
        "C0": [20, "judgment"],
        "C1": [20, "settled"],
        "C4": [30, "withdrawn"],
        "C5": [60, "judgment"],
    }
    assert phase(court, "filing_to_judgment")["C6"] == [90, "settled"]  # settled on the day of the judgment
    assert phase(court, "judgment_to_enforcement") == {
        "C0": [30, "enforcement"],
        "C2": [0, "no_claim"],
        "C5": [59, "open"],
        "C6": [0, "settled"],
    }


def test_nothing_later_than_the_reporting_date_is_known(court):
    then = rk.court_phases(court, reporting_date="2026-02-28")
    early = then[then["phase"] == "filing_to_judgment"].set_index("case_id")
    assert early["outcome"].to_dict() == {
        "C0": "open", "C1": "open", "C2": "judgment", "C4": "open", "C5": "open", "C6": "open"
    }  # fmt: skip
    assert early.loc["C0", "days"] == 58
    wins = rk.win_rates(court, reporting_date="2026-02-28", by=())
    assert wins[["n_cases", "n_lost", "n_open"]].iloc[0].tolist() == [6, 1, 5]


def test_competing_ends_by_hand(court):
    found = rk.phase_durations(rk.court_phases(court, reporting_date=DATE), by=(), horizons=[60, 90])
    curves = found.curves["all"]
    # seven cases: day 30 judged; day 60 judged, settled, withdrawn and one open; day 90 judged and settled
    # day 30: 1/7; day 60: 6/7 left, six at risk: judgment 1/6, settled 1/6, withdrawn 1/6: 1/7 each, 3/7 still open;
    # one is censored on day 60, two at risk on day 90: judgment 1/2, settled 1/2 of 3/7
    assert curves["judgment"]([30, 60, 90]).tolist() == pytest.approx([1 / 7, 2 / 7, 2 / 7 + 3 / 14])
    assert curves["settled"]([60, 90]).tolist() == pytest.approx([1 / 7, 1 / 7 + 3 / 14])
    assert sum(curve(90).item() for curve in curves.values()) == pytest.approx(1.0)
    row = found.table.set_index("outcome").loc["judgment"]
    assert row["median_days"] == 90
    assert row["n_events"] == 3
    assert row["n_at_risk_60"] == 6
    assert row["n_at_risk_90"] == 2
    assert np.isnan(found.table.set_index("outcome").loc["settled", "median_days"])


def test_competing_ends_are_those_of_lifelines_on_untied_days():
    rng = np.random.default_rng(8)
    days = rng.permutation(np.arange(1, 201))
    ends = rng.choice(["judgment", "settled", "withdrawn", "open"], 200)
    phases = pd.DataFrame({"phase": "filing_to_judgment", "days": days, "outcome": ends})
    ours = rk.phase_durations(phases, by=()).curves["all"]
    codes = pd.Series(ends).map({"open": 0, "judgment": 1, "settled": 2, "withdrawn": 3})
    for code, name in enumerate(["judgment", "settled", "withdrawn"], 1):
        theirs = lifelines.AalenJohansenFitter(calculate_variance=False).fit(days, codes, event_of_interest=code)
        at = theirs.cumulative_density_.iloc[:, 0]
        assert ours[name](at.index.to_numpy()).tolist() == pytest.approx(at.tolist(), abs=1e-9)


def test_days_of_decided_cases_alone_would_praise_the_court():
    rng = np.random.default_rng(6)
    filed_on = pd.Timestamp("2024-07-01") + pd.to_timedelta(rng.integers(0, 729, 4000), "D")
    days = rng.exponential(500, 4000).astype(int) + 1
    judged = (filed_on + pd.to_timedelta(days, "D")).where(filed_on + pd.to_timedelta(days, "D") <= DATE)
    frame = filed([("n", d, None, None, None, None, None, None, True, 1.0, 0.0, 0.0) for d in filed_on])
    frame = frame.assign(judgment_date=judged, judgment=np.where(judged.notna(), "won", None))
    found = rk.phase_durations(rk.court_phases(frame, reporting_date=DATE), horizons=[365])
    truth = 500 * np.log(2)
    row = found.table.iloc[0]
    assert row["lower"] < truth < row["upper"]
    assert frame["judgment_date"].sub(frame["filing_date"]).dt.days.median() < 0.7 * truth


def test_a_case_that_was_settled_before_its_hearing_never_waits_for_a_judgment_after_it():
    n = None
    rows = [
        ("n", "2026-01-01", "2026-03-03", n, "2026-02-01", n, n, n, True, 1.0, 0.0, 0.0),  # a hearing that was not held
        ("n", "2026-01-01", "2026-03-03", n, "2026-03-03", n, n, n, True, 1.0, 0.0, 0.0),  # settled at the hearing
        ("n", "2026-01-01", "2026-01-11", "2026-05-01", n, "2026-02-01", n, "won", True, 1.0, 0.0, 0.0),
    ]
    ends = {"C0": [31, "settled"], "C1": [61, "hearing"], "C2": [10, "hearing"]}
    assert phase(filed(rows), "filing_to_hearing") == ends
    assert phase(filed(rows), "hearing_to_judgment") == {"C1": [0, "settled"], "C2": [21, "withdrawn"]}
    assert phase(filed(rows), "judgment_to_enforcement") == {}


def test_where_no_case_has_ended_tables_are_empty_and_pages_say_so():
    rows = [("north", "2026-05-01", None, None, None, None, None, None, True, 1.0, 0.0, 0.0)] * 12
    young = filed(rows)
    found = rk.phase_durations(rk.court_phases(young, reporting_date=DATE), horizons=[30])
    assert found.table.empty
    ended = filed([("north", "2026-01-01", None, "2026-05-01", None, None, None, "won", True, 1.0, 0.0, 0.0)] * 12)
    other = rk.phase_durations(rk.court_phases(ended, reporting_date=DATE), horizons=[30]).table
    assert found.table.dtypes.to_dict() == other.dtypes.to_dict()
    assert rk.plot_court_phases(found.curves).alt == "No case has ended yet: not shown."
    assert "Too few cases were decided" in rk.sentence_court_days(found.table)
    card = rk.unit_scorecards(reporting_date=DATE, court=young)
    assert card.measures["measure"].tolist() == ["win_rate"]


def test_endings_by_hand(court):
    wins = rk.win_rates(court, reporting_date=DATE).set_index("court")
    north = wins.loc["north", ["n_cases", "n_won", "n_partly_won", "n_lost", "n_settled", "n_withdrawn", "n_open"]]
    assert north.tolist() == [4, 1, 0, 1, 1, 0, 1]
    assert wins.loc["north", "win_rate"] == 0.5
    assert wins.loc["south", ["n_decided", "win_rate", "partly_win_rate"]].tolist() == [1, 0.0, 1.0]
    assert wins["settled_rate"].to_numpy() == pytest.approx([1 / 3, 1 / 3])
    classes = [f"n_{name}" for name in ("won", "partly_won", "lost", "settled", "withdrawn", "open")]
    assert (wins[classes].sum(axis=1) == wins["n_cases"]).all()


def test_money_is_exact_and_parts_give_the_whole(court):
    costs = rk.court_costs(court, reporting_date=DATE).set_index("court")
    assert costs.loc["north"].tolist()[:5] == [4, 1001.0, 230.05, 60.1, 169.95]
    assert costs.loc["north", "cost_per_recovered"] == pytest.approx(60.1 / 230.05)
    for name in ("n_cases", "claim_amount", "recovered_amount", "cost_amount", "net_amount"):
        whole = np.rint(costs.loc["all", name] * 100)
        assert np.rint(costs.loc[["north", "south"], name] * 100).sum() == whole


def test_work_that_needs_no_money_is_the_same_where_no_money_is_known(court):
    unknown = court.assign(recovered_amount=np.nan, cost_amount=np.nan)
    for ask in (rk.court_phases, rk.win_rates, rk.court_capacity):
        pd.testing.assert_frame_equal(ask(unknown, reporting_date=DATE), ask(court, reporting_date=DATE))
    measures = [rk.unit_scorecards(reporting_date=DATE, court=cases).measures for cases in (unknown, court)]
    pd.testing.assert_frame_equal(*measures)
    costs = rk.court_costs(unknown, reporting_date=DATE)
    assert costs["n_unknown"].tolist() == [4, 3, 7]
    of_money = ["recovered_amount", "cost_amount", "net_amount", "cost_per_recovered", "recovery_rate"]
    assert costs[of_money].isna().all(None)
    assert costs["claim_amount"].tolist() == [1001.0, 1801.8, 2802.8]


def test_what_is_known_of_money_is_summed_and_the_rest_counted(court):
    part = court.assign(cost_amount=court["cost_amount"].mask(court["case_id"] == "C0"))
    north = rk.court_costs(part, reporting_date=DATE).set_index("court").loc["north"]
    # C0 brought 80.05 at a cost that is not known: 230.05 recovered in all; without it cost 50.09 and net 150 - 50.09
    assert north[["n_cases", "n_unknown", "recovered_amount", "cost_amount"]].tolist() == [4, 1, 230.05, 50.09]
    assert north["net_amount"] == 99.91
    assert north["cost_per_recovered"] == pytest.approx(50.09 / 150.0)
    assert north["recovery_rate"] == pytest.approx(150.0 / 900.9)


@pytest.mark.parametrize("amount", [-1.0, np.inf, "much"])
def test_an_amount_that_is_given_must_be_one(court, amount):
    with pytest.raises(rk.ContractError, match="cost_amount must be an amount 0 or more: 1 row, first row 0"):
        rk.court_costs(court.assign(cost_amount=[amount] + [1.0] * 6), reporting_date=DATE)


def test_amounts_that_no_float_holds_are_whole_cents():
    # 0.29 times 100 is 28.999999999999996
    assert cents(pd.Series([0.29, 1.15, 4.35])).tolist() == [29, 115, 435]


def test_load_by_hand_and_what_waits_is_what_came_less_what_went(court):
    load = rk.court_capacity(court, reporting_date=DATE).set_index(["court", "period"])
    # north: three filed in the first quarter, all of them ended in it; one filed in the second and still there
    assert load.loc[("north", "2026Q1"), ["n_filed", "n_finished", "n_pending"]].tolist() == [3, 3, 0]
    assert load.loc[("north", "2026Q2"), ["n_start", "n_filed", "n_finished", "n_pending"]].tolist() == [0, 1, 0, 1]
    # finished 3 in two quarters: 1.5 a quarter, 0.5 a month; one pending is two months of work
    assert load.loc[("north", "2026Q2"), "backlog_months"] == pytest.approx(2.0)
    assert load.loc[("north", "2026Q1"), "clearance_rate"] == 1.0
    assert (load["n_pending"] == load["n_start"] + load["n_filed"] - load["n_finished"]).all()
    after = load.groupby("court")["n_pending"].shift()
    assert (load["n_start"] == after.fillna(0)).all()


def test_backlog_goes_by_the_pace_of_the_last_four_periods(court):
    load = rk.court_capacity(court, reporting_date=DATE, period="M").set_index(["court", "period"])
    # north finished one case in January, none in February, two in March and none since: 2 in the last four months
    assert load.loc["north", "n_finished"].tolist() == [1, 0, 2, 0, 0, 0]
    assert load.loc[("north", "2026-06"), "backlog_months"] == pytest.approx(1 / 0.5)


def test_a_period_cut_short_has_no_backlog(court):
    load = rk.court_capacity(court, reporting_date="2026-05-15", by="")
    assert load["is_complete"].tolist() == [True, False]
    assert np.isnan(load["backlog_months"].iloc[-1])


def packages(seed, n_cases=1500, effect=0.15):
    """Large claims in the first court have complete packages and win: completeness adds only ``effect``."""
    rng = np.random.default_rng(seed)
    court, large = rng.integers(0, 3, n_cases), rng.random(n_cases) < 0.5
    complete = rng.random(n_cases) < 0.2 + 0.3 * large + np.array([0.3, 0.1, 0.0])[court]
    chance = 0.2 + 0.25 * large + np.array([0.2, 0.1, 0.0])[court] + effect * complete
    won = rng.random(n_cases) < chance
    filing = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 500, n_cases), "D")
    frame = filed([("x", d, None, None, None, None, None, None, True, 1.0, 0.0, 0.0) for d in filing])
    return frame.assign(
        court=np.array(["c0", "c1", "c2"])[court],
        package_complete=complete,
        claim_amount=np.where(large, rng.uniform(5000, 9000, n_cases), rng.uniform(100, 900, n_cases)).round(2),
        judgment_date=filing + pd.to_timedelta(rng.integers(30, 300, n_cases), "D"),
        judgment=np.where(won, "won", "lost"),
    )


def test_effect_by_hand_in_two_strata():
    # north: complete 8 of 10 won, incomplete 4 of 10: 0.4; south: complete 6 of 10, incomplete 15 of 30: 0.1
    # standardised: (20 * 0.4 + 40 * 0.1) / 60 = 0.2; overlap weights 10 * 10 / 20 = 5 and 10 * 30 / 40 = 7.5: 0.22
    rows = []
    for court, complete, won, n in [
        ("north", True, 8, 10), ("north", False, 4, 10), ("south", True, 6, 10), ("south", False, 15, 30)
    ]:  # fmt: skip
        for place in range(n):
            judgment = "won" if place < won else "lost"
            rows.append((court, "2025-01-01", None, "2025-03-01", None, None, None, judgment, complete, 10.0, 0.0, 0.0))
    found = rk.package_effect(filed(rows), reporting_date=DATE, n_size_bands=1)
    estimates = found.estimates.set_index("design")
    assert estimates.loc["standardised", "difference"] == pytest.approx(0.2)
    assert estimates.loc["overlap_weighted", "difference"] == pytest.approx((5 * 0.4 + 7.5 * 0.1) / 12.5)
    assert estimates.loc["naive", "difference"] == pytest.approx(14 / 20 - 19 / 40)
    assert estimates["is_sound"].to_dict() == {"standardised": True, "overlap_weighted": True, "naive": False}
    assert found.overlap_rate == 1.0


def test_overlap_weighted_difference_points_where_mantel_haenszel_does():
    frame = packages(1)
    found = rk.package_effect(frame, reporting_date=DATE)
    tables = []
    for _, own in found.strata.iterrows():
        won = np.rint([own["complete_rate"] * own["n_complete"], own["incomplete_rate"] * own["n_incomplete"]])
        tables.append(np.column_stack([won, np.array([own["n_complete"], own["n_incomplete"]]) - won]))
    theirs = StratifiedTable([table.astype(float) for table in tables])
    row = found.estimates.set_index("design").loc["overlap_weighted"]
    z = row["difference"] / row["standard_error"]
    assert z**2 == pytest.approx(theirs.test_null_odds(correction=False).statistic, rel=0.08)  # another variance


def test_standardised_difference_is_that_of_weighting_with_both_models_saturated():
    frame = packages(2, n_cases=3000)
    frame = frame.assign(size=np.where(frame["claim_amount"] > 1000, "large", "small"))
    ours = rk.package_effect(frame, reporting_date=DATE, strata=("court", "size"), n_size_bands=1)
    row = ours.estimates.set_index("design").loc["standardised"]
    ready = frame.assign(won=(frame["judgment"] == "won").astype(int), complete=frame["package_complete"].astype(int))
    theirs = rk.aipw_effect(ready, treated_col="complete", outcome_col="won", propensity="~ C(court) * C(size)").effect
    assert row["difference"] == pytest.approx(theirs.effect, abs=SOLVERS)
    # theirs takes the mix of strata as drawn, ours as given
    assert row["standard_error"] == pytest.approx(theirs.standard_error, rel=0.03)


def test_naive_contrast_is_wrong_and_marked_so_where_the_design_is_right():
    found = rk.package_effect(packages(3, n_cases=20_000), reporting_date=DATE)
    estimates = found.estimates.set_index("design")
    assert estimates.loc["naive", "lower"] > 0.2  # far from the 0.15 that packages do
    assert estimates.loc["standardised", "lower"] < 0.15 < estimates.loc["standardised", "upper"]


def test_strata_without_both_kinds_are_left_out_and_counted():
    frame = packages(4)
    frame.loc[frame["court"] == "c2", "package_complete"] = False
    found = rk.package_effect(frame, reporting_date=DATE)
    assert found.n_outside == (frame["court"] == "c2").sum()
    assert not found.strata.loc[found.strata["court"] == "c2", "is_compared"].any()
    assert found.n_cases + found.n_young == len(frame)


def test_equal_claims_share_a_band_and_unequal_ones_are_not_thrown_together():
    # claims of 100: 2 of 10 complete and 18 of 90 incomplete won, 0.2 each; of 200: 40 of 50 and 8 of 10, 0.8 each
    rows = []
    for claim, complete, won, n in [(100.0, True, 2, 10), (100.0, False, 18, 90), (200.0, True, 40, 50),
                                    (200.0, False, 8, 10)]:  # fmt: skip
        for place in range(n):
            judgment = "won" if place < won else "lost"
            rows.append(("n", "2025-01-01", None, "2025-03-01", None, None, None, judgment, complete, claim, 0.0, 0.0))
    found = rk.package_effect(filed(rows), reporting_date=DATE)
    assert found.strata["claim_size"].tolist() == ["band 1 of 2", "band 2 of 2"]
    estimates = found.estimates.set_index("design")["difference"]
    assert estimates["standardised"] == pytest.approx(0.0, abs=1e-12)
    assert estimates["naive"] == pytest.approx(42 / 60 - 26 / 100)


def test_claims_that_are_all_equal_are_one_band():
    found = rk.package_effect(packages(7).assign(claim_amount=500.0), reporting_date=DATE, strata=())
    assert found.strata["claim_size"].tolist() == ["band 1 of 1"]


def test_cases_of_which_no_recovery_is_known_are_left_out_and_counted():
    frame = packages(8).assign(recovered_amount=lambda cases: (cases["judgment"] == "won") * 10.0)
    unknown = frame.index % 5 == 0
    part = frame.assign(recovered_amount=frame["recovered_amount"].mask(unknown), cost_amount=np.nan)
    found = rk.package_effect(part, reporting_date=DATE, outcome="recovered")
    assert found.n_unknown == unknown.sum()
    assert found.n_cases + found.n_young + found.n_unknown == len(frame)
    without = rk.package_effect(frame[~unknown], reporting_date=DATE, outcome="recovered")
    pd.testing.assert_frame_equal(found.estimates, without.estimates)
    assert rk.package_effect(part, reporting_date=DATE).n_unknown == 0
    with pytest.raises(rk.InsufficientDataError, match="of no case filed by then is recovered_amount known"):
        rk.package_effect(frame.assign(recovered_amount=np.nan), reporting_date=DATE, outcome="recovered")


@pytest.mark.parametrize(
    "column",
    ["hearing_date", "judgment_date", "settlement_date", "withdrawal_date", "enforcement_date", "judgment",
     "recovered_amount", "cost_amount"],
)  # fmt: skip
def test_cases_are_not_compared_within_what_is_known_only_after_the_filing(court, column):
    with pytest.raises(rk.RefusedColumnError, match=column):
        rk.package_effect(court, reporting_date=DATE, strata=("court", column))


def test_cases_too_young_to_be_judged_are_not_compared():
    frame = packages(5)
    found = rk.package_effect(frame, reporting_date="2025-06-30")
    young = frame["filing_date"] + pd.Timedelta(days=365) > "2025-06-30"
    assert found.n_young + found.n_cases == (frame["filing_date"] <= "2025-06-30").sum()
    assert found.n_cases == (~young).sum()


def test_what_the_court_table_breaks_is_named_at_once(court):
    wrong = court.assign(
        hearing_date=court["filing_date"] - pd.Timedelta(days=1), package_complete=["yes"] + [True] * 6
    )
    with pytest.raises(rk.ContractError, match="hearing_date must not lie before filing_date"):
        rk.court_phases(wrong, reporting_date=DATE)
    with pytest.raises(rk.ContractError, match="package_complete must be True or False"):
        rk.court_phases(court.assign(package_complete="yes"), reporting_date=DATE)
    worse = wrong.assign(case_id="C", claim_amount=0.0, unit=None)
    with pytest.raises(rk.ContractError, match="5 rules") as error:
        rk.court_phases(worse, reporting_date=DATE)
    for words in ("unit must not be", "claim_amount must be", "hearing_date must not", "case_id must not repeat"):
        assert words in str(error.value)


def test_a_column_that_is_not_there_and_a_case_without_its_group_are_named(court):
    with pytest.raises(rk.ContractError, match="column 'judgment' is missing"):
        rk.win_rates(court.drop(columns="judgment"), reporting_date=DATE)
    for ask in (rk.win_rates, rk.court_costs, rk.court_capacity):
        with pytest.raises(rk.ContractError, match="column 'region' is missing"):
            ask(court, reporting_date=DATE, by="region")
        with pytest.raises(rk.ContractError, match="region must not be missing: 1 row"):
            ask(court.assign(region=["a"] * 6 + [None]), reporting_date=DATE, by="region")


def test_without_a_case_by_the_reporting_date_there_is_nothing_to_tell(court):
    for ask in (rk.court_phases, rk.win_rates, rk.court_costs, rk.court_capacity, rk.package_effect):
        with pytest.raises(rk.InsufficientDataError, match="no case was filed by 2025-12-31"):
            ask(court, reporting_date="2025-12-31")


@pytest.mark.slow
@pytest.mark.parametrize("effect", [0.0, 0.15])
def test_interval_of_the_package_effect_holds_the_truth(effect):
    held, n_seeds = {"standardised": 0, "overlap_weighted": 0}, 300
    for seed in range(n_seeds):
        table = rk.package_effect(packages(seed, n_cases=700, effect=effect), reporting_date=DATE).estimates
        for design, row in table.set_index("design").iloc[:2].iterrows():
            held[design] += row["lower"] <= effect <= row["upper"]
    for count in held.values():
        assert count / n_seeds == pytest.approx(0.95, abs=0.032)  # two and a half standard errors of 300 trials

"""Figures are tested by what they draw and by what they say, not by their pixels."""

import base64
import re

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from recoverykit.curves import StepCurve
from recoverykit.report import plots, theme
from recoverykit.report._axes import cut, month_ticks, n_at_risk_at, spread
from recoverykit.report.figures import ReportFigure
from recoverykit.vocabulary import CLOSED_OUTCOMES, Outcome

MONTHS = np.array([0.0, 6.0, 12.0, 24.0])
AT_RISK = np.array([200.0, 150.0, 80.0, 12.0])
#: Drawn positions pass through float arrays only.
EXACT = 1e-12


def curve(values, at_risk=AT_RISK, band=0.02):
    values = np.asarray(values, dtype=float)
    return StepCurve(times=MONTHS, values=values, lower=values - band, upper=values + band, n_at_risk=at_risk)


def plain(text):
    """Return a text with ordinary spaces."""
    return text.replace("\u202f", " ").replace("\u00a0", " ")


def texts(figure, gid):
    return [plain(text.get_text()) for text in figure.axes[0].texts if text.get_gid() == gid]


def outcome_curves():
    return {
        "cured": curve([0, 0.2, 0.35, 0.41]),
        "repaid": curve([0, 0.05, 0.1, 0.12]),
        "written_off": curve([0, 0.0, 0.05, 0.2]),
    }


def triangle(n_vintages=2, at_risk=50):
    rows = [
        (f"{2022 + place // 4}Q{place % 4 + 1}", month, 100.0, 10.0 * (month > 0), at_risk)
        for place in range(n_vintages)
        for month in range(4)
    ]
    columns = ["default_vintage", "month", "ead_at_risk", "present_value_amount", "n_at_risk"]
    return pd.DataFrame(rows, columns=columns)


def lgd_by_segment():
    return pd.DataFrame(
        {
            "segment": ["mortgage | west", "card | west", "auto | west"],
            "closed_only_lgd": [0.2, 0.6, 0.3],
            "all_in_lgd": [0.25, 0.7, 0.5],
            "lower": [0.2, 0.6, 0.4],
            "upper": [0.3, 0.8, 0.6],
            "n_episodes": [120, 40, 9],
        }
    )


def allowance_by_segment(n_segments=3):
    gross = 1000.0 * np.arange(1, n_segments + 1)
    return pd.DataFrame(
        {
            "segment": [f"segment {place:02d}" for place in range(n_segments)],
            "gross_carrying_amount": gross,
            "allowance": gross * 0.4,
            "coverage_ratio": 0.4,
        }
    )


def every_figure():
    ages = allowance_by_segment(2).rename(columns={"segment": "age_band"})
    counts = pd.DataFrame({"default_vintage": ["2024Q1"] * 2, "outcome": ["cured", "open"], "n_episodes": [30, 10]})
    ratios = pd.DataFrame(
        {
            "part": ["incidence", "latency"],
            "term": ["ltv", "ltv"],
            "estimate": [0.5, 2],
            "lower": [0.4, 1],
            "upper": [0.7, 4],
        }
    )
    losses = pd.DataFrame({"lgd": np.linspace(0, 1, 20), "is_closed": [True, False] * 10})
    return {
        "outcomes": plots.plot_cumulative_incidence(outcome_curves()),
        "cure": plots.plot_time_to_cure(curve([0, 0.2, 0.35, 0.41]), curve([0, 0.21, 0.33, 0.4]), ultimate=0.45),
        "open": plots.plot_time_to_resolution(curve([1, 0.7, 0.5, 0.3])),
        "ratios": plots.plot_coefficients(ratios),
        "recovery": plots.plot_recovery_curve(curve([0, 0.3, 0.5, 0.6]), closed_only=curve([0, 0.4, 0.6, 0.7])),
        "vintages": plots.plot_vintages(triangle()),
        "losses": plots.plot_lgd_distribution(losses),
        "segments": plots.plot_lgd_comparison(lgd_by_segment()),
        "counts": plots.plot_episodes_by_vintage(counts),
        "allowance": plots.plot_allowance_by_segment(allowance_by_segment(), currency="USD"),
        "ages": plots.plot_coverage_by_age(ages, currency="USD"),
    }


@pytest.fixture(scope="module")
def figures():
    return every_figure()


@pytest.fixture(scope="module")
def figures_again():
    return every_figure()


NAMES = [
    "outcomes", "cure", "open", "ratios", "recovery", "vintages", "losses", "segments", "counts", "allowance", "ages",
]  # fmt: skip
KEY_NUMBERS = {
    "outcomes": "cured 41.0 %", "cure": "reaches 41.0 %", "open": "resolved by month 12", "ratios": "0.50",
    "recovery": "reaches 60.0 %", "vintages": "30.0 %", "losses": "50.0 %", "segments": "70.0 %", "counts": "25.0 %",
    "allowance": "USD 2,400", "ages": "40.0 %",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_labels_its_axes_and_tells_its_key_number(figures, name):
    figure = figures[name]
    assert all(ax.get_xlabel() for ax in figure.axes)
    assert figure.title
    assert figure.caption
    assert KEY_NUMBERS[name] in plain(figure.alt)


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_is_the_same_bytes_for_the_same_data(figures, figures_again, name):
    assert figures[name].to_svg() == figures_again[name].to_svg()


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_is_complete_in_itself(figures, name):
    html = figures[name].to_html()
    svg = base64.b64decode(re.search(r"base64,([^\"]+)", html).group(1)).decode()
    # The names of the SVG vocabulary are the only addresses, and nothing fetches them.
    assert set(re.findall(r"https?://[^\"' <]+", svg)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "dc:date" not in svg


def test_a_figure_is_shown_as_an_image_with_escaped_alternative_text():
    drawn = theme.new_figure(1.0)
    figure = ReportFigure(drawn, "LGD < 1", 'the "worst" segment', "caption & more")
    shown = figure._repr_mimebundle_(include=None, exclude=None)
    assert 'alt="the &quot;worst&quot; segment"' in shown["text/html"]
    assert "LGD &lt; 1" in shown["text/html"]
    assert "caption &amp; more" in shown["text/html"]
    assert shown["text/plain"] == 'LGD < 1: the "worst" segment'


def test_a_figure_without_words_is_refused():
    with pytest.raises(ValueError, match="alternative text"):
        ReportFigure(theme.new_figure(1.0), "title", " ")


def test_each_outcome_has_a_colour_of_its_own():
    assert set(theme.OUTCOME_COLOURS) == set(Outcome)
    assert len(set(theme.OUTCOME_COLOURS.values())) == len(Outcome)


def test_areas_of_outcomes_add_up_to_all_and_keep_their_colours(figures):
    areas = figures["outcomes"].axes[0].collections
    labels = [area.get_label() for area in areas]
    assert labels == ["cured", "repaid", "written_off", "open"]
    for area in areas:
        assert to_hex(area.get_facecolor()[0]).upper() == theme.OUTCOME_COLOURS[Outcome(area.get_label())]
    roof = areas[-1].get_paths()[0].vertices[:, 1].max()
    assert roof == pytest.approx(1.0, abs=EXACT)
    # cured 0.41, repaid 0.12: the second area ends at 0.53
    assert areas[1].get_paths()[0].vertices[:, 1].max() == pytest.approx(0.53, abs=EXACT)


def test_an_unknown_outcome_is_named():
    with pytest.raises(ValueError, match="vanished"):
        plots.plot_cumulative_incidence({"vanished": curve([0, 0, 0, 0])})


def test_the_observed_curve_is_drawn_as_it_is_given(figures):
    lines = {line.get_label(): line for line in figures["cure"].axes[0].lines}
    assert lines["observed"].get_xdata().tolist() == MONTHS.tolist()
    assert lines["observed"].get_ydata().tolist() == [0, 0.2, 0.35, 0.41]
    assert lines["fitted model"].get_ydata().tolist() == [0, 0.21, 0.33, 0.4]
    assert lines["plateau"].get_ydata() == [0.45, 0.45]


def test_number_at_risk_stands_under_each_tick(figures):
    ticks = figures["open"].axes[0].get_xticks().tolist()
    # steps of 3 months to 24; just before 3 and 6 months those at risk at 6 are at risk, 0 has all 200
    assert ticks == [0, 3, 6, 9, 12, 15, 18, 21, 24]
    assert texts(figures["open"], "at-risk") == ["200", "150", "150", "80", "80", "12", "12", "12", "12"]
    assert texts(figures["open"], "at-risk-label") == ["At risk"]


def test_the_median_is_marked_where_half_are_resolved(figures):
    (median,) = [line for line in figures["open"].axes[0].lines if line.get_label() == "median"]
    assert max(median.get_xdata()) == 12


def test_a_median_that_is_not_reached_is_said_so():
    figure = plots.plot_time_to_resolution(curve([1, 0.9, 0.8, 0.7]))
    assert "fewer than half of the episodes are resolved by month 24" in plain(figure.alt)
    assert not [line for line in figure.axes[0].lines if line.get_label() == "median"]


def test_a_curve_ends_where_fewer_than_ten_are_at_risk():
    sparse = curve([1, 0.7, 0.5, 0.3], at_risk=np.array([200.0, 150.0, 80.0, 9.0]))
    assert cut(sparse, None).times[-1] == 12
    assert cut(sparse, 24).times[-1] == 24
    assert texts(plots.plot_time_to_resolution(sparse, horizon=24), "at-risk")[-1] == "<10"


def test_nothing_is_drawn_of_fewer_than_ten_episodes():
    few = curve([1, 0.7, 0.5, 0.3], at_risk=np.array([9.0, 5.0, 3.0, 1.0]))
    for figure in (plots.plot_time_to_resolution(few), plots.plot_recovery_curve(few), plots.plot_time_to_cure(few)):
        assert figure.axes == []
        assert "Fewer than 10" in figure.alt


def test_nothing_is_drawn_where_only_the_default_date_has_enough_at_risk():
    few = curve([0, 0.3, 0.5, 0.6], at_risk=np.array([12.0, 9.0, 3.0, 1.0]))
    other = curve([0, 0.4, 0.6, 0.7])
    drawn = {
        "cure": plots.plot_time_to_cure(few, other),
        "recovery": plots.plot_recovery_curve(few, closed_only=other),
        "outcomes": plots.plot_cumulative_incidence({"cured": few}, fitted={"cured": other}),
    }
    assert {name: figure.axes for name, figure in drawn.items()} == {name: [] for name in drawn}


@pytest.mark.parametrize("name", ["outcomes", "cure", "open", "recovery"])
def test_a_curve_states_the_level_of_its_interval(figures, name):
    assert "95 % interval" in plain(figures[name].caption)


def test_a_horizon_between_two_times_repeats_the_step_that_holds():
    short = cut(curve([0, 0.2, 0.35, 0.41]), 18)
    assert short.times.tolist() == [0, 6, 12, 18]
    assert short.values.tolist() == [0, 0.2, 0.35, 0.35]
    with pytest.raises(ValueError, match="positive"):
        cut(short, 0)


def test_number_at_risk_after_the_last_time_is_zero():
    assert n_at_risk_at(curve([0, 0, 0, 0]), np.array([0.0, 7.0, 25.0])).tolist() == [200, 80, 0]


def test_ratios_are_drawn_on_a_log_axis_around_one(figures):
    chance, time = figures["ratios"].axes
    assert chance.get_xscale() == "log"
    dots = {
        line.get_label(): line.get_xdata().tolist() for line in chance.lines if line.get_label() in ("clear", "open")
    }
    assert dots == {"clear": [0.5], "open": []}
    low, high = chance.get_xlim()
    assert low * high == pytest.approx(1.0)
    assert "more cure" in chance.get_xlabel()
    # a time ratio of 2, from 1 to 4, is drawn as half the speed, from a quarter to 1
    assert time.get_xlabel().endswith("faster \u2192")
    assert time.lines[2].get_xdata().tolist() == [0.5]
    assert time.collections[0].get_segments()[0][:, 0].tolist() == [0.25, 1.0]


def test_a_ratio_that_is_not_positive_is_refused():
    frame = pd.DataFrame({"part": ["latency"], "term": ["x"], "estimate": [0.5], "lower": [-1], "upper": [1]})
    with pytest.raises(ValueError, match="ratio scale"):
        plots.plot_coefficients(frame)
    with pytest.raises(ValueError, match="incidence or latency"):
        plots.plot_coefficients(frame.assign(part="other"))
    assert "No model" in plots.plot_coefficients(frame.iloc[:0]).alt


def test_figures_of_nothing_say_so():
    for figure in (
        plots.plot_allowance_by_segment(allowance_by_segment(0)),
        plots.plot_coverage_by_age(allowance_by_segment(0).rename(columns={"segment": "age_band"})),
        plots.plot_lgd_comparison(lgd_by_segment().iloc[:0]),
        plots.plot_vintages(triangle(0)),
        plots.plot_lgd_distribution(pd.DataFrame({"lgd": [], "is_closed": []})),
    ):
        assert figure.axes == []
        assert "not shown" in figure.alt


def test_unknown_intervals_have_no_mark_in_the_legend():
    figure = plots.plot_lgd_comparison(lgd_by_segment().assign(lower=np.nan, upper=np.nan))
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["closed only", "all episodes"]


def test_closed_episodes_alone_are_drawn_beside_all(figures):
    lines = {line.get_label(): line.get_ydata().tolist() for line in figures["recovery"].axes[0].lines}
    assert lines == {"all episodes": [0, 0.3, 0.5, 0.6], "closed only": [0, 0.4, 0.6, 0.7]}


def test_a_recovery_curve_without_band_is_drawn_all_the_same():
    figure = plots.plot_recovery_curve(curve([0, 0.3, 0.5, 0.6], band=np.nan))
    assert plain(figure.alt) == "Net recovery reaches 60.0 % of the exposure at default by month 24."


def test_closed_episodes_that_there_are_none_of_are_not_drawn():
    nothing = pd.DataFrame({"months": [0], "value": [np.nan]})
    figure = plots.plot_recovery_curve(curve([0, 0.3, 0.5, 0.6]), closed_only=nothing)
    assert [line.get_label() for line in figure.axes[0].lines] == ["all episodes"]
    assert "n/a" not in figure.alt


def test_the_number_at_risk_of_each_vintage_stands_under_its_curve():
    thin = triangle()
    thin.loc[(thin["default_vintage"] == "2022Q2") & (thin["month"] >= 2), "n_at_risk"] = [40, 7]
    figure = plots.plot_vintages(thin)
    assert figure.axes[0].get_xticks().tolist() == [0, 1, 2, 3]
    assert texts(figure, "at-risk-label") == ["2022Q1", "2022Q2"]
    assert texts(figure, "at-risk") == ["50", "50", "50", "50", "50", "50", "40", "<10"]


def test_recovery_of_a_vintage_adds_up_its_months(figures):
    # each of months 1 to 3 brings 10 of 100 back
    for line in figures["vintages"].axes[0].lines:
        assert line.get_ydata().tolist() == pytest.approx([0, 0.1, 0.2, 0.3])


def test_many_quarters_are_drawn_by_year():
    figure = plots.plot_vintages(triangle(n_vintages=12))
    assert texts(figure, "end-label") == ["2022", "2023", "2024"]


def test_a_vintage_without_its_first_months_is_not_drawn():
    late = triangle()
    late = late[(late["default_vintage"] == "2022Q1") | (late["month"] >= 2)]
    assert texts(plots.plot_vintages(late), "end-label") == ["2022Q1"]


def test_a_vintage_ends_where_fewer_than_half_of_it_are_at_risk():
    thin = triangle()
    thin.loc[(thin["default_vintage"] == "2022Q2") & (thin["month"] == 3), "n_at_risk"] = 24  # of 50
    lines = plots.plot_vintages(thin).axes[0].lines
    assert sorted(line.get_xdata().tolist() for line in lines) == [[0, 1, 2], [0, 1, 2, 3]]


def test_vintages_of_too_few_episodes_are_not_drawn():
    assert plots.plot_vintages(triangle(at_risk=9)).axes == []


def test_every_loss_falls_into_a_bar_and_both_means_are_marked(figures):
    ax = figures["losses"].axes[0]
    assert sum(bar.get_height() for bar in ax.patches) == 20
    marks = {line.get_label(): line.get_xdata()[0] for line in ax.lines}
    # 20 equal steps from 0 to 1: mean 0.5; the closed ones are every other, half a step lower
    assert marks["mean, all episodes"] == pytest.approx(0.5)
    assert marks["mean, closed only"] == pytest.approx(0.5 - 0.5 / 19)


def test_losses_of_closed_episodes_alone_count_no_open_ones():
    closed = pd.DataFrame({"lgd": np.linspace(0, 1, 20), "is_closed": True})
    assert "of all, none of them open; mean 50.0 % of closed" in plain(plots.plot_lgd_distribution(closed).alt)


def test_losses_beyond_the_axis_are_kept_in_the_outer_bars():
    losses = pd.DataFrame({"lgd": [-3.0, 5.0, *[0.5] * 10], "is_closed": True})
    assert sum(bar.get_height() for bar in plots.plot_lgd_distribution(losses).axes[0].patches) == 12


def test_segments_are_sorted_by_loss_and_small_ones_only_named(figures):
    ax = figures["segments"].axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["mortgage · west", "card · west"]
    dots = {line.get_label(): list(line.get_xdata()) for line in ax.lines}
    assert dots["all episodes"] == [0.25, 0.7]
    assert dots["closed only"] == [0.2, 0.6]
    assert "auto · west" in figures["segments"].caption


def test_bars_of_a_quarter_show_each_outcome_in_its_colour(figures):
    drawn = {to_hex(bar.get_facecolor()).upper(): bar.get_height() for bar in figures["counts"].axes[0].patches}
    assert drawn == {theme.OUTCOME_COLOURS[Outcome.CURED]: 30, theme.OUTCOME_COLOURS[Outcome.OPEN]: 10}


def test_the_allowance_is_drawn_within_the_gross_amount(figures):
    ax = figures["allowance"].axes[0]
    gross, allowance = ax.containers
    assert [bar.get_width() for bar in gross] == [1000, 2000, 3000]
    assert [bar.get_width() for bar in allowance] == pytest.approx([400, 800, 1200])


def test_segments_beyond_the_largest_are_summed_and_nothing_is_lost():
    figure = plots.plot_allowance_by_segment(allowance_by_segment(40), currency="USD")
    gross = figure.axes[0].containers[0]
    assert len(gross) == 25
    assert sum(bar.get_width() for bar in gross) == 1000 * 40 * 41 / 2
    assert figure.axes[0].get_yticklabels()[0].get_text() == "16 smaller segments"


def test_segments_of_few_facilities_are_shown_together_or_not_at_all():
    frame = allowance_by_segment(3).assign(n_facilities=[50, 9, 20])
    labels = [label.get_text() for label in plots.plot_allowance_by_segment(frame).axes[0].get_yticklabels()]
    assert labels == ["segment 00", "segment 02"]
    frame = allowance_by_segment(4).assign(n_facilities=[50, 9, 20, 8])
    labels = [label.get_text() for label in plots.plot_allowance_by_segment(frame).axes[0].get_yticklabels()]
    assert labels == ["2 smaller segments", "segment 00", "segment 02"]


def test_coverage_bars_have_the_height_of_the_coverage(figures):
    assert [bar.get_height() for bar in figures["ages"].axes[0].patches] == [0.4, 0.4]


def test_plots_leave_their_input_and_the_readers_settings_alone():
    frame, settings = lgd_by_segment(), dict(mpl.rcParams)
    before = frame.copy()
    plots.plot_lgd_comparison(frame)
    pd.testing.assert_frame_equal(frame, before)
    assert dict(mpl.rcParams) == settings
    assert plt.get_fignums() == []


def test_labels_are_moved_apart_and_stay_in_order():
    placed = spread(np.array([0.5, 0.51, 0.1]), np.array([0.1, 0.1, 0.1]))
    assert placed == pytest.approx([0.455, 0.555, 0.1])
    assert spread(np.array([]), np.array([])).tolist() == []


def test_ticks_are_whole_months_few_enough_to_read():
    assert month_ticks(60).tolist() == [0, 12, 24, 36, 48, 60]
    assert month_ticks(5).tolist() == [0, 1, 2, 3, 4, 5]
    assert all(len(month_ticks(last)) <= 10 for last in range(1, 400))


def test_curves_for_all_closed_outcomes_are_accepted():
    figure = plots.plot_cumulative_incidence({name: curve([0, 0.01, 0.02, 0.1]) for name in CLOSED_OUTCOMES})
    assert "still open 50.0 %" in plain(figure.alt)


def driver_frame():
    rows = [
        ("incidence", "scale(ltv_ratio)", 0.5, 0.4, 0.7, "ltv_ratio", "", "", 0.4),
        ("incidence", "scale(unemployment_rate)", 0.9, 0.8, 1.1, "unemployment_rate", "", "", 0.0097),
        ("incidence", "scale(credit_score)", 1.2, 1.1, 1.3, "credit_score", "", "", 53.4),
        ("incidence", "product[T.heloc]", 3.0, 2.0, 4.0, "product", "heloc", "auto_loan", np.nan),
        ("latency", "scale(ltv_ratio)", 1.25, 1.0, 1.6, "ltv_ratio", "", "", 0.4),
        ("latency", "scale(unemployment_rate)", 0.8, 0.7, 0.9, "unemployment_rate", "", "", 0.0097),
        ("latency", "scale(credit_score)", 1.0, 0.9, 1.1, "credit_score", "", "", 53.4),
        ("latency", "product[T.heloc]", 2.5, 1.2, 4.0, "product", "heloc", "auto_loan", np.nan),
    ]
    columns = ["part", "term", "estimate", "lower", "upper", "driver", "level", "reference", "spread"]
    return pd.DataFrame(rows, columns=columns)


def test_drivers_stand_in_words_with_their_unit_numbers_first_best_on_top():
    figure = plots.plot_coefficients(driver_frame())
    chance, speed = figure.axes
    assert [label.get_text() for label in chance.get_yticklabels()] == [
        "Credit score (per 53)",
        "Unemployment rate (per 0.97 pp)",
        "Loan to value (per 0.4)",
        "Heloc, against auto loan",
    ]
    assert chance.get_title(loc="left") == "Raises the chance of ever curing"
    assert speed.get_title(loc="left") == "Speeds the cure up"
    # speed of those with a clear direction, top down: 1 / 0.8 and 1 / 2.5
    dots = {
        line.get_label(): line.get_xdata().tolist() for line in speed.lines if line.get_label() in ("clear", "open")
    }
    assert dots == {"clear": pytest.approx([1.25, 0.4]), "open": pytest.approx([1.0, 0.8])}
    assert figure.alt == (
        "Raises the chance of ever curing, clear of 1: credit score 1.20, loan to value 0.50 and heloc 3.00. "
        "Speeds the cure up, clear of 1: unemployment rate 1.25 and heloc 0.40."
    )


def test_hazard_ratios_are_drawn_as_they_are():
    figure = plots.plot_coefficients(driver_frame(), latency_scale="hazard ratio", level=0.9)
    (dots,) = [line for line in figure.axes[1].lines if line.get_label() == "clear"]
    assert dots.get_xdata().tolist() == [0.8, 2.5]
    assert "90 % intervals" in plain(figure.caption)


def test_ratios_on_a_boundary_are_not_drawn():
    frame = driver_frame()
    frame.loc[frame["part"] == "incidence", ["lower", "upper"]] = np.nan
    figure = plots.plot_coefficients(frame)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["Speeds the cure up"]
    assert figure.caption.endswith("Ratios without an interval, on a boundary, are not drawn.")
    everywhere = driver_frame().assign(lower=0.0, upper=np.inf)
    assert "no ratio has an interval" in plots.plot_coefficients(everywhere).alt


def test_the_axis_of_ratios_has_ticks_however_near_or_far_they_lie():
    for reach in (1.01, 1.3, 2, 5, 30, 1e4):
        frame = driver_frame().assign(estimate=1.0, lower=1 / reach, upper=reach)
        for ax in plots.plot_coefficients(frame).axes:
            low, high = ax.get_xlim()
            assert 3 <= sum(low <= tick <= high for tick in ax.get_xticks()) <= 8


def test_fitted_outcomes_are_lines_on_the_edges_of_the_areas():
    figure = plots.plot_cumulative_incidence(
        outcome_curves(),
        fitted={"repaid": curve([0, 0.1, 0.1, 0.1]), "cured": curve([0, 0.2, 0.3, 0.4])},
        fitted_to="all",
    )
    lines = {line.get_label(): line.get_ydata().tolist() for line in figure.axes[0].lines}
    assert lines["fitted cured"] == [0, 0.2, 0.3, 0.4]
    assert lines["fitted repaid"] == pytest.approx([0, 0.3, 0.4, 0.5])
    assert "model of all outcomes, fitted to the whole book" in figure.caption
    assert "model" not in plots.plot_cumulative_incidence(outcome_curves()).caption
    with pytest.raises(ValueError, match="vanished"):
        plots.plot_cumulative_incidence(outcome_curves(), fitted={"vanished": curve([0, 0, 0, 0])})


def test_without_any_outcome_the_figure_says_so():
    assert "No loan has left default yet" in plots.plot_cumulative_incidence({}).alt


def test_residuals_are_drawn_against_the_diagonal_while_ten_are_at_risk():
    hazard = StepCurve(
        times=[0, 0.5, 1, 1.5], values=[0, 0.4, 1.1, 9], lower=[0, 0.3, 1, 8], upper=[0, 0.5, 1.2, 10],
        n_at_risk=[200, 100, 10, 9],
    )  # fmt: skip
    figure = plots.plot_cox_snell(hazard)
    lines = {line.get_label(): (line.get_xdata(), line.get_ydata()) for line in figure.axes[0].lines}
    assert lines["residuals"][1].tolist() == [0, 0.4, 1.1]
    assert [list(side) for side in lines["if the model holds"]] == [[0, 1], [0, 1]]
    assert figure.alt == "The residuals' cumulative hazard leaves the diagonal by at most 0.10, up to 1.00."
    assert texts(figure, "at-risk")[0] == "200"


def test_without_residuals_the_figure_says_so():
    few = StepCurve(times=[0, 1], values=[0, 1], lower=[0, 1], upper=[0, 1], n_at_risk=[9, 3])
    start = StepCurve(times=[0, 1], values=[0, 1], lower=[0, 1], upper=[0, 1], n_at_risk=[30, 3])
    assert "no residuals" in plots.plot_cox_snell(None).alt
    assert "Fewer than 10" in plots.plot_cox_snell(few).alt
    assert plots.plot_cox_snell(start).axes == []

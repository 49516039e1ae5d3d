"""The tables of the cure page, cell by cell as a reader sees them."""

import numpy as np
import pandas as pd
import pytest

from recoverykit.report.cure_tables import QUESTIONS, show_cure_calibration, show_cure_candidates, show_follow_up


def lines(block):
    return [line.split(" | ") for line in str(block).replace("\u202f", " ").splitlines()]


def test_every_answer_stands_with_its_limit_and_its_verdict_in_its_own_unit():
    answers = pd.DataFrame(
        [
            ("last_cure", 26.0, np.nan, "describes", ""),
            ("last_watched", 61.0, np.nan, "describes", ""),
            ("n_beyond", 7.0, 10.0, "doubts", ""),
            ("alpha_n", 1e-9, 0.05, "supports", ""),
            ("alpha_n_cures", 0.0204, 0.05, "supports", ""),
            ("q_n", 0.0123, 0.00108, "supports", ""),
            ("shen", np.nan, 0.05, "doubts", ""),
            ("receus", 0.0634, 0.05, "doubts", "lognormal"),
            ("likelihood_ratio", 0.3, 0.05, "doubts", "lognormal"),
        ],
        columns=["answer", "value", "threshold", "verdict", "detail"],
    )
    caption, heading, *rows = lines(show_follow_up(answers, segment="credit_card | west"))
    assert caption == ["Is the plateau real? Several answers (credit card · west)"]
    assert heading == ["Asked", "Answer", "Supports it if", "Verdict"]
    assert [row[1:] for row in rows] == [
        ["26", "", ""],
        ["61", "", ""],
        ["<10", "at least 10", "doubts"],
        ["below 0.0001", "below 0.05", "supports"],
        ["0.0204", "below 0.05", "supports"],
        ["1.2 %", "at least 0.11 %", "supports"],
        ["n/a", "below 0.05", "doubts"],
        ["6.3 %", "below 5 %", "doubts"],
        ["0.3000", "below 0.05", "doubts"],
    ]
    assert rows[7][0] == "RECeUS: uncured at the end, share still to cure (log-normal)"
    assert len(rows) == len(QUESTIONS)


def test_candidates_are_named_as_a_reader_knows_them():
    table = pd.DataFrame(
        {
            "distribution": ["gamma", "weibull", "lognormal"],
            "loglik": [-10.0, -11.0, np.nan],
            "n_params": [3, 3, np.nan],
            "aic": [26.0, 28.0, np.nan],
            "bic": [28.5, 30.5, np.nan],
            "never": [0.545, 0.0, np.nan],
            "boundary": ["none", "incidence is at its upper bound of 1: the data show no plateau", "did not converge"],
            "distance": [0.0123, 0.02, np.nan],
        }
    )
    _, heading, *rows = lines(show_cure_candidates(table))
    assert heading == [
        "Distribution", "AIC", "BIC", "Share that never cures", "Largest gap to the observed curve", "On a boundary",
    ]  # fmt: skip
    assert rows == [
        ["gamma", "26.00", "28.50", "54.5 %", "1.2 %", "none"],
        ["Weibull", "28.00", "30.50", "0.0 %", "2.0 %", "yes"],
        ["log-normal", "n/a", "n/a", "n/a", "n/a", "did not converge"],
    ]


def test_groups_of_fewer_than_ten_are_withheld():
    table = pd.DataFrame(
        {
            "months": [6.0, 12.0],
            "group": ["lowest third", "all loans"],
            "n_episodes": [925.0, 9.0],
            "predicted": [0.19, 0.3],
            "observed": [0.2, 0.4],
            "lower": [0.1, 0.2],
            "upper": [0.3, 0.6],
            "difference": [0.01, 0.1],
        }
    )
    _, heading, *rows = lines(show_cure_calibration(table))
    assert heading[:3] == ["By month", "Chance of cure by the model", "Episodes"]
    assert rows[0] == ["6", "lowest third", "925", "19.0 %", "20.0 %", "10.0 %", "30.0 %", "1.0 %"]
    assert rows[1][1:4] == ["all loans", "<10", "–"]


@pytest.mark.parametrize(
    "block",
    [
        show_follow_up(
            pd.DataFrame({"answer": [], "value": [], "threshold": [], "verdict": [], "detail": []}), segment=""
        ),
        show_cure_candidates(pd.DataFrame()),
        show_cure_calibration(pd.DataFrame(columns=["months", "group", "n_episodes"])),
    ],
)
def test_without_a_model_a_table_is_one_line_that_says_so(block):
    assert str(block).endswith("nothing to show.")
    assert "<table" not in block.html

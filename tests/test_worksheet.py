"""The auditor's worksheet: every flow with its reason, sums made a second time, and a workbook whose formulas agree.

The formulas are evaluated twice by others than the kit: by the small evaluator below, which reads the formulas from the
file, and by LibreOffice where the machine has it.
"""

import re
import shutil
import subprocess
import zipfile

import numpy as np
import pandas as pd
import pytest
from openpyxl import load_workbook
from openpyxl.formula import Tokenizer

from recoverykit.episodes.ledger import build_ledger
from recoverykit.episodes.policy import LedgerPolicy
from recoverykit.episodes.worksheet import LINE_COLUMNS, TOTAL_COLUMNS, episode_worksheet
from recoverykit.errors import ContractError, InsufficientDataError
from recoverykit.portfolio.workout import audit_worksheet
from recoverykit.report.workbook import MAXIMUM_EPISODES, write_workbook
from recoverykit.vocabulary import CashFlowKind

#: The ledger rounds sums of money to a millionth.
MONEY = 2e-6
ROUNDING = 1e-9
CENT = 0.005
TODAY = "2024-01-31"
IDS = ["E#1", "A#1", "B#1", "C#1", "D#1"]
LOANS = pd.DataFrame(
    [
        ("A", "cured", "2023-01-31", 1000.0, 660.0),
        ("B", "written_off", "2022-09-30", 1234.56, np.nan),
        ("C", "open", None, 777.77, np.nan),
        ("D", "sold", "2023-01-31", 123456.78, np.nan),
        ("E", "repaid", "2022-06-30", 500.0, np.nan),
        ("F", "liquidated", "2023-01-31", 800.0, np.nan),
    ],
    columns=["facility_id", "outcome", "outcome_date", "ead", "outcome_balance_amount"],
)
FLOWS = pd.DataFrame(
    [
        ("A", "2022-06-30", 100.55, "repayment"),
        ("A", "2022-07-30", 20.0, "direct_cost"),
        ("A", "2022-07-30", 7.0, "late_fee"),
        ("A", "2023-07-30", 70.0, "repayment"),
        ("B", "2023-01-31", 70.13, "repayment"),
        ("B", "2023-03-17", 3.99, "indirect_cost"),
        ("C", "2022-03-31", 55.5, "drawing"),
        ("C", "2024-02-29", 99.0, "repayment"),
        ("D", "2022-12-24", 150000.13, "sale"),
        ("D", "2022-12-24", 1.11, "guarantee"),
    ],
    columns=["facility_id", "cash_flow_date", "amount", "kind"],
)
ORDINARY = "after a cure or full repayment, ordinary payments of a performing facility"
POLICIES = {
    "own": LedgerPolicy(),
    "flat rate": LedgerPolicy(discount_rate=0.05, drawings="both", realised_lgd_floor=None),
    "uk": LedgerPolicy.named("uk", drawings="both", indirect_cost_allocation="ead"),
    "eba": LedgerPolicy.named("eba", maximum_recovery_months=12, include_post_write_off_recoveries=False),
    "ifrs9": LedgerPolicy.named("ifrs9"),
}


def built(policy, *, loans=LOANS, flows=FLOWS):
    loans = loans.assign(outcome_date=pd.to_datetime(loans["outcome_date"]))
    ended = loans["outcome_date"].fillna(pd.Timestamp(TODAY))
    episodes = loans.assign(
        episode_id=loans["facility_id"] + "#1",
        obligor_id="person " + loans["facility_id"],
        default_date=pd.Timestamp("2022-01-31"),
        months_in_default=(ended.dt.year - 2022) * 12 + ended.dt.month - 1,
        observed_months=24,
        entry_months=[0, 0, 0, 0, 3, *[0] * (len(loans) - 5)],
        eir=np.arange(len(loans)) / 50,
    )
    return build_ledger(
        episodes,
        flows.assign(cash_flow_date=pd.to_datetime(flows["cash_flow_date"])),
        reporting_date=TODAY,
        policy=policy,
        reference_rates=pd.DataFrame({"date": pd.to_datetime(["2022-01-03"]), "rate": [0.0123]}),
        arrears=pd.DataFrame({"episode_id": ["A#1"], "arrears_amount": [33.33]}),
        indirect_costs=pd.DataFrame({"cash_flow_date": pd.to_datetime(["2022-06-30"]), "amount": [1000.0]}),
    )


@pytest.fixture(scope="module")
def sheets():
    return {name: episode_worksheet(built(policy), IDS) for name, policy in POLICIES.items()}


@pytest.fixture(scope="module")
def uk(sheets):
    return sheets["uk"]


@pytest.fixture(scope="module")
def books(sheets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("workbooks")
    return {name: write_workbook(sheet, folder / f"{name}.xlsx", currency="GBP") for name, sheet in sheets.items()}


class TestFrames:
    def test_a_hand_count_of_one_episode(self, uk):
        # A, rate 9 % (1.23 % + 5 % is below the floor). 150, 180 and 365 days since default.
        # recovery 100.55 x 1.09^(-150/365) = 97.0513; cost 20 x 1.09^(-180/365) = 19.1678;
        # share of 1,000 of indirect costs on 30 June, when all six were in default: 1000 / 127769.11 x 1000 = 7.8266,
        # x 1.09^(-150/365) = 7.5543; cure 33.33 / 1.09 + 626.67 = 657.2480
        # loss = 1000 + 19.1678 + 7.5543 - 97.0513 - 657.2480 = 272.4228
        line = uk.totals.set_index("episode_id").loc["A#1"]
        assert line["discount_rate"] == 0.09
        assert line["recovery_present_value_amount"] == pytest.approx(97.0513, abs=1e-4)
        assert line["cost_present_value_amount"] == pytest.approx(19.1678 + 7.5543, abs=2e-4)
        assert line["cure_present_value_amount"] == pytest.approx(657.2480, abs=1e-4)
        assert line["loss_amount"] == pytest.approx(272.4228, abs=4e-4)
        assert line["raw_lgd"] == pytest.approx(0.2724228, abs=4e-7)

    def test_every_flow_of_the_episodes_is_listed_in_or_out_with_the_reason(self, uk):
        listed = uk.lines[uk.lines["episode_id"] == "A#1"]
        assert listed[["kind", "part", "is_counted", "remark"]].to_numpy().tolist() == [
            ["indirect_cost", "cost", True, "share of a total of indirect costs"],
            ["repayment", "recovery", True, ""],
            ["direct_cost", "cost", True, ""],
            ["late_fee", "neutral", True, "raises what is owed, neither exposure nor loss"],
            ["cure", "cure", True, ""],
            ["cure", "cure", True, "not in arrears: counts in full"],
            ["repayment", "recovery", False, ORDINARY],
        ]  # fmt: skip
        own = uk.lines[~uk.lines["remark"].str.startswith("share") & (uk.lines["kind"] != "cure")]
        given = FLOWS[FLOWS["facility_id"].isin(list("ABCDE"))]
        assert sorted(own["amount"]) == sorted(given["amount"])

    def test_what_does_not_count_has_no_present_value(self, sheets):
        for sheet in sheets.values():
            idle = sheet.lines[~sheet.lines["is_counted"] | (sheet.lines["part"] == "neutral")]
            assert len(idle)
            assert (idle["present_value_amount"] == 0).all()

    @pytest.mark.parametrize("name", POLICIES)
    def test_the_sums_made_here_are_the_ledgers(self, sheets, name):
        totals = sheets[name].totals
        assert totals["loss_amount"].to_numpy() == pytest.approx(totals["ledger_loss_amount"].to_numpy(), abs=MONEY)
        assert totals["raw_lgd"].to_numpy() == pytest.approx(totals["ledger_lgd"].to_numpy(), abs=ROUNDING)
        parts = totals[[f"{part}_present_value_amount" for part in ("cost", "drawing", "recovery", "cure")]]
        loss = totals["ead"] + parts.iloc[:, 0] + parts.iloc[:, 1] - parts.iloc[:, 2] - parts.iloc[:, 3]
        assert totals["loss_amount"].to_numpy() == pytest.approx(loss.to_numpy(), abs=ROUNDING)

    def test_the_lgd_is_shown_raw_and_floored(self, sheets):
        # D was sold for more than was owed.
        raw = sheets["uk"].totals.set_index("episode_id").loc["D#1"]
        assert raw["raw_lgd"] < -0.1
        assert raw["floored_lgd"] == 0
        unfloored = sheets["ifrs9"].totals
        assert unfloored["floored_lgd"].tolist() == unfloored["raw_lgd"].tolist()

    def test_every_kind_of_cash_flow_is_a_part_of_something(self):
        kinds = [kind.value for kind in CashFlowKind]
        flows = pd.DataFrame({"facility_id": "B", "cash_flow_date": "2022-05-31", "amount": 1.0, "kind": kinds})
        lines = episode_worksheet(built(LedgerPolicy(), flows=flows), ["B#1"]).lines
        assert len(lines) == len(kinds)
        assert lines["part"].notna().all()

    def test_columns_order_and_rules(self, uk):
        assert list(uk.totals.columns) == list(TOTAL_COLUMNS)
        assert list(uk.lines.columns) == list(LINE_COLUMNS)
        assert uk.totals["episode_id"].tolist() == IDS
        assert uk.policy_name == "uk with indirect_cost_allocation ead, drawings both"
        assert uk.rules.set_index("rule").loc["discount_floor", "value"] == 0.09
        assert uk.reporting_date == pd.Timestamp(TODAY)

    def test_an_episode_without_any_cash_flow_has_its_totals(self, sheets):
        ifrs9 = sheets["ifrs9"]
        assert not (ifrs9.lines["episode_id"] == "E#1").any()
        assert ifrs9.totals.set_index("episode_id").loc["E#1", "raw_lgd"] == 1.0

    def test_what_cannot_be_recomputed_is_refused(self):
        tables = built(LedgerPolicy())
        with pytest.raises(ContractError, match=r"one of the ledger's: 1 row, first X#1\n.*repeated: 1 row, first A#1"):
            episode_worksheet(tables, ["A#1", "X#1", "A#1"])
        with pytest.raises(InsufficientDataError, match="no episode is named"):
            episode_worksheet(tables, [])

    def test_an_episode_without_a_rate_is_refused_and_no_lgd_made_up(self, small_book):
        book = small_book([{"default_date": "2024-01-31"}], [("A", "2024-03-31", 60.0)])
        unknown = book.episodes.assign(eir=np.nan)
        tables = build_ledger(unknown, book.cash_flows, reporting_date="2024-06-30")
        with pytest.raises(InsufficientDataError, match=r"1 of the episodes have no discount rate.*: A#1"):
            episode_worksheet(tables, ["A#1"])

    def test_the_sheet_of_a_book_is_that_of_its_ledger(self, small_book):
        # 60 of 100 back, undiscounted.
        loan = {"default_date": "2024-01-31", "outcome": "liquidated", "outcome_date": "2024-03-31"}
        book = small_book([loan], [("A", "2024-03-31", 60.0, "collateral")])
        sheet = audit_worksheet(book, ["A#1"], policy=LedgerPolicy.named("ifrs9"))
        assert sheet.totals["raw_lgd"].tolist() == pytest.approx([0.4])


class Evaluator:
    """Evaluate the formulas of a workbook: the few operators and functions that it may hold, and nothing else."""

    def __init__(self, path):
        self.book = load_workbook(path)
        self.known = {}
        self.functions = {
            "IF": lambda test, then, other: then if test else other,
            "AND": lambda *tests: all(tests),
            "ISNUMBER": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
            "MAX": lambda *values: max(self._numbers(values)),
            "MIN": lambda *values: min(self._numbers(values)),
            "ROUND": lambda value, digits: round(value, int(digits)),
            "SUMIFS": lambda sums, where, wanted: sum(
                value for value, found in zip(sums, where, strict=True) if found == wanted
            ),
        }

    def __call__(self, sheet, cell):
        if (sheet, cell) not in self.known:
            held = self.book[sheet][cell]
            value = held.value
            if held.data_type == "f":
                value = eval(self._python(value, sheet), {"at": self._at, "call": self.functions})
            if isinstance(value, pd.Timestamp) or hasattr(value, "toordinal"):
                value = float(pd.Timestamp(value).toordinal())
            self.known[sheet, cell] = value
        return self.known[sheet, cell]

    def set(self, sheet, cell, value):
        self.book[sheet][cell] = value
        self.known = {}

    def _python(self, formula, sheet):
        text = []
        for token in Tokenizer(formula).items:
            if token.type == "OPERAND" and token.subtype == "RANGE":
                text.append(f"at({sheet!r}, {token.value!r})")
            elif token.type == "FUNC" and token.subtype == "OPEN":
                text.append(f"call[{token.value[:-1]!r}](")
            else:
                text.append({"^": "**", "<>": "!=", "=": "=="}.get(token.value, token.value))
        return "".join(text)

    def _at(self, sheet, reference):
        sheet, reference = reference.split("!") if "!" in reference else (sheet, reference)
        reference = reference.replace("$", "")
        if ":" not in reference:
            value = self(sheet, reference)
            return "" if value is None else value
        return [self(sheet, cell.coordinate) for row in self.book[sheet][reference] for cell in row]

    @staticmethod
    def _numbers(values):
        flat = [item for value in values for item in (value if isinstance(value, list) else [value])]
        return [value for value in flat if isinstance(value, int | float)]


def labelled(sheet, words):
    """Return the address of the value beside a label in the first column."""
    return next(f"B{cell.row}" for cell in sheet["A"] if cell.value == words)


class TestWorkbook:
    @pytest.mark.parametrize("name", POLICIES)
    def test_its_formulas_give_the_kits_figures_to_the_cent(self, books, sheets, name):
        evaluate = Evaluator(books[name])
        for number, total in enumerate(sheets[name].totals.to_dict("records"), 1):
            tab = f"E{number:03d}"
            sheet = evaluate.book[tab]
            for words, column in [
                ("Exposure at default", "ead"),
                ("Discount rate, per year", "discount_rate"),
                ("Present value of costs", "cost_present_value_amount"),
                ("Present value of drawings", "drawing_present_value_amount"),
                ("Present value of recoveries", "recovery_present_value_amount"),
                ("Present value of the cash flow at cure", "cure_present_value_amount"),
                ("Loss", "ledger_loss_amount"),
                ("Exposure it is divided by", "denominator_amount"),
                ("LGD", "ledger_lgd"),
                ("LGD, floored", "floored_lgd"),
            ]:
                assert evaluate(tab, labelled(sheet, words)) == pytest.approx(total[column], abs=MONEY), words
            assert evaluate(tab, labelled(sheet, "Loss, difference to the kit's figure")) == 0.00
            assert evaluate(tab, labelled(sheet, "LGD, difference to the kit's figure")) == 0.00
        assert evaluate("Overview", "D4") == 0.00

    def test_its_present_values_are_those_of_the_lines(self, books, sheets):
        evaluate = Evaluator(books["uk"])
        for number, name in enumerate(IDS, 1):
            lines = sheets["uk"].lines
            values = lines.loc[lines["episode_id"] == name, "present_value_amount"]
            column = [evaluate(f"E{number:03d}", f"M{row}") for row in range(5, 5 + len(values))]
            assert column == pytest.approx(values.tolist(), abs=ROUNDING)

    def test_the_results_are_formulas_and_only_inputs_and_the_kits_figures_are_numbers(self, books):
        book = load_workbook(books["uk"])
        sheet = book["E002"]
        typed = {cell.value for cell in sheet["A"] if cell.row > 4 and sheet.cell(cell.row, 2).data_type == "n"}
        assert typed - {None} == {"Loss, the kit's figure", "LGD, the kit's figure"}
        for letter in "JKLM":
            assert all(sheet[f"{letter}{row}"].data_type == "f" for row in range(5, 12))

    def test_a_changed_input_moves_the_result_and_shows_in_the_check(self, books):
        evaluate = Evaluator(books["eba"])
        inputs = evaluate.book["Inputs"]
        evaluate.set("Inputs", labelled(inputs, "discount add on"), 0.10)
        tab = evaluate.book["E002"]
        assert evaluate("E002", labelled(tab, "Discount rate, per year")) == pytest.approx(0.1123)
        assert abs(evaluate("E002", labelled(tab, "Loss, difference to the kit's figure"))) > 1
        assert evaluate("Overview", "D4") > 1

    def test_a_flat_rate_stands_once_among_the_inputs(self, books):
        evaluate = Evaluator(books["flat rate"])
        evaluate.set("Inputs", labelled(evaluate.book["Inputs"], "discount rate"), 0.0)
        tab = evaluate.book["E002"]
        # A, undiscounted and without its 20 of costs: 1000 + 20 - 100.55 - 660
        assert evaluate("E002", labelled(tab, "Loss")) == pytest.approx(259.45)

    def test_it_says_where_an_lgd_is_to_date_only(self, books):
        notes = {row[1].value: row[10].value for row in load_workbook(books["own"])["Overview"].iter_rows(min_row=7)}
        assert notes["C#1"] == "Still open: what may yet come is not in it."
        assert notes["E#1"].startswith("In default before observation began")
        assert not notes["A#1"]

    def test_it_holds_no_obligor_and_no_facility_of_others(self, books):
        values = [cell.value for sheet in load_workbook(books["own"]) for row in sheet.iter_rows() for cell in row]
        words = [value for value in values if isinstance(value, str)]
        assert not [word for word in words if "person" in word or "F#1" in word]

    def test_it_can_be_read(self, books):
        book = load_workbook(books["own"])
        assert book.sheetnames == ["Overview", "Inputs", *(f"E{n:03d}" for n in range(1, 6))]
        sheet = book["E002"]
        assert sheet["A1"].value == "Episode A#1"
        assert sheet.freeze_panes == "A5"
        assert (sheet["D5"].number_format, sheet["G5"].number_format) == ("d mmm yyyy", "#,##0.00")
        assert sheet["G4"].value == "Amount, GBP"
        assert all(sheet.column_dimensions[letter].width >= 8 for letter in "ABDEFGHIJKLMN")
        assert book["Overview"]["A7"].hyperlink.location == "E001!A1"

    def test_the_same_worksheet_gives_the_same_bytes(self, uk, books, tmp_path):
        again = write_workbook(uk, tmp_path / "again.xlsx", currency="GBP")
        assert again.read_bytes() == books["uk"].read_bytes()
        with zipfile.ZipFile(again) as archive:
            assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
            stamps = re.findall(r"\d{4}-\d\d-\d\dT[\d:]+Z", archive.read("docProps/core.xml").decode())
        assert stamps == ["2024-01-31T00:00:00Z"] * 2

    def test_a_name_that_looks_like_a_formula_stays_a_name(self, tmp_path):
        odd = LOANS.assign(facility_id=LOANS["facility_id"].replace("F", "=1+1"))
        sheet = episode_worksheet(built(LedgerPolicy(), loans=odd), ["=1+1#1"])
        book = load_workbook(write_workbook(sheet, tmp_path / "odd.xlsx"))
        named = [cell for sheet in book for row in sheet.iter_rows() for cell in row if "=1+1" in str(cell.value)]
        assert [(cell.parent.title, cell.data_type) for cell in named] == [
            ("Overview", "s"),
            ("Inputs", "s"),
            ("E001", "s"),
        ]

    def test_too_many_episodes_and_other_files_are_refused(self, uk, tmp_path):
        many = pd.concat([uk.totals] * 41, ignore_index=True)
        crowd = type(uk)(many, uk.lines, uk.rules, uk.policy_name, uk.reporting_date)
        with pytest.raises(
            ValueError, match=f"205 episodes are asked for; a workbook holds {MAXIMUM_EPISODES} at most"
        ):
            write_workbook(crowd, tmp_path / "many.xlsx")
        with pytest.raises(ValueError, match=r"ends in \.xlsx"):
            write_workbook(uk, tmp_path / "sheet.xls")
        assert not list(tmp_path.iterdir())

    def test_a_file_that_cannot_be_replaced_leaves_nothing_aside(self, uk, tmp_path):
        (tmp_path / "taken.xlsx").mkdir()
        with pytest.raises(OSError, match="taken"):
            write_workbook(uk, tmp_path / "taken.xlsx")
        assert [entry.name for entry in tmp_path.iterdir()] == ["taken.xlsx"]

    @pytest.mark.skipif(not shutil.which("soffice"), reason="LibreOffice is not installed on this machine")
    def test_libreoffice_recomputes_the_same_figures(self, books, sheets, tmp_path):
        profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
        command = [
            "soffice",
            profile,
            "--headless",
            "--convert-to",
            "xlsx",
            "--outdir",
            str(tmp_path),
            str(books["uk"]),
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        book = load_workbook(tmp_path / "uk.xlsx", data_only=True)
        rows = [[cell.value for cell in row] for row in book["Overview"].iter_rows(min_row=7, max_col=10)]
        totals = sheets["uk"].totals
        assert [row[1] for row in rows] == IDS
        assert [row[4] for row in rows] == pytest.approx(totals["ledger_loss_amount"].tolist(), abs=CENT)
        assert [row[6] for row in rows] == pytest.approx(totals["ledger_lgd"].tolist(), abs=ROUNDING)
        assert [row[7] for row in rows] == pytest.approx(totals["floored_lgd"].tolist(), abs=ROUNDING)
        assert [row[9] for row in rows] == [0] * len(IDS)
        assert book["Overview"]["D4"].value == 0

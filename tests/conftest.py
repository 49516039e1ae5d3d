"""What several test files share: small notebooks and small books written on the spot, and the book of the sample."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from hypothesis import settings
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from recoverykit.data.sources import LoadedTables
from recoverykit.portfolio.book import Book
from recoverykit.portfolio.opening import build_book, open_book
from recoverykit.portfolio.workout import prepare_book

#: The same cases in every run: what passed once does not fail elsewhere by chance.
settings.register_profile("same cases", derandomize=True)
settings.load_profile("same cases")

PARAMETERS = """data: str = ""  # the book
reporting_date: str = ""  # ISO date
results_folder: str = ""  # empty for none"""
SAMPLE = Path(__file__).parents[1] / "data_samples" / "specs" / "sample.yml"
#: What a loan of a small book is unless the test says otherwise.
LOAN = {
    "obligor_id": None,
    "product": "loan",
    "region": "west",
    "eir": 0.0,
    "ead": 100.0,
    "outcome": "open",
    "outcome_date": None,
    "outstanding": None,
}
EPISODE = ("facility_id", "default_date", "ead", "outcome", "outcome_date", "outstanding")
SEGMENT = '\nsegment: str = ""  # name of the segment'


@pytest.fixture(scope="session")
def write_notebook() -> Callable[..., Path]:
    """Return a function that writes a notebook: title, parameters cell, code cells."""

    def write(
        folder: Path, name: str, code: Sequence[str] = (), *, title: str = "", more: str = "", segment: bool = True
    ) -> Path:
        parameters = PARAMETERS + (SEGMENT if segment else "") + (f"\n{more}" if more else "")
        cells = [
            new_markdown_cell(f"# {title or name}"),
            new_code_cell(parameters, metadata={"tags": ["parameters"]}),
            *[new_code_cell(source) for source in code],
        ]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = folder / f"{name}.ipynb"
        folder.mkdir(parents=True, exist_ok=True)
        nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
        return path

    return write


@pytest.fixture(scope="session")
def sample_book() -> Book:
    """Return the book of the embedded sample; frames are never changed in place."""
    return open_book(SAMPLE)


@pytest.fixture(scope="session")
def prepared_book(sample_book: Book, tmp_path_factory: pytest.TempPathFactory) -> Book:
    """Return the book of the sample as a run prepares it, with its workouts at the loans' own rates."""
    folder = tmp_path_factory.mktemp("prepared")
    prepare_book(sample_book, folder, discounts=("eir",))
    return open_book(folder)


@pytest.fixture(scope="session")
def small_book() -> Callable[..., Book]:
    """Return a function that makes a book of a few loans, written out one by one, and of their cash flows.

    A loan is a mapping with ``default_date`` and what differs from ``LOAN``; further keys are facility columns. A flow
    is (facility_id, date, amount) or (facility_id, date, amount, kind), a repayment where no kind is given. Loans are
    called A, B, C, ... unless they bring a name.
    """

    def make(
        loans: Sequence[Mapping[str, object]],
        flows: Sequence[tuple] = (),
        *,
        reporting_date: str = "2024-06-30",
        scenarios: pd.DataFrame | None = None,
        macro_columns: tuple[str, ...] = (),
        **options: object,
    ) -> Book:
        rows = [{"facility_id": chr(65 + number), **LOAN, **loan} for number, loan in enumerate(loans)]
        frame = pd.DataFrame(rows).assign(
            obligor_id=[row["obligor_id"] or row["facility_id"].lower() for row in rows],
            default_date=pd.to_datetime([row["default_date"] for row in rows]),
            outcome_date=pd.to_datetime([row["outcome_date"] for row in rows]),
            outstanding=[float("nan") if row["outstanding"] is None else row["outstanding"] for row in rows],
            origination_date=pd.to_datetime(["2020-01-31"] * len(rows)),
            collateral_kind="none",
        )
        own = [column for column in frame.columns if column not in EPISODE[1:]]
        paid = pd.DataFrame(
            [(*flow, "repayment")[:4] for flow in flows], columns=["facility_id", "cash_flow_date", "amount", "kind"]
        ).astype({"facility_id": object, "amount": float, "kind": object})
        tables = {
            "facilities": frame[own].drop_duplicates("facility_id", ignore_index=True),
            "episodes": frame[list(EPISODE)],
            "cash_flows": paid.assign(cash_flow_date=pd.to_datetime(paid["cash_flow_date"])),
        }
        tables |= {} if scenarios is None else {"scenarios": scenarios}
        nothing = pd.DataFrame(columns=["table", "reason", "n_rows", "amount"]).astype({"n_rows": int, "amount": float})
        date = pd.Timestamp(reporting_date)
        loaded = LoadedTables(tables, date, "USD", (), (), macro_columns, {"loans.csv": "0" * 64}, nothing)
        return build_book(loaded, name="hand", **options)

    return make

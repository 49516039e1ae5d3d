"""What the workouts of a book brought in: ledger, worksheet, cells and triangle under one policy, as frames.

The frames of the whole book under the usual policies are prepared once per run and then read, segment by segment, from
Parquet; under any other policy, and outside a run, they are computed. Either way they are the same.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from recoverykit import episodes as history
from recoverykit.episodes.policy import PRESETS, LedgerPolicy
from recoverykit.errors import SpecError
from recoverykit.portfolio.book import FACTS, LEDGER, OPERATIONS, Book, rows_of, with_plain_dates
from recoverykit.vocabulary import WHOLE_BOOK, Outcome

if TYPE_CHECKING:
    from recoverykit.episodes.ledger import LedgerTables
    from recoverykit.episodes.worksheet import EpisodeWorksheet

FRAMES = ("ledger", "worksheet", "cells", "triangle", "exclusions")
#: Rules of allocation by which what an episode bears depends on all others in default.
SPREAD_OVER_ALL = ("ead", "episode")
#: Undiscounted flows net of direct costs: a provision discounts to the reporting date, at each facility's own rate.
PROVISION_POLICY = LedgerPolicy(discount_rate=0.0, include_indirect_costs=False)


@dataclass(frozen=True, slots=True, eq=False)
class Workout:
    """The recoveries of a book under one ledger policy.

    Attributes
    ----------
    ledger : DataFrame
        One row per cash flow that belongs to an episode.
    worksheet : DataFrame
        One row per episode with its realised LGD.
    cells : DataFrame
        Sums by segment columns, default vintage, obligor and month in default: the input of the curves.
    triangle : DataFrame
        Sums by segment columns, default vintage and month.
    exclusions : DataFrame
        Cash flows of the whole book that were left out, by reason, in rows and in money.
    """

    ledger: pd.DataFrame
    worksheet: pd.DataFrame
    cells: pd.DataFrame
    triangle: pd.DataFrame
    exclusions: pd.DataFrame

    def restricted(self, case: Book) -> "Workout":
        """Return the rows of one segment."""
        mine = set(case.episodes["episode_id"])
        return Workout(
            ledger=self.ledger[self.ledger["episode_id"].isin(mine)].reset_index(drop=True),
            worksheet=self.worksheet[self.worksheet["episode_id"].isin(mine)].reset_index(drop=True),
            cells=rows_of(self.cells, case.segment, case.segment_by).reset_index(drop=True),
            triangle=rows_of(self.triangle, case.segment, case.segment_by).reset_index(drop=True),
            exclusions=self.exclusions,
        )


def discount_policy(discount: str) -> LedgerPolicy:
    """Return the ledger policy for a discount rule written as text, as notebooks and plans state it.

    Parameters
    ----------
    discount : str
        ``"eir"`` for each facility's original effective interest rate; an annual rate such as ``"0.05"``; or a preset,
        ``"eba"``, ``"uk"``, ``"ifrs9"``, ``"cecl"`` or ``"us_economic"``, with fields overridden after a colon:
        ``"eba: maximum_recovery_months=60, drawings=both"``. ``eba`` and ``uk`` discount by the data spec's table
        ``reference_rates``, ``us_economic`` by ``segment_rates``; ``uk`` needs ``cure_arrears`` as well, and a policy
        that spreads indirect costs ``indirect_costs``.

    Raises
    ------
    SpecError
        When the text is none of these, or a field or its value is not allowed.

    Examples
    --------
    >>> discount_policy("0.05").discount_rate
    0.05
    >>> discount_policy("eir").discount_rate
    'eir'
    >>> discount_policy("uk: cure_discounting=balance, discount_floor=none").name
    'uk with discount_floor None, cure_discounting balance'
    """
    if discount == "eir":
        return LedgerPolicy(discount_rate="eir")
    preset, _, rest = (part.strip() for part in discount.partition(":"))
    if preset in PRESETS:
        return _preset(preset, rest, discount)
    try:
        return LedgerPolicy(discount_rate=float(discount))
    except ValueError:
        raise SpecError(
            f"discount is {discount!r}; allowed are 'eir' and an annual rate written as a share, such as '0.05', or a "
            f"preset: {', '.join(PRESETS)}, with fields overridden as in 'eba: maximum_recovery_months=60'"
        ) from None


def _preset(name: str, rest: str, discount: str) -> LedgerPolicy:
    """Return a preset with the fields overridden that the text names."""
    pairs = [pair.partition("=") for pair in rest.split(",")] if rest else []
    fields = {field.strip(): _value_of(field.strip(), value.strip()) for field, _, value in pairs}
    try:
        return LedgerPolicy.named(name, **fields)
    except (ValueError, TypeError) as error:
        raise SpecError(f"discount is {discount!r}: {error}") from None


def _value_of(field: str, text: str) -> str | int | float | bool | None:
    """Return a value written in a rule: a number, yes or no, nothing, or a word; one field has ``none`` as a word."""
    words: dict[str, bool | None] = {"none": None, "true": True, "false": False}
    if text.lower() in words and field != "indirect_cost_allocation":
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def workout(book: Book, policy: LedgerPolicy) -> Workout:
    """Return ledger, worksheet, cells and triangle of a book under a policy.

    Parameters
    ----------
    book : Book
        The whole book, or one segment.
    policy : LedgerPolicy
        Discounting and the treatment of costs, drawings and cures.

    Returns
    -------
    Workout
        Read where the run prepared it, computed otherwise. What is prepared is the whole book's; a segment's is
        computed.

    Raises
    ------
    ContractError
        When the policy needs a table that the book has not.
    SpecError
        When the policy spreads totals of indirect costs over all episodes in default and the book is one segment.
    """
    folder = _prepared_folder(book.folder, policy) if book.folder and book.segment == WHOLE_BOOK else None
    if folder and folder.is_dir():
        frames = {name: pd.read_parquet(folder / f"{name}.parquet") for name in FRAMES}
        return Workout(**{name: with_plain_dates(frame) for name, frame in frames.items()})
    built = _ledger_of(book, policy)
    ledger = with_plain_dates(built.ledger.to_pandas())
    return Workout(
        ledger=ledger,
        worksheet=built.worksheet.to_pandas(),
        cells=history.triangle.recovery_cells(
            book.episodes, ledger, by=(*book.segment_by, "default_vintage")
        ).to_pandas(),
        triangle=history.triangle.vintage_triangle(book.episodes, ledger, by=book.segment_by).to_pandas(),
        exclusions=pd.concat([built.exclusions.to_pandas(), *_arrears_left_out(book)], ignore_index=True),
    )


def audit_worksheet(book: Book, episode_ids: Sequence[str], *, policy: LedgerPolicy) -> "EpisodeWorksheet":
    """Return the worksheet from which an auditor recomputes the LGD of some episodes of a book.

    Parameters
    ----------
    book : Book
        The whole book, or one segment.
    episode_ids : sequence of str
        The episodes, each once.
    policy : LedgerPolicy
        Discounting and the treatment of costs, drawings and cures.

    Returns
    -------
    EpisodeWorksheet
        Every cash flow of the episodes, in or out and why, and the parts of their loss; ``write_workbook`` makes an
        Excel file of it.

    Raises
    ------
    ContractError
        When an episode is not in the book or named twice, or the policy needs a table that the book has not.
    SpecError
        As ``workout``.
    InsufficientDataError
        When no episode is named, or one of them has no discount rate.
    """
    built = _ledger_of(book, policy)
    return history.worksheet.episode_worksheet(built, episode_ids)


def all_exclusions(book: Book, policy: LedgerPolicy) -> pd.DataFrame:
    """Return what was left out on the way from the files to the ledger: table, reason, n_rows, amount."""
    return pd.concat([book.exclusions, workout(book, policy).exclusions], ignore_index=True)


def prepare_book(book: Book, folder: str | Path, *, discounts: Sequence[str] = ("eir",)) -> None:
    """Write a whole book, and its workouts under the policies that will be asked for, for ``open_book`` to read.

    Parameters
    ----------
    book : Book
        The whole book, with the segment columns of the run.
    folder : path
        Where to; made when it is not there. Nothing of a book that was prepared there before stays.
    discounts : sequence of str
        Discount rules as notebooks state them. The policy of the provision is always prepared.
    """
    policies = (PROVISION_POLICY, *map(discount_policy, discounts))
    # A folder is a prepared book from the moment its facts are there: they go first and come last.
    (Path(folder) / FACTS).unlink(missing_ok=True)
    for made_before in (_workouts_folder(Path(folder)), Path(folder) / OPERATIONS, Path(folder) / LEDGER):
        shutil.rmtree(made_before, ignore_errors=True)
    for policy in policies:
        target = _prepared_folder(Path(folder), policy)
        target.mkdir(parents=True, exist_ok=True)
        made = workout(replace(book, folder=None), policy)
        for name in FRAMES:
            getattr(made, name).to_parquet(target / f"{name}.parquet", index=False)
    book.write(folder)


def _ledger_of(book: Book, policy: LedgerPolicy) -> "LedgerTables":
    """Build the ledger of a book with the tables that it has for it; a policy that lacks one says so."""
    if book.segment != WHOLE_BOOK and policy.indirect_cost_allocation in SPREAD_OVER_ALL:
        raise SpecError(
            "the policy spreads totals of indirect costs over all episodes in default, and the book is the segment "
            f"{book.segment!r}, which would bear them alone; take the whole book"
        )
    given = book.ledger_tables
    arrears = given.get("cure_arrears")
    return history.ledger.build_ledger(
        book.episodes,
        book.cash_flows,
        reporting_date=book.reporting_date,
        policy=policy,
        reference_rates=given.get("reference_rates"),
        segment_rates=given.get("segment_rates"),
        indirect_costs=given.get("indirect_costs"),
        arrears=None if arrears is None else _arrears_of(book.episodes, arrears),
    )


def _arrears_of(episodes: pd.DataFrame, arrears: pd.DataFrame) -> pd.DataFrame:
    """Return the arrears at cure by episode: a bank names the facility and the day, not the kit's episodes."""
    key = ["facility_id", "outcome_date"]
    return episodes[["episode_id", *key]].merge(arrears, on=key, validate="many_to_one")[
        ["episode_id", "arrears_amount"]
    ]


def _arrears_left_out(book: Book) -> list[pd.DataFrame]:
    """Count the arrears at cure that belong to no cured episode of the book; no frame where there are none."""
    given = book.ledger_tables.get("cure_arrears")
    if given is None:
        return []
    own = given[given["facility_id"].isin(book.facilities["facility_id"])]
    cured = book.episodes[book.episodes["outcome"] == Outcome.CURED]
    found = own.merge(cured[["facility_id", "outcome_date"]], how="left", indicator=True)
    left = found[found["_merge"] == "left_only"]
    if left.empty:
        return []
    reason = "no episode of the facility is cured on that day"
    row = {"table": "cure_arrears", "reason": reason, "n_rows": len(left), "amount": left["arrears_amount"].sum()}
    return [pd.DataFrame([row])]


def _workouts_folder(folder: Path) -> Path:
    return folder / "workouts"


def _prepared_folder(folder: Path, policy: LedgerPolicy) -> Path:
    key = hashlib.sha256(json.dumps(asdict(policy), sort_keys=True).encode()).hexdigest()[:12]
    return _workouts_folder(folder) / key

"""Control totals: the book, the sum of its segments and what the segment pages recorded say the same, to the cent."""

import pandas as pd

from recoverykit.episodes.policy import LedgerPolicy
from recoverykit.portfolio.book import Book
from recoverykit.portfolio.money import exact_sum
from recoverykit.portfolio.provision import Provision
from recoverykit.portfolio.segments import ancestry
from recoverykit.portfolio.workout import workout
from recoverykit.vocabulary import WHOLE_BOOK


def reconcile(book: Book, provision: Provision, recorded: pd.DataFrame, *, policy: LedgerPolicy) -> pd.DataFrame:
    """Compare the totals of the book with the sums over its segments.

    Parameters
    ----------
    book : Book
        The whole book.
    provision : Provision
        Its allowance.
    recorded : DataFrame
        What the loss pages recorded, one row each, with segment, n_episodes_in_worksheet, ead_in_worksheet and
        net_recovery_amount; empty where they were not run, and then only the provision is compared. The row of the
        whole book is no segment and is left out, and so is a group of segments where its segments are told as well.
    policy : LedgerPolicy
        The policy under which the loss pages counted recoveries.

    Returns
    -------
    DataFrame
        One row per control: control, book, segments and difference (segments less book; zero to the cent when all is
        well).
    """
    still_open = book.open_episodes
    rows = [
        ("Open defaulted facilities", len(still_open), provision.segments["n_open"].sum()),
        (
            "Gross carrying amount",
            exact_sum(still_open["outstanding"]),
            exact_sum(provision.segments["gross_carrying_amount"]),
        ),
        ("Allowance", exact_sum(provision.facilities["allowance"]), exact_sum(provision.segments["allowance"])),
        ("Allowance, by months in default", provision.total["allowance"], exact_sum(provision.ages["allowance"])),
    ]
    groups = {WHOLE_BOOK, *(parent for name in recorded["segment"] for parent in ancestry(name)[1:])}
    recorded = recorded[~recorded["segment"].isin(groups)]
    if len(recorded):
        worksheet = workout(book, policy).worksheet
        rows += [
            ("Default episodes, from the segment pages", len(book.episodes), recorded["n_episodes_in_worksheet"].sum()),
            (
                "Exposure at default, from the segment pages",
                exact_sum(book.episodes["ead"]),
                exact_sum(recorded["ead_in_worksheet"]),
            ),
            (
                "Net recoveries, from the segment pages",
                exact_sum(worksheet["net_recovery_amount"]),
                exact_sum(recorded["net_recovery_amount"]),
            ),
        ]
    checks = pd.DataFrame(rows, columns=["control", "book", "segments"])
    checks[["book", "segments"]] = checks[["book", "segments"]].astype(float)
    checks["difference"] = ((checks["segments"] - checks["book"]) * 100).round() / 100
    return checks

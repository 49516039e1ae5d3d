"""What defaulted exposures are expected to lose from here on, by months in default, and the capital that follows.

The best estimate (ELBE) is the part of the outstanding amount that does not come any more; the LGD in-default adds a
downturn and the margins of conservatism; the gap between the two is the capital charge of a defaulted exposure. Both
are shares of what is outstanding, not of the exposure at default: a loan that has paid half and will pay the other half
loses nothing. They are weighted by what is outstanding, because they are multiplied by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from recoverykit.episodes.policy import LedgerPolicy
from recoverykit.errors import InsufficientDataError
from recoverykit.estimators.conditional_recovery import ConditionalRecovery, conditional_recovery
from recoverykit.portfolio.book import Book
from recoverykit.portfolio.downturn import DOWNTURN_ADD_ON, DOWNTURN_CAP, Downturn, DownturnMethod
from recoverykit.portfolio.loss import MINIMUM_AT_RISK
from recoverykit.portfolio.regulatory import MarginCategory, RegulatoryLgd
from recoverykit.portfolio.segments import CurveBasis, ancestry
from recoverykit.portfolio.workout import workout
from recoverykit.vocabulary import WHOLE_BOOK

#: Months in default at which tables read the curves.
READING_MONTHS = (0, 6, 12, 18, 24, 36, 48, 60)


@dataclass(frozen=True, slots=True, eq=False)
class InDefaultLosses:
    """Losses of defaulted exposures by months in default, shares of the outstanding amount.

    Attributes
    ----------
    table : DataFrame
        One row per completed month in default: months, n_open (episodes open at its end, of whom the month rests on),
        elbe with lower and upper (band over obligors), downturn and margin (what each adds), lgd_in_default, k.
    basis : CurveBasis
        Whose episodes each month of the curve rests on.
    downturn : Downturn
        The rule that was carried over from the LGD of performing exposures.
    level : float
        Confidence level of the band.
    """

    table: pd.DataFrame
    basis: CurveBasis
    downturn: Downturn
    level: float

    def read(self, months: Sequence[int] = READING_MONTHS) -> pd.DataFrame:
        """Return the rows at round ages."""
        return self.table[self.table["months"].isin(list(months))].reset_index(drop=True)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return what is kept."""
        return {"in_default": self.table}

    def record(self) -> dict[str, Any]:
        """Return the facts as plain values."""
        first = self.table.iloc[0]
        return {
            "in_default_basis": str(self.basis),
            **{f"{name}_of_new_defaults": float(first[name]) for name in ("elbe", "lgd_in_default", "k")},
        }


def estimate_in_default(
    book: Book,
    segment: str,
    final: RegulatoryLgd,
    *,
    policy: LedgerPolicy,
    minimum_at_risk: int = MINIMUM_AT_RISK,
    n_bootstrap: int = 500,
    seed: int = 1,
    level: float = 0.95,
) -> InDefaultLosses:
    """Estimate ELBE, LGD in-default and the capital charge by months in default.

    Parameters
    ----------
    book : Book
        The whole book.
    segment : str
        Name of the segment. After the last month with enough open episodes its parent's curve carries it on.
    final : RegulatoryLgd
        The segment's regulatory LGD, which brings the downturn and the register of margins.
    policy : LedgerPolicy
        Discounting and treatment of flows.
    minimum_at_risk : int
        Open episodes that a month needs to rest on the segment.
    n_bootstrap, seed, level
        As in ``estimate_loss``; without draws there is no margin for the error of the curve.

    Returns
    -------
    InDefaultLosses

    Raises
    ------
    InsufficientDataError
        When the segment holds no default episode, or the whole book has too few open ones in its first month.

    Notes
    -----
    With g_t the share of the outstanding amount that still comes after month t (``conditional_recovery``), ELBE_t =
    1 - g_t (EBA/GL/2017/16: best estimate of expected loss of defaulted exposures by time in default). Outstanding and
    recoveries stand in one value of money, so the share is the same at the default date and at the reference date, as
    long as the outstanding amount carries interest at the discount rate.

    LGD in-default_t = ELBE_t + downturn_t + A + B + C_t. The add-on of the last resort is 15 points, up to 105 %
    (EBA/GL/2019/03). An observed or estimated downturn takes from a defaulted exposure the same part of what still
    comes as it takes from a new one: h g_t with h = (downturn LGD - long-run average) / (1 - long-run average). A and B
    are those of the register; C_t is the distance to the upper end of the band. K_t = max(0, LGD in-default_t - ELBE_t)
    (CRR, Article 153(1)(ii) and 154(1)(i)).
    """
    options: dict[str, Any] = {"minimum_at_risk": minimum_at_risk, "n_bootstrap": n_bootstrap, "level": level}
    curve, basis = _spliced_curve(book, segment, policy, seed, options)
    elbe, upper = 1.0 - curve.remaining_share, 1.0 - curve.lower
    still_open = np.append(curve.n_open_at_start[1:], 0.0)
    stated = sum(m.amount for m in final.margins if m.category is not MarginCategory.ESTIMATION_ERROR)
    margin = stated + np.nan_to_num(np.maximum(upper - elbe, 0.0))
    added = _downturn_of(elbe, final)
    table = pd.DataFrame(
        {
            "months": curve.months.astype(int),
            "n_open": still_open.astype(int),
            "elbe": elbe,
            "lower": 1.0 - curve.upper,
            "upper": upper,
            "downturn": added,
            "margin": margin,
            "lgd_in_default": elbe + added + margin,
        }
    )
    table["k"] = np.maximum(table["lgd_in_default"] - table["elbe"], 0.0)
    # After the last month of the curve nothing more is expected, which is no estimate of that month.
    return InDefaultLosses(table.iloc[: max(len(table) - 1, 1)], basis, final.downturn, level)


def _spliced_curve(
    book: Book, segment: str, policy: LedgerPolicy, seed: int, options: dict[str, Any]
) -> tuple[ConditionalRecovery, CurveBasis]:
    """Return the curve of a segment, carried on by its parents', and whose months are whose."""
    whole = workout(book, policy)
    book.restricted(segment)
    curve: ConditionalRecovery | None = None
    stretches: list[tuple[str, int, int]] = []
    for name in reversed(ancestry(segment)):
        case = book.restricted(name)
        try:
            curve = conditional_recovery(
                case.episodes, whole.restricted(case).ledger, tail=curve, rng=np.random.default_rng(seed), **options
            )
        except InsufficientDataError:
            if name == WHOLE_BOOK:
                raise
            break
        own = curve.n_own_months or len(curve.months)
        later = [(who, max(first, own), last) for who, first, last in stretches if last >= own]
        stretches = [(name, 0, own - 1), *later]
    if curve is None:  # never: the whole book comes first, and raises
        raise InsufficientDataError("the whole book has no curve")
    return curve, CurveBasis(segment, tuple(stretches), options["minimum_at_risk"])


def _downturn_of(elbe: np.ndarray, final: RegulatoryLgd) -> np.ndarray:
    """Return what the downturn adds to the loss of a defaulted exposure, shares of the outstanding amount."""
    if final.downturn.method is DownturnMethod.ADD_ON:
        return np.clip(DOWNTURN_CAP - elbe, 0.0, DOWNTURN_ADD_ON)
    to_come = 1.0 - final.long_run
    haircut = (final.downturn.lgd - final.long_run) / to_come if to_come > 0 else 0.0
    return haircut * np.maximum(1.0 - elbe, 0.0)

"""What an open episode may still expect, given its months in default and what it has recovered so far.

Two of the same age are not alike when one has paid back two thirds and the other nothing. ``conditional_recovery`` asks
which part of what is outstanding comes in from each age on, and applies it to the outstanding part of an episode: the
mortality approach to recoveries. That assumes that the outstanding part, and not the history, sets the pace.
``remaining_by_recovered`` is the check: it follows the episodes open at a month in classes of what they had recovered,
assumes nothing, and sets what came in beside what the approach says. Neither knows dates or discount rates.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from recoverykit.curves import StepCurve
from recoverykit.estimators._clusters import check_bootstrap, draw_counts, percentile_limits
from recoverykit.estimators._conditional_histories import landmark_cells, outstanding_sums, read_histories
from recoverykit.estimators._fit_tables import plain
from recoverykit.estimators._recovery_kernels import months_known
from recoverykit.estimators._rows import Array, check_level
from recoverykit.estimators.recovery_curve import recovery_curve
from recoverykit.estimators.remaining_recovery import MINIMUM_OPEN

__all__ = ["ConditionalRecovery", "conditional_recovery", "remaining_by_recovered"]


@dataclass(frozen=True, slots=True, eq=False)
class ConditionalRecovery:
    """Which part of the outstanding exposure is still to come, by months in default.

    Attributes
    ----------
    months : ndarray of shape (n_months,)
        0, 1, ..., T: months in default. Nothing is expected after month T, where the data end.
    paid_share : ndarray of shape (n_months,)
        Net recovery in the month as a share of what was outstanding at its start, of episodes open then.
    still_open_share : ndarray of shape (n_months,)
        What is outstanding after the month on episodes that are still open, as a share of the same.
    remaining_share, lower, upper, standard_errors : ndarray of shape (n_months,)
        Net recovery expected after the month, as a share of what is outstanding then, and its band over obligors; NaN
        without a bootstrap.
    n_open_at_start : ndarray of shape (n_months,)
        Episodes open at the start of the month.
    n_late_entry : int
        Episodes left out because their recoveries before observation are not known.
    level : float
        Confidence level of the band.
    n_own_months : int or None
        Months that rest on the episodes themselves, where a tail carries the curve on; None without a tail.

    Examples
    --------
    >>> half = np.array([0.0, 0.5, 0.5])
    >>> nothing = np.full(3, np.nan)
    >>> curve = ConditionalRecovery(np.arange(3.0), half, 1 - half, np.array([0.75, 0.5, 0.0]), nothing, nothing,
    ...                             nothing, np.full(3, 20.0), 0, 0.95)
    >>> curve.remaining_after(1, [0.0, 0.8]).round(3).tolist()
    [0.5, 0.1]

    After a month half of the outstanding part is still expected: 50 % of EAD where nothing was recovered, 10 % where
    80 % was.
    """

    months: Array
    paid_share: Array
    still_open_share: Array
    remaining_share: Array
    lower: Array
    upper: Array
    standard_errors: Array
    n_open_at_start: Array
    n_late_entry: int
    level: float
    n_own_months: int | None = None

    def remaining_after(self, month: ArrayLike, recovered_rate: ArrayLike) -> Array:
        """Return the net recovery still expected of open episodes, as a share of EAD.

        Parameters
        ----------
        month : int or array of int
            Completed months in default, 0 or more.
        recovered_rate : float or array of float
            Net recovered so far, present value as a share of EAD; from 1 on nothing is outstanding.

        Returns
        -------
        ndarray
            max(1 - recovered_rate, 0) x the share of the outstanding part; 0 from the last month of the curve on.
        """
        return self._applied(self.remaining_share, month, recovered_rate)

    def limits_after(self, month: ArrayLike, recovered_rate: ArrayLike) -> tuple[Array, Array]:
        """Return the band of ``remaining_after``: of the expectation, not of what a single episode will bring."""
        lower, upper = (self._applied(limit, month, recovered_rate) for limit in (self.lower, self.upper))
        return lower, upper

    def to_frame(self) -> pd.DataFrame:
        """Return one row per month: shares, band and number open."""
        names = ("months", "paid_share", "still_open_share", "remaining_share", "lower", "upper", "standard_errors")
        return pd.DataFrame({name: getattr(self, name) for name in (*names, "n_open_at_start")})

    def to_record(self) -> dict[str, Any]:
        """Return the arrays as lists that JSON can hold; None where there is no number."""
        table = self.to_frame()
        arrays = {str(name): [plain(float(v)) for v in table[name]] for name in table.columns}
        return {**arrays, "n_late_entry": self.n_late_entry, "level": self.level}

    def _applied(self, share: Array, month: ArrayLike, recovered_rate: ArrayLike) -> Array:
        asked = np.asarray(month, dtype=float)
        if np.any(~(asked >= 0) | (asked != np.floor(asked))):
            raise ValueError("month must be completed months in default, whole and 0 or more")
        place = np.minimum(asked, len(self.months) - 1).astype(np.int64)
        return np.maximum(1.0 - np.asarray(recovered_rate, dtype=float), 0.0) * share[place]


def conditional_recovery(
    episodes: pd.DataFrame,
    ledger: pd.DataFrame,
    *,
    amount_col: str = "present_value_amount",
    tail: ConditionalRecovery | None = None,
    minimum_at_risk: int = MINIMUM_OPEN,
    n_bootstrap: int = 0,
    rng: np.random.Generator | None = None,
    level: float = 0.95,
) -> ConditionalRecovery:
    """Estimate which part of the outstanding exposure of open episodes is still to come.

    Parameters
    ----------
    episodes : DataFrame
        With episode_id, obligor_id, ead (currency, above 0), outcome, months_in_default, observed_months and
        entry_months. Not changed.
    ledger : DataFrame
        Their cash flows: episode_id, month, recovery_month and the amount. Not changed.
    amount_col : str
        Net recovery, currency.
    tail : ConditionalRecovery, optional
        The curve of a parent, which carries this one on after its last month. Without it nothing is expected there.
    minimum_at_risk : int
        The curve ends at the last month with at least this many open episodes at its start.
    n_bootstrap : int
        Draws of obligors; 0 for no band.
    rng : numpy.random.Generator, optional
        Needed for a bootstrap.
    level : float
        Confidence level in (0, 1).

    Returns
    -------
    ConditionalRecovery

    Raises
    ------
    ContractError
        When columns or numbers are missing, or a cash flow has no episode.
    InsufficientDataError
        When no month has the minimum number of open episodes.
    ValueError
        When an option is not allowed, or a bootstrap has no ``rng``.

    Notes
    -----
    With o the outstanding part of EAD, max(EAD - recovered, 0), and sums over episodes open at the start of month m and
    observed through it: p_m = sum of recoveries / sum of o before, q_m = sum of o after on those still open / sum of o
    before. The share of the outstanding part still to come after month t is g_t = p_{t+1} + q_{t+1} g_{t+1}, and after
    the last month T of these episodes 0, or the tail's g_T; each draw then takes it with a normal error of its own.

    Marginal recovery rates on what is outstanding are those of Dermine & Neto de Carvalho (2006), Journal of Banking &
    Finance 30:1219-1243, here among open episodes, which end with less than all. Unbiased whatever was recovered when
    payments and closures depend on the past through the outstanding part only; see ``remaining_by_recovered``.

    Examples
    --------
    Two loans of 100. A pays 50, then 20 when it is sold in month 2; B pays nothing and is written off in month 2.

    >>> episodes = pd.DataFrame({"episode_id": ["A", "B"], "obligor_id": ["a", "b"], "ead": 100.0, "entry_months": 0,
    ...     "outcome": ["sold", "written_off"], "months_in_default": 2, "observed_months": 9})
    >>> ledger = pd.DataFrame({"episode_id": ["A", "A"], "month": [1, 2], "recovery_month": [1, 2],
    ...                        "present_value_amount": [50.0, 20.0]})
    >>> curve = conditional_recovery(episodes, ledger, minimum_at_risk=1)
    >>> curve.remaining_share.round(4).tolist()
    [0.35, 0.1333, 0.0]

    After month 1, 150 is outstanding and 20 of it comes: 13.33 %.
    """
    check_level(level)
    check_bootstrap(n_bootstrap, rng)
    histories = read_histories(episodes, ledger, amount_col)
    sums = outstanding_sums(histories)
    total = sums.total()
    n_months = months_known(total[1], total[3], minimum_at_risk)
    end, error = _end_of(tail, n_months)
    estimate = _remaining(total[None, :, :n_months], np.array([end]))[0]
    errors = lower = upper = np.full(n_months, np.nan)
    if n_bootstrap and rng is not None:
        ends = end + error * rng.standard_normal(n_bootstrap) if error > 0 else np.full(n_bootstrap, end)
        counts = draw_counts(rng, n_clusters=sums.n_clusters, n_draws=n_bootstrap)
        blocks = [sums.drawn(block)[:, :, :n_months] for block in counts]
        draws = _remaining(np.concatenate(blocks), ends)[:, 2]
        lower, upper = percentile_limits(draws, level)
        errors = draws.std(axis=0, ddof=1) if n_bootstrap > 1 else errors
    own = ConditionalRecovery(
        months=np.arange(n_months, dtype=float),
        paid_share=estimate[0],
        still_open_share=estimate[1],
        remaining_share=estimate[2],
        lower=lower,
        upper=upper,
        standard_errors=errors,
        n_open_at_start=total[3, :n_months],
        n_late_entry=histories.n_late_entry,
        level=level,
    )
    return own if tail is None else _carried_on(own, tail)


def remaining_by_recovered(
    episodes: pd.DataFrame,
    ledger: pd.DataFrame,
    *,
    months: Sequence[int] = (6, 12, 24),
    bounds: Sequence[float] = (0.1, 0.5),
    amount_col: str = "present_value_amount",
    minimum_at_risk: int = MINIMUM_OPEN,
    n_bootstrap: int = 0,
    rng: np.random.Generator | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Follow open episodes in classes of what they had recovered, and compare with the share of the outstanding part.

    Parameters
    ----------
    episodes, ledger, amount_col, n_bootstrap, rng, level
        As in ``conditional_recovery``.
    months : sequence of int
        Months in default at which open episodes are sorted into classes.
    bounds : sequence of float
        Limits of the classes of recovered_rate, increasing; a value on a limit is in the class above it.
    minimum_at_risk : int
        A class is followed to the last month with at least this many of its episodes observed; one with fewer to begin
        with has no numbers.

    Returns
    -------
    DataFrame
        One row per month and class: month, recovered_from, recovered_to (limits of the class), n_episodes, ead,
        recovered_rate (so far), horizon (last month followed), followed_rate (recovered after month, up to the horizon,
        share of EAD: the additive curve of the class), lower, upper, expected_rate (the same by the outstanding
        part), difference (followed - expected). Large differences of one sign by class say that the history matters
        beyond what is outstanding: then take the followed rates.

    Raises
    ------
    ContractError, InsufficientDataError, ValueError
        As in ``conditional_recovery``; ValueError also when ``bounds`` do not increase.
    """
    limits = np.array([-np.inf, *bounds, np.inf])
    if np.any(np.diff(limits) <= 0):
        raise ValueError(f"bounds are {list(bounds)}; they must increase")
    check_bootstrap(n_bootstrap, rng)
    model = conditional_recovery(episodes, ledger, amount_col=amount_col, minimum_at_risk=minimum_at_risk, level=level)
    histories = read_histories(episodes, ledger, amount_col)
    rows = []
    for month in map(int, months):
        is_open, recovered = histories.open_after(month)
        group = np.digitize(recovered, limits[1:-1])
        for k in range(len(limits) - 1):
            mine = is_open & (group == k)
            ead = histories.ead[mine]
            line = {"month": month, "recovered_from": limits[k], "recovered_to": limits[k + 1]}
            line |= {"n_episodes": int(mine.sum()), "ead": float(ead.sum())}
            if mine.sum() < minimum_at_risk:
                rows.append(line)
                continue
            cells = landmark_cells(histories, mine, month)
            curve = recovery_curve(
                cells, n_bootstrap=n_bootstrap, rng=rng, level=level, minimum_at_risk=minimum_at_risk
            )
            outstanding = float(np.average(np.maximum(1.0 - recovered[mine], 0.0), weights=ead))
            line["recovered_rate"] = float(np.average(recovered[mine], weights=ead))
            rows.append(line | _compared(curve, model, month, outstanding))
    names = ("month", "recovered_from", "recovered_to", "n_episodes", "ead", "recovered_rate", "horizon")
    rates = ("followed_rate", "lower", "upper", "expected_rate", "difference")
    return pd.DataFrame(rows, columns=[*names, *rates])


def _compared(curve: StepCurve, model: ConditionalRecovery, month: int, outstanding: float) -> dict[str, float]:
    """Set what a class recovered after a month beside what its outstanding share of EAD lets expect."""
    horizon = int(month + curve.times[-1])
    expected = outstanding * _share_until(model, month, horizon)
    followed, lower, upper = (float(limit[-1]) for limit in (curve.values, curve.lower, curve.upper))
    return {
        "horizon": horizon,
        "followed_rate": followed,
        "lower": lower,
        "upper": upper,
        "expected_rate": expected,
        "difference": followed - expected,
    }


def _end_of(tail: ConditionalRecovery | None, n_months: int) -> tuple[float, float]:
    """Return what a tail still expects after the last of some months, and its error; nothing without a tail."""
    if tail is None or len(tail.months) <= n_months:
        return 0.0, 0.0
    return float(tail.remaining_share[n_months - 1]), float(np.nan_to_num(tail.standard_errors[n_months - 1]))


def _carried_on(own: ConditionalRecovery, tail: ConditionalRecovery) -> ConditionalRecovery:
    """Return a curve with the months of its tail after its own."""
    names = ("paid_share", "still_open_share", "remaining_share", "lower", "upper", "standard_errors")
    n_own = len(own.months)
    longer = max(len(tail.months), n_own)
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(own, name), getattr(tail, name)[n_own:]]) for name in (*names, "n_open_at_start")
    }
    return replace(own, months=np.arange(longer, dtype=float), n_own_months=n_own, **joined)


def _remaining(sums: Array, end: Array) -> Array:
    """Return p, q and g from sums of shape (n_draws, 3 or more, n_months): paid, outstanding before, and after.

    ``end`` of shape (n_draws,) is g after the last month. Where nothing is outstanding, as in a late month of a draw,
    nothing more is expected.
    """
    paid, before, after = sums[:, 0], sums[:, 1], sums[:, 2]
    p, q = (np.divide(part, before, out=np.zeros(before.shape), where=before > 0) for part in (paid, after))
    g = np.zeros(p.shape)
    g[:, -1] = end
    for month in range(p.shape[1] - 2, -1, -1):
        g[:, month] = p[:, month + 1] + q[:, month + 1] * g[:, month + 1]
    return np.stack([p, q, g], axis=1)


def _share_until(model: ConditionalRecovery, month: int, horizon: int) -> float:
    """Return the share of the outstanding part expected after a month, up to a horizon."""
    share = 0.0
    for m in range(min(horizon, len(model.months) - 1), month, -1):
        share = float(model.paid_share[m] + model.still_open_share[m] * share)
    return share

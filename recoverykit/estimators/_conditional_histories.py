"""Episodes and their cash flows as arrays: what is outstanding month by month, summed by obligor.

What is outstanding changes only where money flows, so a history is kept as its few changes, and sums over months are
running sums of them: a million episodes are never written out month by month. Private to ``conditional_recovery``.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from recoverykit.errors import ContractError, InsufficientDataError
from recoverykit.estimators._rows import Array, BoolArray, IntArray, broken, check_columns, number_column
from recoverykit.vocabulary import Outcome

#: Share of what was outstanding at default below which a running sum is nothing.
ROUNDING = 1e-10
_NEEDED = ("episode_id", "obligor_id", "ead", "outcome", "months_in_default", "observed_months", "entry_months")


@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """Checked episodes, late entries set apart, and their flows in observed months, sorted by episode and month.

    Attributes
    ----------
    ead, last, observed : ndarray of shape (n_episodes,)
        EAD (currency); the last month at whose start the episode was open; the last month observed.
    is_closed : ndarray of bool of shape (n_episodes,)
        Whether it ended by the last month observed.
    cluster : ndarray of int of shape (n_episodes,)
        Obligor, numbered from 0.
    flow_episode, flow_month, flow_recovery_month, flow_amount : ndarray of shape (n_flows,)
        Position of the episode, month paid, month in which it counts while the episode is open, and amount.
    n_late_entry : int
        Episodes set apart.
    """

    ead: Array
    last: IntArray
    observed: IntArray
    is_closed: BoolArray
    cluster: IntArray
    flow_episode: IntArray
    flow_month: IntArray
    flow_recovery_month: IntArray
    flow_amount: Array
    n_late_entry: int

    def open_after(self, month: int) -> tuple[BoolArray, Array]:
        """Return which episodes were seen open after a month, and what each had recovered by then, share of EAD."""
        is_open = np.where(self.is_closed, self.last > month, self.last >= month)
        early = self.flow_recovery_month <= month
        paid = np.bincount(self.flow_episode[early], weights=self.flow_amount[early], minlength=len(self.ead))
        return is_open, paid / self.ead


@dataclass(frozen=True, slots=True, eq=False)
class OutstandingSums:
    """Changes by obligor and month whose running sums over months are the sums wanted.

    ``changes`` has shape (n_clusters, 4 * n_months): recoveries (not to be run up), what was outstanding on open
    episodes before the month, after it on those still open, and the number open at its start.
    """

    changes: sparse.csr_array
    n_months: int

    @property
    def n_clusters(self) -> int:
        """Number of obligors."""
        return int(self.changes.shape[0])

    def total(self) -> Array:
        """Return the four sums over all obligors, of shape (4, n_months)."""
        return self.drawn(np.ones((1, self.n_clusters)))[0]

    def drawn(self, counts: Array) -> Array:
        """Return the four sums of draws, of shape (n_draws, 4, n_months)."""
        sums = (self.changes.T @ counts.T).T.reshape(len(counts), 4, self.n_months)
        sums[:, 1:] = np.cumsum(sums[:, 1:], axis=2)
        # What is left of running sums that have come back to nothing is rounding, and must not be divided by.
        outstanding = sums[:, 1:3]
        outstanding[outstanding < ROUNDING * sums[:, 1:2, :1]] = 0.0
        return sums


def read_histories(episodes: pd.DataFrame, ledger: pd.DataFrame, amount_col: str) -> Histories:
    """Check episodes and flows, and return them as arrays.

    Raises
    ------
    ContractError
        Columns or numbers missing, an episode twice, a flow without an episode.
    InsufficientDataError
        No episode, or late entries only.
    """
    check_columns(episodes, _NEEDED, table="episodes")
    missing = [c for c in ("episode_id", "month", "recovery_month", amount_col) if c not in ledger.columns]
    if missing:
        check_columns(ledger, missing, table="ledger")
    found = broken(
        episodes, "episode_id must not be repeated", episodes["episode_id"].duplicated().to_numpy(), table="episodes"
    )
    ead = number_column(episodes, "ead", 0.0)
    found += broken(episodes, "ead must be a number above 0", ~(np.isfinite(ead) & (ead > 0)), table="episodes")
    for name in ("obligor_id", "outcome", "months_in_default", "observed_months", "entry_months"):
        found += broken(episodes, f"{name} must not be missing", episodes[name].isna().to_numpy(), table="episodes")
    place = pd.Index(episodes["episode_id"]).get_indexer(pd.Index(ledger["episode_id"])) if not found else None
    amount = number_column(ledger, amount_col, 0.0)
    found += broken(ledger, f"{amount_col} must be a number in every row", ~np.isfinite(amount), table="ledger")
    for name in ("month", "recovery_month"):
        found += broken(ledger, f"{name} must not be missing", ledger[name].isna().to_numpy(), table="ledger")
    if place is not None:
        found += broken(ledger, "episode_id must be one of the episodes", place < 0, table="ledger")
    if found or place is None:
        raise ContractError(found)
    return _arrays(episodes, ledger, ead, amount, place)


def _arrays(episodes: pd.DataFrame, ledger: pd.DataFrame, ead: Array, amount: Array, place: IntArray) -> Histories:
    entry, in_default, observed = (
        episodes[name].to_numpy(dtype=np.int64) for name in ("entry_months", "months_in_default", "observed_months")
    )
    is_late = entry > 0
    kept = np.flatnonzero(~is_late)
    if len(kept) == 0:
        raise InsufficientDataError(
            f"all {len(episodes)} episodes were in default when observation began, so what each has recovered so far "
            "is not known; use remaining_recovery, which does not ask"
        )
    new_place = np.cumsum(~is_late) - 1
    month, recovery_month = (ledger[name].to_numpy(dtype=np.int64) for name in ("month", "recovery_month"))
    seen = ~is_late[place] & (month <= observed[place])
    order = np.flatnonzero(seen)[np.lexsort((recovery_month[seen], place[seen]))]
    return Histories(
        ead=ead[kept],
        last=np.minimum(in_default, observed)[kept],
        observed=observed[kept],
        # An outcome in the running month is not in the months observed: the episode was open through all of them.
        is_closed=((episodes["outcome"] != Outcome.OPEN).to_numpy() & (in_default <= observed))[kept],
        cluster=pd.factorize(episodes["obligor_id"].to_numpy()[kept])[0],
        flow_episode=new_place[place[order]],
        flow_month=month[order],
        flow_recovery_month=np.minimum(recovery_month, np.minimum(in_default, observed)[place])[order],
        flow_amount=amount[order],
        n_late_entry=int(is_late.sum()),
    )


def outstanding_sums(histories: Histories) -> OutstandingSums:
    """Return recoveries, and changes of what is outstanding, by obligor and month."""
    n_months = int(histories.last.max()) + 1
    episode, month, balance = _spells(histories)
    # A spell lasts from after its month to the next spell's of the same episode, and to the episode's end at most.
    is_last = np.append(episode[1:] != episode[:-1], True)
    following = np.append(month[1:], 0)
    last = histories.last[episode]
    # Before month m: the balance after the month before. Outstanding at the start of months first to until.
    until_before = np.where(is_last, last, following)
    still = np.where(histories.is_closed, histories.last - 1, histories.last)[episode]
    until_after = np.minimum(np.where(is_last, last, following - 1), still)
    cluster = histories.cluster[episode]
    everyone, first_cluster = np.arange(len(histories.ead)), histories.cluster
    parts = [
        (histories.cluster[histories.flow_episode], histories.flow_recovery_month, histories.flow_amount, 0),
        *_interval(cluster, month + 1, until_before, balance, 1),
        *_interval(cluster, np.maximum(month, 0), until_after, balance, 2),
        *_interval(first_cluster, np.zeros_like(everyone), histories.last, np.ones(len(everyone)), 3),
    ]
    row = np.concatenate([part[0] for part in parts])
    column = np.concatenate([part[3] * n_months + part[1] for part in parts])
    value = np.concatenate([part[2] for part in parts])
    inside = np.concatenate([part[1] for part in parts]) < n_months
    shape = (int(histories.cluster.max()) + 1, 4 * n_months)
    changes = sparse.csr_array((value[inside], (row[inside], column[inside])), shape=shape)
    return OutstandingSums(changes=changes, n_months=n_months)


def _spells(histories: Histories) -> tuple[IntArray, IntArray, Array]:
    """Return spells of one balance: episode, the month after which it holds (-1: from the start), and the balance."""
    n = len(histories.ead)
    key = histories.flow_episode * (int(histories.last.max()) + 1) + histories.flow_recovery_month
    distinct, position = np.unique(key, return_inverse=True)
    paid = np.bincount(position, weights=histories.flow_amount, minlength=len(distinct))
    episode, month = np.divmod(distinct, int(histories.last.max()) + 1)
    so_far = pd.Series(paid).groupby(episode).cumsum().to_numpy()
    balance = np.maximum(histories.ead[episode] - so_far, 0.0)
    every = np.concatenate([np.arange(n), episode])
    months = np.concatenate([np.full(n, -1), month])
    order = np.lexsort((months, every))
    return every[order], months[order], np.concatenate([histories.ead, balance])[order]


def _interval(
    cluster: IntArray, first: IntArray, until: IntArray, value: Array, column: int
) -> list[tuple[IntArray, IntArray, Array, int]]:
    """Return the two changes that make a running sum hold ``value`` in months first to until, where there are any."""
    there = until >= first
    return [
        (cluster[there], first[there], value[there], column),
        (cluster[there], until[there] + 1, -value[there], column),
    ]


def landmark_cells(histories: Histories, chosen: BoolArray, month: int) -> pd.DataFrame:
    """Return cells of chosen episodes for ``recovery_curve``, with months counted from a landmark month.

    A row per episode and month observed after the landmark; flows count in the month paid.
    """
    place = np.flatnonzero(chosen)
    length = histories.observed[place] - month + 1
    row = np.repeat(np.arange(len(place)), length)
    since = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
    position = np.full(len(histories.ead), -1)
    position[place] = np.cumsum(length) - length
    later = (position[histories.flow_episode] >= 0) & (histories.flow_month > month)
    where = position[histories.flow_episode[later]] + histories.flow_month[later] - month
    paid = np.bincount(where, weights=histories.flow_amount[later], minlength=len(row))
    return pd.DataFrame(
        {
            "obligor_id": histories.cluster[place][row],
            "month": since,
            "n_at_risk": 1,
            "ead_at_risk": histories.ead[place][row],
            "present_value_amount": paid,
        }
    )

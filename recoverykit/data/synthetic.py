"""A synthetic portfolio of distressed loans whose truth is known, for the sample data, for tests and for studies.

A North American lender with six products in six regions, in US dollars, over 60 month ends: monthly status, dated cash
flows, collateral and macro scenarios, exactly in the tables that a bank would bring. Defaults, cures, other outcomes
and recoveries are drawn from models that ``truth`` states in full; the tables show only what is known on the reporting
date. The portfolio is enriched with distressed loans: nobody should read a default rate from it. It holds no personal
data.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recoverykit.data._synthetic_book import Facilities, facilities_frame, facility_ids, month_ends, simulate_facilities
from recoverykit.data._synthetic_episodes import Episodes, simulate_default_episodes
from recoverykit.data._synthetic_files import write_table, write_truth
from recoverykit.data._synthetic_log import simulate_log
from recoverykit.data._synthetic_macro import Economy, simulate_economy
from recoverykit.data._synthetic_measures import Money, describe_truth, episodes_frame, flow_dates
from recoverykit.data._synthetic_paths import Paths, choose_paths
from recoverykit.data._synthetic_proceeds import draw_proceeds, draw_valuations
from recoverykit.data._synthetic_status import (
    Grid,
    add_harmless_arrears,
    freeze_balance,
    start_grid,
    status_frame,
    write_episodes,
)
from recoverykit.data._synthetic_truth import COLLATERAL_KINDS
from recoverykit.data._synthetic_workout import KINDS, FlowList, Flows, agree_terms, simulate_workout

#: The seed and the date of the sample that is shipped.
SAMPLE_SEED = 1
SAMPLE_REPORTING_DATE = "2026-09-30"
#: Parts of the simulation with a random stream of their own, so that a change in one leaves the others as they were.
_STREAMS = (
    "economy",
    "facilities",
    "defaults",
    "outcomes",
    "paths",
    "balances",
    "proceeds",
    "workout",
    "arrears",
    "log",
)
_FEWEST_MONTHS = 24


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticPortfolio:
    """A simulated portfolio with its truth.

    Attributes
    ----------
    tables : dict of str to DataFrame
        The contract tables ``facilities``, ``status``, ``cash_flows``, ``collateral`` and ``scenarios``, and those of
        the recovery unit that have a row, as known on the reporting date.
    truth : dict
        Formulas, coefficients, counts and true losses; safe for JSON.
    episodes : DataFrame
        One row per true default episode: what is known of it on the reporting date, and its ultimate outcome, month
        and loss, which nobody can know then.
    reporting_date : Timestamp
        The date as of which the tables stand.
    """

    tables: dict[str, pd.DataFrame]
    truth: dict[str, Any]
    episodes: pd.DataFrame
    reporting_date: pd.Timestamp


@dataclass(frozen=True, slots=True, eq=False)
class _World:
    """What exists before money flows: random streams, economy, facilities and episodes."""

    streams: dict[str, np.random.Generator]
    economy: Economy
    facilities: Facilities
    episodes: Episodes


def simulate_episodes(
    *,
    seed: int,
    n_facilities: int = 8000,
    n_obligors: int = 6000,
    n_months: int = 60,
    reporting_date: str = SAMPLE_REPORTING_DATE,
) -> pd.DataFrame:
    """Simulate the default episodes alone, without cash flows: fast enough for a study over many seeds.

    Parameters
    ----------
    seed : int
        Seed of every random stream, >= 0. The episodes are those of ``simulate_portfolio`` for the same arguments.
    n_facilities, n_obligors : int
        Size of the portfolio; every obligor has one facility at least.
    n_months : int
        Months of the window, at least 24.
    reporting_date : str
        ISO date of the month end that ends the window.

    Returns
    -------
    DataFrame
        One row per episode, sorted by facility and default date: identity, covariates, what is known on the reporting
        date, the interval of the time to cure after the dead months (upper end infinite without one), and how it ends.

    Raises
    ------
    ValueError
        When an argument lies outside its range.

    Examples
    --------
    >>> episodes = simulate_episodes(seed=1, n_facilities=400, n_obligors=300)
    >>> bool((episodes["months_in_default"] <= episodes["observed_months"]).all())
    True
    """
    world = _simulate_world(seed, n_facilities, n_obligors, n_months, reporting_date)
    return episodes_frame(world.episodes, world.facilities, world.economy)


def simulate_portfolio(
    *,
    seed: int,
    n_facilities: int = 8000,
    n_obligors: int = 6000,
    n_months: int = 60,
    reporting_date: str = SAMPLE_REPORTING_DATE,
) -> SyntheticPortfolio:
    """Simulate a portfolio with monthly status, dated cash flows, collateral and scenarios.

    Parameters
    ----------
    seed, n_facilities, n_obligors, n_months, reporting_date
        As in :func:`simulate_episodes`.

    Returns
    -------
    SyntheticPortfolio
        Tables, truth and true episodes.

    Raises
    ------
    ValueError
        When an argument lies outside its range.

    Examples
    --------
    >>> portfolio = simulate_portfolio(seed=1, n_facilities=200, n_obligors=150)
    >>> {name: len(portfolio.tables[name]) for name in ("facilities", "scenarios")}
    {'facilities': 200, 'scenarios': 360}
    """
    world = _simulate_world(seed, n_facilities, n_obligors, n_months, reporting_date)
    economy, facilities, episodes = world.economy, world.facilities, world.episodes
    paths = choose_paths(world.streams["paths"], episodes)
    grid, money = _simulate_money(world, paths)
    add_harmless_arrears(world.streams["arrears"], grid, facilities)
    frame = episodes_frame(episodes, facilities, economy, paths, money)
    tables, date = _tables(world, grid, money), pd.Timestamp(reporting_date)
    log = simulate_log(world.streams["log"], tables=tables, episodes=frame, reporting_date=date)
    truth = {**describe_truth(frame, seed=seed), "operations": log.truth}
    return SyntheticPortfolio({**tables, **log.tables}, truth, frame, date)


def write_sample(folder: str | Path, seed: int = SAMPLE_SEED) -> Path:
    """Write the sample portfolio: one Parquet file per table, and ``truth.json``; the same bytes for the same seed.

    Parameters
    ----------
    folder : path
        Where to write; made when absent.
    seed : int
        Seed of the simulation, >= 0.

    Returns
    -------
    Path
        The folder.
    """
    portfolio = simulate_portfolio(seed=seed)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in portfolio.tables.items():
        write_table(frame, folder / f"{name}.parquet")
    write_truth(portfolio.truth, folder / "truth.json")
    return folder


def _simulate_world(seed: int, n_facilities: int, n_obligors: int, n_months: int, reporting_date: str) -> _World:
    date = _checked(seed, n_facilities, n_obligors, n_months, reporting_date)
    children = np.random.SeedSequence(seed).spawn(len(_STREAMS))
    streams = {name: np.random.default_rng(child) for name, child in zip(_STREAMS, children, strict=True)}
    economy = simulate_economy(streams["economy"], n_months=n_months, reporting_date=date)
    facilities = simulate_facilities(
        streams["facilities"], n_facilities=n_facilities, n_obligors=n_obligors, n_months=n_months
    )
    episodes = simulate_default_episodes(
        streams["defaults"], streams["outcomes"], facilities=facilities, economy=economy
    )
    return _World(streams, economy, facilities, episodes)


def _checked(seed: int, n_facilities: int, n_obligors: int, n_months: int, reporting_date: str) -> pd.Timestamp:
    if seed < 0:
        raise ValueError(f"seed is {seed}; it must be 0 or more")
    if not 1 <= n_obligors <= n_facilities:
        raise ValueError(f"{n_obligors} obligors for {n_facilities} facilities; every obligor needs a facility")
    if n_months < _FEWEST_MONTHS:
        raise ValueError(f"n_months is {n_months}; at least {_FEWEST_MONTHS} are needed to see a workout")
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", reporting_date) or not pd.Timestamp(reporting_date).is_month_end:
        raise ValueError(f"reporting_date is {reporting_date!r}; it must be the ISO date of a month end")
    return pd.Timestamp(reporting_date)


def _simulate_money(world: _World, paths: Paths) -> tuple[Grid, Money]:
    """Run the first episode of every facility, then the second ones from the balance that the first ones left."""
    facilities, episodes, economy = world.facilities, world.episodes, world.economy
    balances = world.streams["balances"]
    grid = start_grid(balances, facilities, np.unique(episodes.facility), economy.n_months)
    proceeds = draw_proceeds(world.streams["proceeds"], episodes=episodes, facilities=facilities, economy=economy)
    ead = np.zeros(len(episodes), dtype=np.int64)
    at_cure = np.zeros(len(episodes), dtype=np.int64)
    flows = [FlowList().flows()]
    number = pd.Series(episodes.facility).groupby(episodes.facility).cumcount().to_numpy()
    for turn in range(number.max(initial=-1) + 1):
        which = np.flatnonzero(number == turn)
        chosen, path = episodes.take(which), paths.take(which)
        ead[which] = freeze_balance(grid, facilities, chosen)
        terms = agree_terms(chosen, facilities, ead[which])
        balance, run = simulate_workout(
            world.streams["workout"],
            episodes=chosen,
            paths=path,
            terms=terms,
            proceeds=proceeds.take(which),
            economy=economy,
        )
        write_episodes(balances, grid, facilities, chosen, path, terms, balance)
        at_cure[which] = balance[np.arange(len(which)), chosen.months]
        flows.append(Flows(which[run.episode], run.month, run.day, run.kind, run.cents))
    together = [np.concatenate([getattr(part, name) for part in flows]) for name in Flows.__slots__]
    return grid, Money(ead, at_cure, Flows(*together))


def _tables(world: _World, grid: Grid, money: Money) -> dict[str, pd.DataFrame]:
    first = world.economy.first_month_end
    return {
        "facilities": facilities_frame(world.facilities, first),
        "status": status_frame(grid, first),
        "cash_flows": _cash_flows_frame(money.flows, world.episodes, world.economy),
        "collateral": _collateral_frame(world, grid),
        "scenarios": world.economy.to_frame(),
    }


def _cash_flows_frame(flows: Flows, episodes: Episodes, economy: Economy) -> pd.DataFrame:
    """Return the contract table ``cash_flows``: what was dated on or before the reporting date."""
    known = flows.month <= episodes.observed_months[flows.episode]
    kinds = np.array([kind.value for kind in KINDS], dtype=object)
    frame = pd.DataFrame(
        {
            "facility_id": facility_ids(episodes.facility[flows.episode[known]]),
            "cash_flow_date": flow_dates(flows, episodes, economy)[known],
            "amount": flows.cents[known] / 100,
            "kind": kinds[flows.kind[known]],
        }
    )
    keys = ["facility_id", "cash_flow_date", "kind", "amount"]
    return frame.sort_values(keys, ignore_index=True)


def _collateral_frame(world: _World, grid: Grid) -> pd.DataFrame:
    """Return the contract table ``collateral``: the latest valuation of everything that secures a facility."""
    facilities, economy = world.facilities, world.economy
    which, month, cents = draw_valuations(
        world.streams["proceeds"], facilities=facilities, economy=economy, last_month=grid.last_month
    )
    names = np.array([kind.value for kind in COLLATERAL_KINDS], dtype=object)
    identity = facility_ids(which)
    return pd.DataFrame(
        {
            "facility_id": identity,
            "collateral_id": np.array([f"C{key[1:]}" for key in identity], dtype=object),
            "collateral_kind": names[facilities.collateral_kind[which]],
            "value_amount": cents / 100,
            "valuation_date": month_ends(economy.first_month_end, month),
        }
    )

"""Where the parameters of a competing-outcomes model stand, and its rows cut into blocks. Private; knows no formula."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recoverykit.estimators._mixture_kernels import TermGroup
from recoverykit.estimators.distributions import StandardDistribution

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

_BLOCK_ROWS = 4_096
#: Code of rows without an outcome.
OPEN = -1


@dataclass(frozen=True, slots=True)
class Part:
    """One linear predictor, or one parameter beside them.

    Attributes
    ----------
    name : str
        ``incidence``, ``latency`` or ``ancillary``.
    outcome : int
        Position of the outcome.
    design : int or None
        Position of its design in ``CompetingData.designs``; None for a single parameter.
    slice : slice
        Its parameters.
    """

    name: str
    outcome: int
    design: int | None
    slice: slice


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where everything stands: incidence of each outcome, latency of each outcome, ancillary of each outcome.

    Attributes
    ----------
    parts : tuple of Part
    n_params : int
    reference : int
        Class whose linear predictor is 0: the class that never resolves (numbered after the outcomes), or outcome 0.
    incidence, latency : tuple of int or None
        Part of each outcome; incidence is None for the reference outcome.
    ancillary : tuple of tuple of int
        Parts of each outcome.
    distributions : tuple of StandardDistribution
        Of each outcome.
    """

    parts: tuple[Part, ...]
    n_params: int
    reference: int
    incidence: tuple[int | None, ...]
    latency: tuple[int, ...]
    ancillary: tuple[tuple[int, ...], ...]
    distributions: tuple[StandardDistribution, ...]

    @property
    def n_outcomes(self) -> int:
        """Number of outcomes."""
        return len(self.distributions)

    @property
    def has_never(self) -> bool:
        """Whether there is a class that never resolves."""
        return self.reference == self.n_outcomes


def make_layout(designs: tuple[Array, ...], distributions: tuple[StandardDistribution, ...], never: bool) -> Layout:
    """Say where each parameter stands.

    Parameters
    ----------
    designs : tuple of ndarray
        Incidence first, then the latency of each outcome.
    distributions : tuple of StandardDistribution
    never : bool
        Whether there is a class that never resolves.
    """
    n_outcomes = len(distributions)
    reference = n_outcomes if never else 0
    wanted: list[tuple[str, int, int | None]] = [
        ("incidence", k, 0) for k in range(n_outcomes) if never or k != reference
    ]
    wanted += [("latency", k, 1 + k) for k in range(n_outcomes)]
    wanted += [("ancillary", k, None) for k in range(n_outcomes) for _ in distributions[k].ancillary_terms]
    parts, begin = [], 0
    for name, k, design in wanted:
        end = begin + (1 if design is None else designs[design].shape[1])
        parts.append(Part(name, k, design, slice(begin, end)))
        begin = end
    places: dict[str, list[list[int]]] = {name: [[] for _ in distributions] for name, _, _ in wanted}
    for place, part in enumerate(parts):
        places[part.name][part.outcome].append(place)
    return Layout(
        parts=tuple(parts),
        n_params=begin,
        reference=reference,
        incidence=tuple(found[0] if found else None for found in places.get("incidence", [[]])),
        latency=tuple(found[0] for found in places["latency"]),
        ancillary=tuple(tuple(found) for found in places.get("ancillary", [[] for _ in distributions])),
        distributions=distributions,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A run of terms of one group with the rows of the designs that they need.

    Attributes
    ----------
    outcome : int
        Outcome, or ``OPEN``.
    group : TermGroup
        Cut to the run.
    designs : tuple of ndarray of shape (n_patterns, n_terms)
        One row per pattern.
    local, starts : ndarray of int
        Pattern of each term, and first term of each pattern.
    """

    outcome: int
    group: TermGroup
    designs: tuple[Array, ...]
    local: IntArray
    starts: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class CompetingData:
    """Everything that the likelihood needs.

    Attributes
    ----------
    designs : tuple of ndarray of shape (n_patterns, n_terms)
        Incidence first, then the latency of each outcome; they may be the same object.
    layout : Layout
    groups : tuple of (int, TermGroup)
        Outcome (or ``OPEN``) and terms of one kind.
    blocks : tuple of Block
        The groups cut up, with their rows of the designs.
    n_rows : int
        Number of compressed rows.
    constant : float
        Added to the log-likelihood: what does not depend on parameters, in the unit of time of the data.
    """

    designs: tuple[Array, ...]
    layout: Layout
    groups: tuple[tuple[int, TermGroup], ...]
    blocks: tuple[Block, ...]
    n_rows: int
    constant: float


def cut_blocks(groups: tuple[tuple[int, TermGroup], ...], designs: tuple[Array, ...]) -> tuple[Block, ...]:
    """Cut groups into blocks that stay in cache, once for all evaluations."""
    blocks = []
    for outcome, group in groups:
        for begin in range(0, len(group.weight), _BLOCK_ROWS):
            cut = slice(begin, begin + _BLOCK_ROWS)
            n = len(group.weight[cut])
            pattern = group.start + np.arange(begin, begin + n) if group.pattern is None else group.pattern[cut]
            is_new = np.concatenate([[True], pattern[1:] != pattern[:-1]])
            held = {id(design): design[pattern[is_new]] for design in {id(d): d for d in designs}.values()}
            run = replace(
                group,
                row=group.row[cut],
                pattern=None,
                start=0,
                log_lower=group.log_lower[cut],
                log_upper=group.log_upper[cut],
                weight=group.weight[cut],
                log_background=None if group.log_background is None else group.log_background[cut],
            )
            rows = tuple(held[id(design)] for design in designs)
            blocks.append(Block(outcome, run, rows, np.cumsum(is_new) - 1, np.flatnonzero(is_new)))
    return tuple(blocks)

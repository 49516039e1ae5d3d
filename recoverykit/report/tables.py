"""Tables that a board can read: words for headings, units written once, numbers aligned, small cells withheld."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, get_args

import pandas as pd

from recoverykit.report._small_cells import bridge_for_page, format_total, merge_small
from recoverykit.report.blocks import HtmlBlock
from recoverykit.report.formats import SUPPRESSED, Kind, format_value, level_words
from recoverykit.report.labels import kind_of, label_of, outcome_words, segment_words
from recoverykit.vocabulary import MINIMUM_CELL_COUNT, Outcome

__all__ = ["bridge_for_page", "format_total", "merge_small", "show_table"]

#: What stands in a cell whose row holds too few episodes.
WITHHELD = "\u2013"
_NUMBERS = frozenset({"share", "money", "cents", "count", "months", "ratio", "p_value"})
_SEGMENTS = frozenset({"segment", "basis", "parent", "unit", "court", "level"})
#: Columns whose values are names of the house's own lists, which a reader sees as words.
_NAMES = frozenset({"step", "rule", "channel", "action", "treatment"})
_LIMITS = frozenset({"lower", "upper"})
_BOUNDS = _LIMITS | {"standard_error"}
_STYLE = (
    "<style>:where(.rk-table){border-collapse:collapse;font-variant-numeric:tabular-nums}"
    ":where(.rk-table caption){caption-side:top;text-align:left;font-weight:600;padding:.4em 0}"
    ":where(.rk-table th,.rk-table td){padding:.3em .7em;text-align:left}"
    ":where(.rk-table .rk-number){text-align:right;white-space:nowrap}"
    ":where(.rk-table .rk-total>*){font-weight:600;border-top:1px solid}</style>"
)


def show_table(
    frame: pd.DataFrame,
    *,
    caption: str,
    formats: Mapping[str, Kind] | None = None,
    labels: Mapping[str, str] | None = None,
    currency: str = "",
    count_col: str | None = None,
    small_counts: Sequence[str] = (),
    total_row: bool = False,
    level: float | None = None,
) -> HtmlBlock:
    r"""Show a frame as a table in words and units.

    Parameters
    ----------
    frame : DataFrame
        One row per line of the table, in its order; the index is not shown.
    caption : str
        What the table shows, in one line.
    formats : mapping of str to str, optional
        Column -> kind: ``share``, ``money`` (whole units), ``cents``, ``count``, ``months``, ``ratio``, ``p_value``,
        ``date`` or ``text``. Columns that are left out are written as their name tells (``n_``, ``_amount``, ``_rate``,
        ...); ``lower``, ``upper`` and ``standard_error`` as the column before them.
    labels : mapping of str to str, optional
        Column -> heading, where the house's own words for the name will not do.
    currency : str
        Code of the currency; stands once in the heading of each money column.
    count_col : str, optional
        Column with the number of episodes or facilities that a row rests on. Where it is from 1 to 9, the count reads
        ``<10`` and the row's other numbers are withheld.
    small_counts : sequence of str
        Further columns of counts whose own small cells read ``<10``.
    total_row : bool
        Whether the last row is the total. It is set off from the others, and never withheld, because the same total
        stands elsewhere on the page.
    level : float, optional
        Confidence level of the columns ``lower`` and ``upper``, which their headings then state.

    Returns
    -------
    HtmlBlock
        A table with caption and scopes, in a box of its own that scrolls sideways where it is wide; a line that says
        so where there is no column.

    Raises
    ------
    ValueError
        If an option names a column that is not there, or a kind is unknown.

    Examples
    --------
    >>> frame = pd.DataFrame({"segment": ["mortgage", "card"], "n_episodes": [120, 7], "all_in_lgd": [0.312, 0.8]})
    >>> print(show_table(frame, caption="LGD by segment", count_col="n_episodes").text.replace("\u202f", " "))
    LGD by segment
    Segment | Episodes | LGD, all episodes
    mortgage | 120 | 31.2 %
    card | <10 | –
    """
    _check_options(frame, formats or {}, labels or {}, [*small_counts, *([count_col] if count_col else [])])
    if frame.shape[1] == 0:
        return HtmlBlock(f'<p class="rk-prose">{escape(caption)}: nothing to show.</p>', f"{caption}: nothing to show.")
    kinds = _kinds(frame, formats or {})
    cells = _written(frame, kinds, count_col, small_counts, total_row)
    headings = {name: _heading(name, kind, labels or {}, currency, level) for name, kind in kinds.items()}
    lines = [caption, " | ".join(headings.values()), *(" | ".join(row) for row in cells.to_numpy(object).tolist())]
    return HtmlBlock(_STYLE + _html(cells, caption, headings, kinds, total_row), "\n".join(lines))


def _check_options(
    frame: pd.DataFrame, formats: Mapping[str, str], labels: Mapping[str, str], counts: list[str]
) -> None:
    unknown = sorted({*formats, *labels, *counts} - set(map(str, frame.columns)))
    if unknown:
        raise ValueError(f"no column {', '.join(unknown)} in the table; it has {', '.join(map(str, frame.columns))}")
    wrong = sorted({kind for kind in formats.values() if kind not in get_args(Kind)})
    if wrong:
        raise ValueError(f"unknown kind {', '.join(wrong)}; a kind is one of {', '.join(get_args(Kind))}")


def _kinds(frame: pd.DataFrame, formats: Mapping[str, Kind]) -> dict[str, Kind]:
    """Return the kind of each column; the bounds of an interval are written as what they bound."""
    kinds: dict[str, Kind] = {}
    before: Kind = "ratio"
    for name in map(str, frame.columns):
        guessed = before if name in _BOUNDS else kind_of(name, frame[name])
        before = kinds[name] = formats.get(name, guessed)
    return kinds


def _written(
    frame: pd.DataFrame, kinds: Mapping[str, Kind], count_col: str | None, small_counts: Sequence[str], total_row: bool
) -> pd.DataFrame:
    """Return the texts of all cells, small ones withheld."""
    cells = pd.DataFrame(
        {name: [_cell(name, value, kind) for value in frame[name]] for name, kind in kinds.items()}, dtype=object
    )
    for name in dict.fromkeys([*([count_col] if count_col else []), *small_counts]):
        counts = frame[name].to_numpy(float)
        small = (counts > 0) & (counts < MINIMUM_CELL_COUNT)
        if total_row and len(small):
            small[-1] = False
        if name == count_col:
            others = [column for column, kind in kinds.items() if kind in _NUMBERS and column != count_col]
            cells.loc[small, others] = WITHHELD
            cells.loc[small, name] = SUPPRESSED
        else:
            cells[name] = cells[name].mask(small & (cells[name] != WITHHELD), SUPPRESSED)
    return cells


def _cell(name: str, value: Any, kind: Kind) -> str:
    """Write one cell; outcomes, segments and terms of a model in words."""
    if name in _SEGMENTS and isinstance(value, str):
        return segment_words(value)
    if name == "outcome" and isinstance(value, str):
        return outcome_words(value) if value in set(Outcome) else label_of(value)
    if name == "term":
        return label_of(value)
    if name in _NAMES and isinstance(value, str):
        return value.replace("_", " ")
    return format_value(value, kind)


def _heading(name: str, kind: Kind, labels: Mapping[str, str], currency: str, level: float | None) -> str:
    words = labels.get(name) or label_of(name)
    if level is not None and name in _LIMITS:
        words = f"{words}, {level_words(level)}"
    return f"{words}, {currency}" if currency and kind in ("money", "cents") else words


def _html(
    cells: pd.DataFrame, caption: str, headings: Mapping[str, str], kinds: Mapping[str, Kind], total_row: bool
) -> str:
    """Return the table: the first column names its row, numbers stand at the right."""
    side = {name: ' class="rk-number"' if kind in _NUMBERS else "" for name, kind in kinds.items()}
    head = "".join(f'<th scope="col"{side[name]}>{escape(words)}</th>' for name, words in headings.items())
    first, *others = [*cells.columns]
    rows = []
    for place, row in enumerate(cells.to_dict("records")):
        total = ' class="rk-total"' if total_row and place == len(cells) - 1 else ""
        body = "".join(f"<td{side[name]}>{escape(row[name])}</td>" for name in others)
        rows.append(f'<tr{total}><th scope="row"{side[first]}>{escape(row[first])}</th>{body}</tr>')
    if not rows:
        rows = [f'<tr><td colspan="{len(cells.columns)}">Nothing to show.</td></tr>']
    return (
        f'<div class="rk-scroll rk-table-box" role="region" aria-label="{escape(caption)}" tabindex="0" '
        f'style="overflow-x:auto"><table class="rk-table"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )

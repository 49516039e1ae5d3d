"""Blocks of a page that are neither figure nor table: key figures, paragraphs and call-outs.

Each block is plain HTML that looks decent in a notebook by itself and takes the page's look when rendered there. Text
is escaped: whatever a segment or an error is called, it stands on the page as text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

#: Just enough style for a notebook; ``:where`` weighs nothing, so that a page's own style wins.
_TILES_STYLE = (
    "<style>:where(.rk-tiles){display:flex;flex-wrap:wrap;gap:.75em;margin:1em 0}"
    ":where(.rk-tile){flex:1 1 9em;border:1px solid #8885;border-radius:.4em;padding:.7em .9em}"
    ":where(.rk-tile dt){font-size:.85em;font-weight:400}"
    ":where(.rk-tile dd){margin:0}:where(.rk-tile .rk-value){font-size:1.5em;font-weight:600}"
    ":where(.rk-tile .rk-note){font-size:.85em}</style>"
)
_CALLOUT_STYLE = (
    "<style>:where(.rk-callout){border-left:.3em solid #0b5d8a;padding:.5em .9em;margin:1em 0}"
    ":where(.rk-callout p){margin:.2em 0}</style>"
)
_CALLOUT_WORDS = {"note": "Note", "warning": "Please note", "good": "In order"}


@dataclass(frozen=True, slots=True)
class HtmlBlock:
    """A piece of a page: HTML for the page, plain text where nothing else can be shown.

    Attributes
    ----------
    html : str
        Self-contained HTML.
    text : str
        The same in plain text.
    """

    html: str
    text: str

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Show the HTML in a notebook, or the text."""
        return {"text/html": self.html, "text/plain": self.text}

    def __str__(self) -> str:
        """Return the block in plain text."""
        return self.text


def key_figures(figures: Sequence[tuple[str, str] | tuple[str, str, str]]) -> HtmlBlock:
    """Show the few numbers that matter most as tiles.

    Parameters
    ----------
    figures : sequence of (str, str) or (str, str, str)
        Label, value as it is to be read (see :mod:`recoverykit.report.formats`), and a short note where one is needed.

    Returns
    -------
    HtmlBlock
        A description list laid out as tiles.

    Raises
    ------
    ValueError
        If there is no figure, or one has no label or value.

    Examples
    --------
    >>> print(key_figures([("Episodes", "1,525"), ("Still open", "365", "24 % of all")]))
    Episodes: 1,525
    Still open: 365 (24 % of all)
    """
    if not figures:
        raise ValueError("there is no key figure; give at least one label with its value")
    tiles, lines = [], []
    for label, value, *rest in figures:
        if not label or not value:
            raise ValueError(f"key figure ({label!r}, {value!r}) is incomplete; give a label and a value as text")
        note = rest[0] if rest else ""
        below = f'<dd class="rk-note">{escape(note)}</dd>' if note else ""
        tiles.append(
            f'<div class="rk-tile"><dt>{escape(label)}</dt><dd class="rk-value">{escape(value)}</dd>{below}</div>'
        )
        lines.append(f"{label}: {value}{f' ({note})' if note else ''}")
    return HtmlBlock(f'{_TILES_STYLE}<dl class="rk-tiles">{"".join(tiles)}</dl>', "\n".join(lines))


def prose(*sentences: str | None) -> HtmlBlock:
    """Show sentences as one paragraph; empty ones and ``None`` fall away.

    Parameters
    ----------
    *sentences : str or None
        Plain text, as :mod:`recoverykit.report.sentences` makes it.

    Returns
    -------
    HtmlBlock
        One paragraph.

    Examples
    --------
    >>> print(prose("One idea.", None, "Another one."))
    One idea. Another one.
    """
    text = " ".join(sentence.strip() for sentence in sentences if sentence and sentence.strip())
    return HtmlBlock(f'<p class="rk-prose">{escape(text)}</p>' if text else "", text)


def callout(text: str, *, kind: Literal["note", "warning", "good"] = "note") -> HtmlBlock:
    """Show a remark that must not be overlooked, in a box that says in words what it is.

    Parameters
    ----------
    text : str
        One or two sentences.
    kind : {"note", "warning", "good"}
        What the remark is.

    Returns
    -------
    HtmlBlock
        An ``aside``.

    Raises
    ------
    ValueError
        If ``kind`` is unknown.

    Examples
    --------
    >>> print(callout("Nine episodes only.", kind="warning"))
    Please note: Nine episodes only.
    """
    if kind not in _CALLOUT_WORDS:
        raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(_CALLOUT_WORDS)}")
    words = _CALLOUT_WORDS[kind]
    box = f'<p><strong class="rk-callout-kind">{words}:</strong> {escape(text)}</p>'
    return HtmlBlock(f'{_CALLOUT_STYLE}<aside class="rk-callout rk-callout-{kind}">{box}</aside>', f"{words}: {text}")

"""A figure with its words: what a chart says to who sees it, to who hears it, and to the page that holds it.

The picture is drawn without pyplot, so no figure stays open and none is shown twice. It is written as SVG, sharp on
screen and on paper, with text as text; the bytes are the same for the same input, so that a page can be compared.
"""

import base64
import io
from dataclasses import dataclass, field
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Families of one width, so that the picture looks alike on every system; the last ones ship with matplotlib.
_FONT_STACK = "Helvetica Neue, Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif"
_DRAWN_FONT = "'DejaVu Sans'"
_SVG_SETTINGS: Any = {"svg.hashsalt": "recoverykit", "svg.fonttype": "none"}
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
_PIXELS_PER_INCH = 96


@dataclass(frozen=True, slots=True, eq=False)
class ReportFigure:
    """A drawn figure with title, alternative text and caption.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
        The drawing; it belongs to no window.
    title : str
        What the figure is about, in one line.
    alt : str
        The finding in words, with its key number, for who does not see the picture.
    caption : str
        How to read it and what it rests on.
    """

    figure: Figure = field(repr=False)
    title: str
    alt: str
    caption: str = ""

    def __post_init__(self) -> None:
        """Refuse a figure without words."""
        if not self.title.strip() or not self.alt.strip():
            raise ValueError("a figure needs a title and an alternative text; give both in words")

    @property
    def axes(self) -> list[Axes]:
        """The axes of the drawing, for tests and for small additions."""
        return list(self.figure.axes)

    def to_svg(self) -> str:
        """Return the drawing as SVG, without date, creator or any reference outside itself."""
        buffer = io.StringIO()
        with mpl.rc_context(_SVG_SETTINGS):
            self.figure.savefig(buffer, format="svg", metadata=_NO_METADATA)
        svg = buffer.getvalue()
        return svg[svg.index("<svg") :].replace(_DRAWN_FONT, _FONT_STACK)

    def to_html(self) -> str:
        """Return a self-contained HTML ``figure``: title and caption as text, the drawing as an image with its alt."""
        picture = base64.b64encode(self.to_svg().encode()).decode("ascii")
        width, height = (round(side * _PIXELS_PER_INCH) for side in self.figure.get_size_inches())
        caption = f'<span class="rk-figure-caption">{escape(self.caption)}</span>' if self.caption else ""
        return (
            f'<figure class="rk-figure" style="margin:1.5em 0">'
            f'<figcaption><strong class="rk-figure-title" style="display:block">{escape(self.title)}</strong>{caption}'
            f'</figcaption><div class="rk-scroll" style="overflow-x:auto">'
            f'<img src="data:image/svg+xml;base64,{picture}" width="{width}" height="{height}" '
            f'alt="{escape(self.alt)}"></div></figure>'
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """Show the HTML in a notebook; the words alone where nothing else can be shown."""
        return {"text/html": self.to_html(), "text/plain": f"{self.title}: {self.alt}"}

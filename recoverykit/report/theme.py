"""The look of every figure: colours that keep their meaning, one size of type, and quiet axes.

An outcome has the same colour on every page. The outcome colours are those of Okabe and Ito (Color Universal Design,
2008), told apart with every common form of colour blindness; text never carries its meaning by colour alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType

import matplotlib as mpl
import seaborn as sns
from matplotlib.figure import Figure

from recoverykit.vocabulary import Outcome

#: One colour per outcome, fixed for all figures.
OUTCOME_COLOURS = MappingProxyType(
    {
        Outcome.CURED: "#009E73",
        Outcome.REPAID: "#0072B2",
        Outcome.LIQUIDATED: "#E69F00",
        Outcome.SOLD: "#CC79A7",
        Outcome.WRITTEN_OFF: "#D55E00",
        Outcome.OPEN: "#CFD6DC",
    }
)
INK = "#17242F"
MUTED = "#52616F"
GRID = "#E4E9ED"
#: The estimate in hand, the one it is compared with, and the shade of an amount behind another one.
ACCENT = "#0B5D8A"
CONTRAST = "#B4510A"
#: The green of cure, dark enough to be read as text.
CURE_TEXT = "#00654A"
BACKGROUND_BAR = "#C9D6DF"
#: Opacity of an interval's band.
BAND_OPACITY = 0.16

FIGURE_WIDTH = 7.9  # inches: the width of a page's text column on screen and on A4
TEXT_SIZE = 9.5  # points
SMALL_TEXT_SIZE = 8.5

_STYLE = {
    "axes.edgecolor": MUTED,
    "axes.grid.axis": "y",
    "axes.labelcolor": MUTED,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.color": GRID,
    "text.color": INK,
    "xtick.bottom": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "font.family": ["DejaVu Sans"],
}
_SIZES = {
    "axes.labelsize": TEXT_SIZE,
    "axes.linewidth": 0.8,
    "axes.titlesize": TEXT_SIZE,
    "font.size": TEXT_SIZE,
    "grid.linewidth": 0.8,
    "lines.linewidth": 2.0,
    "xtick.labelsize": TEXT_SIZE,
    "xtick.major.size": 3.5,
    "xtick.major.width": 0.8,
    "ytick.labelsize": TEXT_SIZE,
}


@contextmanager
def themed() -> Iterator[None]:
    """Apply the house theme while a figure is drawn, and leave the reader's own settings as they were.

    It is a context manager and a decorator: every function that draws carries it.

    Examples
    --------
    >>> before = mpl.rcParams["text.color"]
    >>> with themed():
    ...     print(mpl.rcParams["text.color"])
    #17242F
    >>> mpl.rcParams["text.color"] == before
    True
    """
    style = {**sns.axes_style("whitegrid"), **_STYLE}
    sizes = {**sns.plotting_context("notebook"), **_SIZES}
    with mpl.rc_context({**style, **sizes}):
        yield


def new_figure(height: float) -> Figure:
    """Return an empty figure of the page's width that belongs to no window.

    Parameters
    ----------
    height : float
        Height in inches, > 0.
    """
    return Figure(figsize=(FIGURE_WIDTH, height), layout="constrained")


def sequence_of_colours(n_colours: int) -> list[tuple[float, float, float]]:
    """Return colours from light to dark for things in order, such as vintages; the first is still seen on white."""
    return list(sns.color_palette("crest", n_colours))

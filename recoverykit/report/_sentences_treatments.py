"""Sentences about what treatments did, and about comparisons that were refused."""

from collections.abc import Sequence

from recoverykit.report.formats import (
    capital,
    format_cell,
    format_count,
    format_points,
    format_ratio,
    format_share,
    is_missing,
    listed,
)

_ALPHA = 0.05


def sentence_treatment_effect(
    *,
    what: str,
    effect: float,
    lower: float,
    upper: float,
    treated: float,
    control: float,
    n_treated: int,
    n_control: int,
) -> str:
    r"""Say what a treatment did to a share, and whether chance alone would do as much.

    Parameters
    ----------
    what : str
        The outcome in words, with a capital: ``Instalments late by 30 days``.
    effect, lower, upper : float
        Difference of shares with its interval.
    treated, control : float
        Share in each arm.
    n_treated, n_control : int
        Units in each arm.

    Examples
    --------
    >>> text = sentence_treatment_effect(what="Late instalments", effect=-0.054, lower=-0.070, upper=-0.038,
    ...                                  treated=0.101, control=0.155, n_treated=3642, n_control=3645)
    >>> print(text.replace("\u202f", " ").replace("; ", ";\n"))
    Late instalments: 10.1 % with the treatment and 15.5 % without it, a difference of −5.4 points (−7.0 to −3.8);
    chance alone seldom gives as much. 3,642 and 3,645 units.
    """
    verdict = "chance alone seldom gives as much" if lower > 0 or upper < 0 else "chance alone may well give as much"
    return (
        f"{what}: {format_share(treated)} with the treatment and {format_share(control)} without it, a difference of "
        f"{format_points(effect)} points ({format_points(lower)} to {format_points(upper)}); {verdict}. "
        f"{_counts(n_treated, n_control)} units."
    )


def sentence_hazard_ratio(*, what: str, ratio: float, lower: float, upper: float) -> str:
    r"""Say how a treatment changed the pace of an outcome.

    Parameters
    ----------
    what : str
        The outcome in words: ``a first repayment``.
    ratio, lower, upper : float
        Hazard ratio with its interval.

    Examples
    --------
    >>> text = sentence_hazard_ratio(what="a first repayment", ratio=1.06, lower=0.91, upper=1.23)
    >>> print(text.replace("; ", ";\n"))
    After the treatment the hazard of a first repayment is 1.06 times that before it or without it (0.91 to 1.23);
    the data do not tell it from no effect.
    """
    verdict = "the data tell it from no effect" if lower > 1 or upper < 1 else "the data do not tell it from no effect"
    return (
        f"After the treatment the hazard of {what} is {format_ratio(ratio)} times that before it or without it "
        f"({format_ratio(lower)} to {format_ratio(upper)}); {verdict}."
    )


def sentence_discontinuity(
    *, what: str, effect: float, lower: float, upper: float, half_width: float, n_units: int, density_p: float | None
) -> str:
    r"""Say what changed at the cut-off, and whether units seem to have been moved across it.

    Parameters
    ----------
    what : str
        The outcome in words, with a capital.
    effect, lower, upper : float
        Treated less untreated at the cut-off, shares, with the interval.
    half_width : float
        Of the window.
    n_units : int
        Units in the window.
    density_p : float or None
        p-value of the check of the density; missing where it could not be made.

    Examples
    --------
    >>> text = sentence_discontinuity(what="Late instalments", effect=-0.114, lower=-0.182, upper=-0.050,
    ...                               half_width=45.6, n_units=1382, density_p=0.19)
    >>> print(text.replace(". ", ".\n"))
    Late instalments: −11.4 points for units treated just at the cut-off (−18.2 to −5.0).
    It rests on 1,382 units within 45.6 of it and says nothing of units far away.
    The density shows no sign of units moved across it.
    """
    if is_missing(density_p):
        sorting = "Too few units for a check of the density."
    elif float(density_p or 0) < _ALPHA:
        sorting = "The density jumps there: units may have been moved across it, and the effect may be theirs."
    else:
        sorting = "The density shows no sign of units moved across it."
    counted = format_cell(n_units, words=True)
    return (
        f"{what}: {format_points(effect)} points for units treated just at the cut-off ({format_points(lower)} to "
        f"{format_points(upper)}). It rests on {counted} units within {half_width:.3g} of it and says nothing of units "
        f"far away. {sorting}"
    )


def sentence_variants(*, better: Sequence[str], worse: Sequence[str], control: str, n_variants: int) -> str:
    """Say which wordings differ from the control when their number is allowed for.

    Parameters
    ----------
    better, worse : sequence of str
        Variants found above and below the control.
    control : str
        The variant compared with.
    n_variants : int
        Number of variants, the control among them.

    Examples
    --------
    >>> sentence_variants(better=["helpful"], worse=["threat"], control="plain", n_variants=3)
    'Of 3 wordings helpful did better than plain and threat did worse, their number allowed for.'
    """
    parts = [f"{listed(list(names))} did {word}" for names, word in ((better, "better"), (worse, "worse")) if names]
    if not parts:
        return f"Of {n_variants} wordings none can be told from {control}, their number allowed for."
    first, *rest = parts
    return f"Of {n_variants} wordings {listed([f'{first} than {control}', *rest])}, their number allowed for."


def sentence_refused(reasons: Sequence[str], *, treated: float, untreated: float, what: str) -> str:
    r"""Say what a comparison of treated with untreated units would show, and why it was not made.

    Parameters
    ----------
    reasons : sequence of str
        Of ``why_refused``.
    treated, untreated : float
        Units counted in each group.
    what : str
        The treatment, with a capital.

    Examples
    --------
    >>> sentence_refused(["immortal time"], treated=409, untreated=763, what="Field visits")
    'Field visits: 409 units were treated and 763 were not, and comparing them was refused. Immortal time.'
    """
    counted = (
        f"{what}: {format_cell(treated, words=True)} units were treated and {format_cell(untreated, words=True)} were"
    )
    if not reasons:
        return f"{counted} not; lots were drawn, so that they can be compared."
    said = " ".join(f"{capital(reason)}." for reason in reasons)
    return f"{counted} not, and comparing them was refused. {said}"


def sentence_detectable(*, difference: float, n_units: float, power: float = 0.8) -> str:
    r"""Say the smallest effect that an experiment of this size was likely to see.

    Examples
    --------
    >>> sentence_detectable(difference=0.024, n_units=7287).replace("\u202f", " ")
    'With 7,287 units a difference of 2.4 points would have been seen with a probability of 80 %.'
    """
    return (
        f"With {format_count(n_units)} units a difference of {100 * abs(difference):.1f} points would have been seen "
        f"with a probability of {format_share(power, digits=0)}."
    )


def _counts(n_treated: int, n_control: int) -> str:
    return f"{format_cell(n_treated, words=True)} and {format_cell(n_control, words=True)}"

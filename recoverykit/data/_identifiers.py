"""Values that identify a person, told by their shape and their check digit.

A sieve that Arrow runs over the distinct values of a column keeps this fast on big columns; only what passes it is
looked at one by one. Shapes that plain loan numbers share by accident (nine, ten, eleven or eighteen digits) count only
when a large part of the column has them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as arrow
import pyarrow.compute as compute

#: Candidates looked at one by one where a share of them decides; evenly spaced, so chance has no part in the answer.
SAMPLED = 5_000
_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_RESIDENT_CHECKS = "10X98765432"


@dataclass(frozen=True, slots=True)
class Identifier:
    """One kind of identifier.

    Attributes
    ----------
    what : str
        Its name in messages.
    pattern : str
        Regular expression of the RE2 dialect; its only group holds the identifier.
    is_valid : callable
        Takes the identifier and tells whether its check digit and its parts fit.
    share_of_candidates : float
        Share of the values with this shape that must be valid, in [0, 1].
    share_of_values : float
        Share of all distinct values that must be valid, in [0, 1].
    minimum : int
        Distinct valid values that it takes.
    """

    what: str
    pattern: str
    is_valid: Callable[[str], bool]
    share_of_candidates: float = 0.0
    share_of_values: float = 0.0
    minimum: int = 1


def passes_luhn(text: str) -> bool:
    """Tell whether the digits of a text pass the Luhn check (ISO/IEC 7812-1), separators left out.

    Examples
    --------
    >>> passes_luhn("046 454 286"), passes_luhn("046 454 287")
    (True, False)
    """
    digits = [int(character) for character in text if character.isdigit()]
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[-2::-2]]
    return len(digits) > 1 and any(digits) and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_resident_id(text: str) -> bool:
    """Tell whether eighteen characters carry the check character of a Chinese resident id (GB 11643-1999).

    Examples
    --------
    >>> is_resident_id("11010519491231002X"), is_resident_id("110105194912310021")
    (True, False)
    """
    total = sum(weight * int(digit) for weight, digit in zip(_RESIDENT_WEIGHTS, text[:17], strict=True))
    return _RESIDENT_CHECKS[total % 11] == text[17].upper()


def _is_social_security_number(text: str) -> bool:
    area, group, serial = re.split("[- ]", text)
    return area not in ("000", "666") and group != "00" and serial != "0000"


def _any(_: str) -> bool:
    return True


_AREA = "[2-9][0-9]{2}"
IDENTIFIERS = (
    Identifier("e-mail address", r"([\w.%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,})", _any),
    Identifier(
        "US social security number",
        r"(?:^|[^\d-])(\d{3}-\d{2}-\d{4}|\d{3} \d{2} \d{4})(?:[^\d-]|$)",
        _is_social_security_number,
    ),
    Identifier(
        "Canadian social insurance number",
        r"(?:^|[^\d-])(\d{3}[- ]\d{3}[- ]\d{3})(?:[^\d-]|$)",
        passes_luhn,
        share_of_candidates=0.5,
    ),
    Identifier(
        "Canadian social insurance number",
        r"^\s*(\d{9})\s*$",
        passes_luhn,
        share_of_candidates=0.9,  # one in ten arbitrary numbers passes
        share_of_values=0.5,
        minimum=5,
    ),
    Identifier(
        "Chinese resident id",
        r"(?:^|\D)([1-8]\d{5}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx])(?:[^\dXx]|$)",
        is_resident_id,
        share_of_candidates=0.5,  # a loan number of branch, date and counter passes one time in eleven
    ),
    Identifier(
        "phone number",
        rf"(?:^|[^\d.+-])((?:\+?1[ .-]?)?(?:\({_AREA}\) ?|{_AREA}[ .-]){_AREA}[ .-]\d{{4}})(?:[^\d.-]|$)",
        _any,
    ),
    Identifier("phone number", r"(?:^|[^\d+])(\+[1-9](?:[ -]?\d){7,14})(?:[^\d.]|$)", _any),
    Identifier(
        "Chinese phone number",
        r"(?:^|[\s,;:：（(])((?:86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4})(?:[\s,;)）]|$)",
        _any,
        share_of_values=0.5,
        minimum=3,
    ),
    Identifier("Chinese phone number", r"^\s*(0(?:10|2\d|[3-9]\d{2})-\d{7,8})\s*$", _any, share_of_values=0.5),
    Identifier("phone number", rf"^\s*(1?{_AREA}{_AREA}\d{{4}})\s*$", _any, share_of_values=0.95, minimum=20),
)
_COMPILED = tuple((identifier, re.compile(identifier.pattern)) for identifier in IDENTIFIERS)


def looks_personal(text: str) -> bool:
    """Tell whether one value has the shape of an identifier of a person, whatever the rest of its column holds.

    Parameters
    ----------
    text : str
        The value.

    Returns
    -------
    bool
        True also for a plain number that could be a phone number: this decides what a message shows, and errs on the
        side of hiding.

    Examples
    --------
    >>> looks_personal("13812345678"), looks_personal("F000123"), looks_personal("2024-01-31")
    (True, False, False)
    """
    for identifier, compiled in _COMPILED:
        found = compiled.search(text)
        if found is not None and identifier.is_valid(found.group(1)):
            return True
    return False


def identifier_in(values: arrow.ChunkedArray) -> tuple[str, int] | None:
    """Return which kind of personal identifier a column holds, and how many distinct values show it.

    Parameters
    ----------
    values : ChunkedArray of n_rows
        The column as it was read; text and whole numbers are looked at, anything else is passed over.

    Returns
    -------
    tuple of (str, int) or None
        The first kind found and the number of distinct values (of those looked at) that have it.
    """
    distinct = compute.unique(values).drop_null()
    if arrow.types.is_dictionary(distinct.type):
        distinct = distinct.dictionary_decode()
    if not (arrow.types.is_integer(distinct.type) or _is_text(distinct.type)):
        return None
    distinct = distinct.cast(arrow.large_string())
    for identifier, compiled in _COMPILED:
        n_valid = _count_valid(distinct, identifier, compiled)
        if n_valid:
            return identifier.what, n_valid
    return None


def _is_text(kind: arrow.DataType) -> bool:
    return bool(arrow.types.is_string(kind) or arrow.types.is_large_string(kind) or arrow.types.is_string_view(kind))


def _count_valid(distinct: arrow.Array, identifier: Identifier, compiled: re.Pattern[str]) -> int:
    """Count the valid values of one kind; 0 where they are too few to call the column personal."""
    candidates = distinct.filter(compute.match_substring_regex(distinct, identifier.pattern))
    n_candidates = len(candidates)
    if n_candidates < max(identifier.minimum, identifier.share_of_values * len(distinct)):
        return 0
    if identifier.share_of_candidates and n_candidates > SAMPLED:
        candidates = candidates.take(np.linspace(0, n_candidates - 1, SAMPLED).astype(np.int64))
    found = (compiled.search(text) for text in candidates.to_pylist())
    n_valid = sum(1 for match in found if match is not None and identifier.is_valid(match.group(1)))
    return n_valid if n_valid >= max(identifier.minimum, identifier.share_of_candidates * len(candidates)) else 0

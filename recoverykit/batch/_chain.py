"""Entries that carry the hash of the one before: how they are written, sealed, and read back with suspicion.

A link is a JSON object with ``number`` (1, 2, 3, ...), ``previous`` (hash of the link before, 64 zeros for the first),
its content, ``hash`` and, where a key is used, ``mac``. The hash is the SHA-256 of the link without ``hash`` and
``mac`` in canonical form; the mac is the HMAC-SHA256 of the hash's digits. This module knows nothing of what is sealed.

What a chain is good for: nobody can change, drop, insert or move a link without changing every hash behind it. What it
is not: whoever can rewrite all links can chain them anew, and whoever can cut off the last ones leaves a whole chain.
Against the first helps the head hash kept elsewhere, or a key; against the second only the head hash kept elsewhere.
"""

import hashlib
import hmac
import json
import os
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from recoverykit.errors import RecoverykitError

GENESIS = "0" * 64
_OWN = ("hash", "mac")


class Fault(StrEnum):
    """What can be wrong with a recorded thing."""

    ALTERED = "altered"
    MISSING = "missing"
    ADDED = "added"
    REMOVED = "removed"
    INSERTED = "inserted"
    REORDERED = "reordered"
    NOT_SIGNED = "not signed"


@dataclass(frozen=True, slots=True)
class ChainFault:
    """One thing wrong with a chain.

    Attributes
    ----------
    fault : Fault
        Altered, removed, inserted, reordered or not signed.
    line : int
        Position in the file, from 1; for a removed link that of the line where it should stand.
    number : int
        Number of the link; 0 where none can be read.
    detail : str
        How it shows.
    """

    fault: Fault
    line: int
    number: int
    detail: str


def canonical(value: Any) -> bytes:
    r"""Return the canonical form of a JSON value: the same bytes on every platform.

    JSON with only ASCII characters (others as ``\uXXXX``), keys sorted by code point, no white space, floats as
    the shortest text that reads back as the same number (Python's ``repr``), no NaN and no infinity.

    Examples
    --------
    >>> canonical({"b": 0.95, "a": ["é", None, True]})
    b'{"a":["\\u00e9",null,true],"b":0.95}'
    """
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a value's canonical form, in hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def link_hash(link: Mapping[str, Any]) -> str:
    """Return the hash that a link must carry."""
    return digest_of({name: value for name, value in link.items() if name not in _OWN})


def sealed(content: Mapping[str, Any], *, number: int, previous: str, key: bytes | None = None) -> dict[str, Any]:
    """Return a link: the content with number, previous hash, own hash and, with a key, the mac."""
    link = {**content, "number": number, "previous": previous}
    link["hash"] = link_hash(link)
    return link if key is None else link | {"mac": _mac(link["hash"], key)}


def key_from(variable: str) -> bytes | None:
    """Return the key that an environment variable holds; None for an empty name.

    Raises
    ------
    RecoverykitError
        When the variable is not set or is empty. Its value is never shown.
    """
    if not variable:
        return None
    value = os.environ.get(variable, "")
    if not value:
        raise RecoverykitError(f"the environment variable {variable}, which shall hold the key, is not set")
    return value.encode()


def chain_faults(links: Sequence[Mapping[str, Any] | None], *, key: bytes | None = None) -> list[ChainFault]:
    """Say what was altered, removed, inserted or moved in a chain.

    Parameters
    ----------
    links : sequence of mapping or None
        The lines of the file in their order; None for one that cannot be read.
    key : bytes, optional
        Key of the macs; with it a link without the right one is reported.

    Returns
    -------
    list of ChainFault
        Empty for a chain without a break; sorted by line.
    """
    unreadable = [line for line, link in enumerate(links, 1) if link is None or not _is_link(link)]
    faults = [ChainFault(Fault.ALTERED, line, 0, "no entry can be read here") for line in unreadable]
    read = [(line, link) for line, link in enumerate(links, 1) if link is not None and _is_link(link)]
    members, faults_of_copies = _members(read)
    faults += faults_of_copies
    faults += _moved(members)
    ordered = sorted(members, key=lambda member: member[1]["number"])
    faults += _gaps(ordered, unreadable)
    faults += _altered(ordered)
    if key is not None:
        for line, link in ordered:
            if not hmac.compare_digest(str(link.get("mac", "")), _mac(link["hash"], key)):
                faults.append(ChainFault(Fault.NOT_SIGNED, line, link["number"], "its mac is not that of this key"))
    return sorted(faults, key=lambda fault: (fault.line, fault.number))


def _mac(digits: str, key: bytes) -> str:
    return hmac.new(key, digits.encode("ascii"), hashlib.sha256).hexdigest()


def _is_link(link: Mapping[str, Any]) -> bool:
    number = link.get("number")
    plain = isinstance(number, int) and not isinstance(number, bool) and number >= 1
    return plain and all(isinstance(link.get(name), str) for name in ("previous", "hash"))


_Placed = tuple[int, Mapping[str, Any]]


def _members(read: Sequence[_Placed]) -> tuple[list[_Placed], list[ChainFault]]:
    """Choose one link for each number, the one that its neighbours know; the others were inserted."""
    by_number: dict[int, list[_Placed]] = {}
    for line, link in read:
        by_number.setdefault(link["number"], []).append((line, link))
    named = {link["previous"] for _, link in read}
    hashes = {link["hash"] for _, link in read} | {GENESIS}
    members, faults = [], []
    for number, rivals in by_number.items():
        ranked = sorted(
            rivals,
            key=lambda rival: (
                rival[1]["hash"] not in named,
                rival[1]["previous"] not in hashes,
                link_hash(rival[1]) != rival[1]["hash"],
                rival[0],
            ),
        )
        members.append(ranked[0])
        detail = f"entry {number} stands already in line {ranked[0][0]}, and the chain goes on from there"
        faults += [ChainFault(Fault.INSERTED, line, number, detail) for line, _ in ranked[1:]]
    return sorted(members, key=lambda member: member[0]), faults


def _moved(members: Sequence[_Placed]) -> list[ChainFault]:
    """Name the fewest links that must be put back for the numbers to rise."""
    numbers = [link["number"] for _, link in members]
    kept = longest_rise(numbers)
    return [
        ChainFault(Fault.REORDERED, line, link["number"], f"entry {link['number']} was moved here")
        for position, (line, link) in enumerate(members)
        if position not in kept
    ]


def longest_rise(values: Sequence[int]) -> set[int]:
    """Return the positions of a longest rising run of values, others left out between them (patience sorting).

    Examples
    --------
    >>> sorted(longest_rise([1, 4, 2, 3]))
    [0, 2, 3]
    """
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for position, value in enumerate(values):
        place = bisect_left(tails, value)
        before.append(ends[place - 1] if place else -1)
        tails[place : place + 1] = [value]
        ends[place : place + 1] = [position]
    kept, position = set(), ends[-1] if ends else -1
    while position >= 0:
        kept.add(position)
        position = before[position]
    return kept


def _gaps(ordered: Sequence[_Placed], unreadable: Sequence[int]) -> list[ChainFault]:
    """Name the numbers that nobody bears; a line that cannot be read stands for the one that is wanting there."""
    present = {link["number"]: line for line, link in ordered}
    absent = [number for number in range(1, max(present, default=0)) if number not in present]
    for line in unreadable:
        before = max((number for number, place in present.items() if place < line), default=0)
        absent = [number for number in absent if number != min((n for n in absent if n > before), default=0)]
    faults = []
    for number in absent:
        line = next(present[later] for later in range(number + 1, max(present) + 1) if later in present)
        faults.append(ChainFault(Fault.REMOVED, line, number, f"entry {number} should stand before this line"))
    return faults


def _altered(ordered: Iterable[_Placed]) -> list[ChainFault]:
    """Name links whose content has not the hash that they carry, and those whose hash the next one does not know."""
    faults: list[ChainFault] = []
    before: _Placed | None = None
    sound = True
    for line, link in ordered:
        number, was_sound = link["number"], sound
        sound = link_hash(link) == link["hash"]
        if not sound:
            faults.append(ChainFault(Fault.ALTERED, line, number, "its content has not the hash that it carries"))
        if number == 1 and link["previous"] != GENESIS and sound:
            faults.append(ChainFault(Fault.ALTERED, line, number, "the first entry refers to one before it"))
        follows = before is not None and before[1]["number"] == number - 1
        if before is not None and follows and sound and was_sound and before[1]["hash"] != link["previous"]:
            detail = f"its hash is not the one that entry {number} was chained to"
            faults.append(ChainFault(Fault.ALTERED, before[0], number - 1, detail))
        before = (line, link)
    return faults

"""Names of the batch: folder-safe slugs of segments, and the nearest valid name for a misspelt one."""

import difflib
import hashlib
import re
from collections.abc import Iterable

from recoverykit.vocabulary import SEGMENT_SEPARATOR

_PLAIN = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*")
_RESERVED = re.compile(r"con|prn|aux|nul|com\d|lpt\d")
_MAX_LENGTH = 80


def slug(name: str) -> str:
    """Return the folder name of a segment, different for different names.

    A name of plain lower-case parts keeps its looks. Any other name loses characters on the way, so that two names
    might meet in one folder; it gets eight digits of its SHA-256 behind a dot, which no plain name contains.

    Parameters
    ----------
    name : str
        Name of a segment.

    Returns
    -------
    str
        Lower-case letters, digits, ``_``, ``-`` and at most one dot: safe on every file system, case folding included.

    Examples
    --------
    >>> slug("mortgage | pacific")
    'mortgage__pacific'
    >>> slug("Auto loan | West")
    'auto-loan__west.087a5f27'
    """
    parts = name.split(SEGMENT_SEPARATOR)
    plain = all(_PLAIN.fullmatch(part) and "__" not in part and not _RESERVED.fullmatch(part) for part in parts)
    joined = "__".join(parts)
    if plain and len(joined) <= _MAX_LENGTH:
        return joined
    cleaned = "__".join(re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") or "x" for part in parts)
    digits = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{cleaned[:_MAX_LENGTH]}.{digits}"


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return a hint for a name that does not exist: the nearest one that does, or all of them when none is near.

    Examples
    --------
    >>> nearest("levle", ["level", "segment"])
    "did you mean 'level'?"
    >>> nearest("x", ["level", "segment"])
    'there are: level, segment'
    """
    options = sorted(allowed)
    close = difflib.get_close_matches(name, options, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    if not options:
        return "there are none"
    shown = ", ".join(options[:12])
    return f"there are: {shown}{', ...' if len(options) > 12 else ''}"

"""Replace what names a person by its keyed hash: the same person stays the same, and nobody reads who it is.

A column that was to be hashed and is not there is an error: under another name it would come in as it is.
"""

import hashlib
import hmac
import os
from collections.abc import Mapping, Sequence

import pyarrow as arrow

from recoverykit.data._wording import nearest
from recoverykit.errors import SpecError


def hash_columns(parts: Mapping[str, arrow.Table], names: Sequence[str], key_env: str | None) -> dict[str, arrow.Table]:
    """Return the tables with the declared columns hashed, wherever they stand.

    Parameters
    ----------
    parts : mapping of str to Table
        What a source carries.
    names : sequence of str
        The columns to hash.
    key_env : str or None
        Environment variable with the key.

    Raises
    ------
    SpecError
        When no table has one of the columns, or there is no key.
    """
    if not names:
        return dict(parts)
    available = [column for part in parts.values() for column in part.column_names]
    for name in names:
        if name not in available:
            words = f"the column {name!r} is to be hashed, but the source has no column of that name"
            raise SpecError(f"{words}; {nearest(name, available)}")
    key = os.environ.get(key_env or "", "")
    if not key:
        raise SpecError(
            f"the environment variable {key_env} with the key of hashed columns is not set or empty; set it"
        )
    return {name: _hashed(part, names, key.encode()) for name, part in parts.items()}


def _hashed(table: arrow.Table, names: Sequence[str], key: bytes) -> arrow.Table:
    for position, name in enumerate(table.column_names):
        if name in names:
            table = table.set_column(position, name, hash_values(table.column(position), key))
    return table


def hash_values(values: arrow.ChunkedArray, key: bytes) -> arrow.Array:
    """Return the HMAC-SHA256 of each value as 64 hexadecimal digits; equal values give equal hashes.

    Parameters
    ----------
    values : ChunkedArray of n_rows
        Text or whole numbers; surrounding blanks do not count.
    key : bytes
        The secret key.

    Returns
    -------
    Array of text, n_rows
        Missing values stay missing, and so does text of blanks only: it is nobody's hash.

    Examples
    --------
    >>> hash_values(arrow.chunked_array([["4165550100", None, " "]]), b"key").is_null().to_pylist()
    [False, True, True]
    """
    encoded = values.cast(arrow.string()).combine_chunks().dictionary_encode()
    texts = [text.strip() for text in encoded.dictionary.to_pylist()]
    digests = [hmac.new(key, text.encode(), hashlib.sha256).hexdigest() if text else None for text in texts]
    return arrow.array(digests, type=arrow.string()).take(encoded.indices)

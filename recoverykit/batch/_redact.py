"""Secrets kept out of what a run writes: a kernel does not get them, and what speaks of them is blanked."""

import json
import os
import re
from collections.abc import Mapping

from recoverykit.batch._parameters import SECRET_NAME

HIDDEN = "[hidden]"
_SECRET = re.compile(rf"{SECRET_NAME.pattern}|(^|_)key(_|$)")
_LOGIN = re.compile(r"(?<=://)[^/\s:@\"']*:[^/\s\"']+(?=@)")  # to the last @: a password may hold one
#: Shorter values stand in ordinary text too often to be told from it.
_SHORTEST = 6


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without the variables whose names speak of a password, token or address.

    Notebooks read prepared files; no database is opened in a kernel.

    Examples
    --------
    >>> without_secrets({"BANK_DB_URL": "postgres://me:pw@host/db", "HOME": "/root"})
    {'HOME': '/root'}
    """
    return {name: value for name, value in environment.items() if not _is_secret(name, value)}


def redact(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Return a text with logins in addresses, and the values of secret variables, blanked.

    Examples
    --------
    >>> redact("cannot reach postgres://me:pw@host/db", {})
    'cannot reach postgres://[hidden]@host/db'
    >>> redact("the token is abcdef", {"API_TOKEN": "abcdef"})
    'the token is [hidden]'
    """
    known = os.environ if environment is None else environment
    values = {value for name, value in known.items() if len(value) >= _SHORTEST and _is_secret(name, value)}
    for value in sorted(values, key=len, reverse=True):
        for written in (value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
            text = text.replace(written, HIDDEN)
    return _LOGIN.sub(HIDDEN, text)


def _is_secret(name: str, value: str) -> bool:
    return bool(_SECRET.search(name.lower()) or _LOGIN.search(value))

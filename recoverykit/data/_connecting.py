"""Open the databases that a data spec declares; where a URL may hold a password, no message ever shows it."""

import os
from typing import Any

import ibis
import lazy_loader

from recoverykit.data._spec_models import DuckDbFile, UrlFromEnvironment, UrlFromKeyring
from recoverykit.data.mapping import DataSpec
from recoverykit.errors import SpecError

keyring: Any = lazy_loader.load("keyring")  # an extra; loaded only where a spec refers to it


def connect(name: str, spec: DataSpec) -> Any:
    """Return the Ibis backend of a declared connection.

    Raises
    ------
    SpecError
        When it cannot be opened, or its URL is not where the spec says; the message holds no URL.
    """
    declared = spec.connections[name]
    if isinstance(declared, DuckDbFile):
        path = spec.folder / declared.path
        if not path.is_file():
            raise SpecError(f"connection {name}: there is no file {declared.path!r} in {spec.folder}")
        return ibis.duckdb.connect(path, read_only=True)
    if isinstance(declared, UrlFromEnvironment):
        url = os.environ.get(declared.url_env, "")
        if not url:
            raise SpecError(f"connection {name}: the environment variable {declared.url_env} is not set; set it")
    elif isinstance(declared, UrlFromKeyring):
        url = _from_keyring(name, declared)
    else:
        url = declared.url
    try:
        return ibis.connect(url)
    except Exception as error:
        words = f"connection {name}: cannot connect ({type(error).__name__})"
        raise SpecError(f"{words}; check the URL and that the Ibis backend is installed") from None


def _from_keyring(name: str, declared: UrlFromKeyring) -> str:
    entry = declared.url_keyring
    try:
        url = keyring.get_password(entry.service, entry.user)
    except ModuleNotFoundError:
        words = f"connection {name}: url_keyring needs the package 'keyring'; install recoverykit[keyring]"
        raise SpecError(words) from None
    except Exception as error:  # each keyring of an operating system has errors of its own
        raise SpecError(f"connection {name}: the keyring cannot be read ({type(error).__name__})") from None
    if not url:
        raise SpecError(f"connection {name}: the keyring holds nothing for {entry.user!r} of {entry.service!r}; set it")
    return str(url)

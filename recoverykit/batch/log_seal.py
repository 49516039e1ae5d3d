"""A seal for a log that only grows, such as the log of collection actions: each row chained with the one before.

A supervisor or a court may ask years later whether an entry of the log was made then or afterwards. The seal is a file
of its own beside the log, which stays as it is: a first line names the columns and the key, then one line a row with
its key and its hash, every line chained with the one before as in the record of runs (``record``). Rows that were
appended since are accepted and are sealed the next time.

The seal shows which row was altered, removed, inserted or moved. It does not show that a row was true when it was
sealed, nor a row that was changed before; seal often, daily for instance. Whoever can write log and seal can make both
anew: note the head hash elsewhere, or use a key (the name of an environment variable is given, never the key). The
seal holds the keys of the rows in clear and hashes that whoever guesses a row's content can confirm; keep it as
confidential as the log, and let the key be a running number, never a name.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from recoverykit.batch._canonical_rows import key_texts, row_hashes
from recoverykit.batch._chain import Fault, chain_faults, key_from, longest_rise
from recoverykit.batch._ledger import append_links, read_links
from recoverykit.batch._names import nearest
from recoverykit.errors import RecoverykitError

SEAL_SUFFIX = ".seal"
_FORMAT = 1
_LOG, _ROW = "log", "row"
_NAMED_KEYS = 5


@dataclass(frozen=True, slots=True)
class LogFinding:
    """One thing that is not as sealed.

    Attributes
    ----------
    fault : Fault
        Altered, removed, inserted or reordered for a row; the same or not signed for a line of the seal itself;
        missing or added for a column.
    position : int
        Row of the log, from 1; for a removed row that which it had when it was sealed; 0 where it is no row.
    key : str
        Key of the row, its columns separated by `` | ``; name of the column, or the line of the seal.
    detail : str
        How it shows.
    """

    fault: Fault
    position: int
    key: str
    detail: str = ""

    def __str__(self) -> str:
        where = f"row {self.position}, {self.key}" if self.position else self.key
        return f"{self.fault}: {where}" + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True, slots=True)
class LogVerification:
    """How a log stands to its seal.

    Attributes
    ----------
    n_sealed, n_appended : int
        Rows under the seal, and rows behind them that are not sealed yet.
    head_hash : str
        Hash of the last line of the seal, to be noted elsewhere.
    signed : bool
        Whether a key was given and every line carries the right mac.
    findings : tuple of LogFinding
        Empty when the log stands as sealed.
    """

    n_sealed: int
    n_appended: int
    head_hash: str
    signed: bool
    findings: tuple[LogFinding, ...]

    @property
    def stands(self) -> bool:
        """Whether every sealed row is there, unchanged and in its order."""
        return not self.findings


def seal_log(
    log: pd.DataFrame | str | Path,
    *,
    key: Sequence[str] = (),
    seal: str | Path | None = None,
    key_variable: str = "",
) -> LogVerification:
    """Seal the rows of a log that are not sealed yet.

    Parameters
    ----------
    log : DataFrame or path
        The log, oldest row first; or its CSV file, every value of which is then text as written, or Parquet file.
    key : sequence of str
        Columns that tell the rows apart; needed for the first sealing only.
    seal : path, optional
        The seal; ``<log>.seal`` beside a file by default, and needed for a frame.
    key_variable : str
        Name of the environment variable with the key for the macs; empty for none.

    Returns
    -------
    LogVerification
        As of now, with nothing left to be sealed. Note its ``head_hash`` elsewhere.

    Raises
    ------
    RecoverykitError
        When the rows sealed before are not as they were (then nothing is sealed), the key does not tell the rows apart
        or is another than before, a column holds what no log holds, or a file cannot be read or written.

    Examples
    --------
    >>> import tempfile
    >>> log = pd.DataFrame({"action_id": [1, 2], "action": ["letter", "call"]})
    >>> folder = tempfile.TemporaryDirectory()
    >>> seal_log(log, key=["action_id"], seal=f"{folder.name}/actions.seal").n_sealed
    2
    >>> log.loc[1, "action"] = "visit"
    >>> print(*verify_log(log, seal=f"{folder.name}/actions.seal").findings)
    altered: row 2, 2
    >>> folder.cleanup()
    """
    frame, path = _read(log), _seal_path(log, seal)
    secret = key_from(key_variable)

    def contents(links: list[dict[str, Any] | None]) -> list[Mapping[str, Any]]:
        head = _header(links, path) if links else _new_header(frame, key)
        if list(key) and list(key) != head["key"]:
            raise RecoverykitError(f"{path.name} was begun with the key {', '.join(head['key'])}; go on with it")
        found = [*_seal_findings(links, secret), *_log_findings(frame, head, links)]
        if found:
            raise RecoverykitError(
                f"nothing was sealed, since the rows sealed before are not as they were: {_first(found)}"
            )
        keys, hashes = key_texts(frame, head["key"]), row_hashes(frame, head["columns"])
        new = [{"kind": _ROW, "key": list(k), "row": h} for k, h in zip(keys, hashes, strict=True)]
        return [*([] if links else [head]), *new[max(len(links) - 1, 0) :]]

    append_links(path, contents, key=secret)
    return verify_log(frame, seal=path, key_variable=key_variable)


def verify_log(
    log: pd.DataFrame | str | Path,
    *,
    seal: str | Path | None = None,
    expected: str = "",
    key_variable: str = "",
) -> LogVerification:
    """Compute every hash of a sealed log again and name the rows that are not as sealed.

    Parameters
    ----------
    log, seal, key_variable
        As in ``seal_log``.
    expected : str
        A head hash as it was noted elsewhere, 12 digits or more; it must stand in the seal, which may have grown since.

    Returns
    -------
    LogVerification

    Raises
    ------
    RecoverykitError
        When there is no seal, or it cannot be read.
    """
    frame, path, secret = _read(log), _seal_path(log, seal), key_from(key_variable)
    if not path.exists():
        raise RecoverykitError(f"there is no seal {path.name} beside the log; make one with `recoverykit seal`")
    links = read_links(path)
    head = _header(links, path)
    findings = [*_seal_findings(links, secret), *_log_findings(frame, head, links)]
    hashes = [str(link.get("hash", "")) for link in links if link]
    if expected and (len(expected) < 12 or not any(digits.startswith(expected.lower()) for digits in hashes)):
        findings.append(LogFinding(Fault.REMOVED, 0, f"the noted head {expected[:12]}...", "the seal does not hold it"))
    n_sealed = sum(link is not None and link.get("kind") == _ROW for link in links)
    signed = secret is not None and not any(finding.fault is Fault.NOT_SIGNED for finding in findings)
    n_appended = len(_appended(frame, head, links))
    return LogVerification(n_sealed, n_appended, hashes[-1] if hashes else "", signed, tuple(findings))


def _read(log: pd.DataFrame | str | Path) -> pd.DataFrame:
    if isinstance(log, pd.DataFrame):
        return log
    path = Path(log)
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise RecoverykitError(f"the log {path} cannot be read as CSV (UTF-8) or Parquet: {error}") from error


def _seal_path(log: pd.DataFrame | str | Path, seal: str | Path | None) -> Path:
    if seal is not None:
        return Path(seal)
    if isinstance(log, pd.DataFrame):
        raise RecoverykitError("say where the seal of a frame is kept: seal=")
    return Path(log).with_name(Path(log).name + SEAL_SUFFIX)


def _new_header(frame: pd.DataFrame, key: Sequence[str]) -> dict[str, Any]:
    columns = [str(name) for name in frame.columns]
    if not key:
        raise RecoverykitError("name the columns that tell the rows of the log apart, such as --key action_id")
    unknown = [f"{name!r}; {nearest(name, columns)}" for name in key if name not in columns]
    if unknown:
        raise RecoverykitError(f"the log has no column {'; nor '.join(unknown)}")
    if len(set(columns)) < len(columns):
        raise RecoverykitError("two columns of the log have the same name")
    twice = [" | ".join(k) for k, n in Counter(key_texts(frame, key)).items() if n > 1]
    if twice:
        shown = ", ".join(twice[:_NAMED_KEYS])
        raise RecoverykitError(f"the key {', '.join(key)} stands for more than one row: {shown} ({len(twice)} keys)")
    return {"format": _FORMAT, "kind": _LOG, "columns": sorted(columns), "key": list(key)}


def _header(links: Sequence[Mapping[str, Any] | None], path: Path) -> dict[str, Any]:
    """Return the first line that can be read as the beginning of a seal, wherever it stands."""
    for link in links:
        if link is not None and link.get("kind") == _LOG and all(_is_names(link.get(n)) for n in ("columns", "key")):
            return dict(link)
    raise RecoverykitError(f"{path} is no seal of a log: its first line, which names columns and key, cannot be read")


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value)


def _seal_findings(links: Sequence[Mapping[str, Any] | None], secret: bytes | None) -> list[LogFinding]:
    faults = chain_faults(links, key=secret)
    return [LogFinding(fault.fault, 0, f"line {fault.line} of the seal", fault.detail) for fault in faults]


def _sealed_rows(links: Sequence[Mapping[str, Any] | None]) -> dict[tuple[str, ...], tuple[int, str]]:
    """Return position and hash of each sealed row by its key."""
    rows = [link for link in links if link is not None and link.get("kind") == _ROW and _is_names(link.get("key"))]
    return {tuple(r["key"]): (r["number"] - 1, str(r.get("row"))) for r in rows if isinstance(r.get("number"), int)}


def _appended(
    frame: pd.DataFrame, head: Mapping[str, Any], links: Sequence[Mapping[str, Any] | None]
) -> list[tuple[str, ...]]:
    """Return the keys of the rows behind the last one that is sealed."""
    if not set(head["key"]) <= set(frame.columns):
        return []
    sealed = _sealed_rows(links)
    keys = key_texts(frame, head["key"])
    last = max((position for position, key in enumerate(keys) if key in sealed), default=-1)
    return keys[last + 1 :]


def _log_findings(
    frame: pd.DataFrame, head: Mapping[str, Any], links: Sequence[Mapping[str, Any] | None]
) -> list[LogFinding]:
    """Hold the rows of a log against those that were sealed."""
    here = {str(name) for name in frame.columns}
    found = [LogFinding(Fault.MISSING, 0, f"column {name}") for name in head["columns"] if name not in here]
    found += [LogFinding(Fault.ADDED, 0, f"column {name}") for name in sorted(here - set(head["columns"]))]
    if any(finding.fault is Fault.MISSING for finding in found):
        return found  # without all the columns every row would differ, which says no more
    sealed, keys = _sealed_rows(links), key_texts(frame, head["key"])
    hashes = row_hashes(frame, head["columns"])
    rows: list[LogFinding] = []
    met: dict[tuple[str, ...], int] = {}
    n_old = len(keys) - len(_appended(frame, head, links))
    for position, (key, digits) in enumerate(zip(keys, hashes, strict=True), 1):
        name = " | ".join(key)
        if key in met:
            rows.append(LogFinding(Fault.INSERTED, position, name, f"its key stands already in row {met[key]}"))
        elif key not in sealed and position <= n_old:
            rows.append(LogFinding(Fault.INSERTED, position, name, "rows behind it were sealed without it"))
        elif key in sealed and digits != sealed[key][1]:
            rows.append(LogFinding(Fault.ALTERED, position, name))
        met.setdefault(key, position)
    rows += _moved_rows(met, sealed)
    rows += [LogFinding(Fault.REMOVED, sealed[key][0], " | ".join(key)) for key in sealed if key not in met]
    return found + sorted(rows, key=lambda row: row.position)


def _moved_rows(
    met: Mapping[tuple[str, ...], int], sealed: Mapping[tuple[str, ...], tuple[int, str]]
) -> list[LogFinding]:
    """Name the fewest rows that must go back for the order to be the sealed one."""
    common = [key for key in met if key in sealed]
    kept = longest_rise([sealed[key][0] for key in common])
    return [
        LogFinding(Fault.REORDERED, met[key], " | ".join(key), f"it was sealed as row {sealed[key][0]}")
        for place, key in enumerate(common)
        if place not in kept
    ]


def _first(found: Sequence[LogFinding]) -> str:
    shown = "; ".join(str(finding) for finding in found[:_NAMED_KEYS])
    return shown + (f" and {len(found) - _NAMED_KEYS} more" if len(found) > _NAMED_KEYS else "")

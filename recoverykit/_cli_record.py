"""The commands of the record: verify a run or a sealed log, seal a log, run a recorded run again.

Exit codes: 0 everything is as recorded, sealed or before; 1 something was altered, is missing or was added, and is
named; 2 it could not be told.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lazy_loader

from recoverykit.errors import RecoverykitError

# Loaded at first use, like the other commands.
_load, _, _ = lazy_loader.attach(
    "recoverykit",
    submod_attrs={
        "portfolio.opening": ["open_book"],
        "batch.log_seal": ["seal_log", "verify_log"],
        "batch.pipeline": ["run_pack"],
        "batch.reproduce": ["compare_results", "recorded_run"],
        "batch.verification": ["verify_run"],
    },
)

AS_RECORDED, DIFFERS = 0, 1
_SHOWN = 50

Prepare = Callable[[Any, str, Path, Sequence[Any]], None]
Command = Callable[..., argparse.ArgumentParser]


def add_commands(commands: Any, command: Command, *, prepare: Prepare) -> None:
    """Add ``verify``, ``seal`` and ``reproduce`` to the command line.

    Parameters
    ----------
    commands : object
        Sub-parsers of the command line.
    command : callable
        Makes a sub-parser from ``commands``, a name, a function and a description.
    prepare : callable
        Writes the book of a run, given the opened book, the spec, the folder and the tasks.
    """
    verify = command(commands, "verify", _verify, "say what was altered in a run or a sealed log since it was recorded")
    verify.add_argument("path", metavar="RUN|LOG", help="run folder, or a log (CSV, Parquet) that was sealed")
    verify.add_argument("--ledger", metavar="FILE", help="the record, or the seal of a log (default: beside it)")
    verify.add_argument("--expect", default="", metavar="HASH", help="hash from the cover, as it was noted elsewhere")
    verify.add_argument("--strict", action="store_true", help="changed code, data or environment counts as well")
    _add_key(verify)
    seal = command(commands, "seal", _seal, "seal the rows of a log, such as that of collection actions")
    seal.add_argument("log", metavar="FILE", help="log (CSV or Parquet), oldest row first")
    seal.add_argument("--key", nargs="+", default=[], metavar="COLUMN", help="columns that tell its rows apart")
    seal.add_argument("--seal", metavar="FILE", help="the seal (default FILE.seal)")
    _add_key(seal)
    reproduce = command(commands, "reproduce", None, "run a recorded run again and compare its result tables")
    reproduce.set_defaults(command=lambda arguments: _reproduce(arguments, prepare))
    reproduce.add_argument("run", metavar="RUN", help="run folder")
    reproduce.add_argument("--out", metavar="DIR", help="folder of the new run (default RUN-again)")
    reproduce.add_argument("--workers", type=int, metavar="N", help="notebooks at a time (default: number of cores)")
    reproduce.add_argument("--timeout", type=float, default=1800.0, metavar="SECONDS", help="for one notebook")
    reproduce.add_argument("--memory", type=float, metavar="MB", help="memory of one notebook (default: no limit)")
    reproduce.add_argument("--warm", action="store_true", help="fork kernels from a process with the imports done")
    reproduce.add_argument("--quiet", action="store_true", help="no progress bar")


def _add_key(parser: argparse.ArgumentParser) -> None:
    words = "environment variable with the key that signs"
    parser.add_argument("--key-env", default="", metavar="NAME", help=words)


def _verify(arguments: argparse.Namespace) -> int:
    path = Path(arguments.path)
    if path.is_file():
        return _verify_log(arguments)
    found = _load("verify_run")(
        path, ledger=arguments.ledger, expected=arguments.expect, key_variable=arguments.key_env
    )
    print(f"Run {found.run_id}: entry {found.number} of {found.n_entries}, hash {found.entry_hash}.")
    _show(found.findings)
    if found.since:
        print("Not as it was when the run was made; the results may not be reproduced:")
        _show(found.since)
    signed = ", signed" if found.signed else ""
    if found.stands:
        print(f"As recorded: {found.n_files} files and {found.n_entries} entries{signed}.")
    else:
        print(f"Not as recorded: {len(found.findings)} findings.")
    return AS_RECORDED if found.stands and not (arguments.strict and found.since) else DIFFERS


def _verify_log(arguments: argparse.Namespace) -> int:
    found = _load("verify_log")(
        arguments.path, seal=arguments.ledger, expected=arguments.expect, key_variable=arguments.key_env
    )
    _show(found.findings)
    if found.stands:
        print(f"As sealed: {found.n_sealed:,} rows{', signed' if found.signed else ''}, head {found.head_hash}.")
    else:
        print(f"Not as sealed: {len(found.findings)} findings in {found.n_sealed:,} rows.")
    if found.n_appended:
        print(f"{found.n_appended:,} rows were appended since and are not sealed yet.")
    return AS_RECORDED if found.stands else DIFFERS


def _seal(arguments: argparse.Namespace) -> int:
    sealed = _load("seal_log")(arguments.log, key=arguments.key, seal=arguments.seal, key_variable=arguments.key_env)
    print(f"{sealed.n_sealed:,} rows are sealed. Note the head elsewhere: {sealed.head_hash}")
    return AS_RECORDED


def _reproduce(arguments: argparse.Namespace, prepare: Prepare) -> int:
    run = Path(arguments.run)
    target = Path(arguments.out) if arguments.out else run.with_name(f"{run.resolve().name}-again")
    recorded = _load("recorded_run")(run, target)
    if recorded.since:
        print("Not as recorded, so that the results may differ:")
        _show(recorded.since)
    opened = _load("open_book")(
        recorded.spec, reporting_date=recorded.reporting_date, segment_by=tuple(recorded.plan.segment_by)
    )
    outcome = _load("run_pack")(
        recorded.plan,
        recorded.tasks,
        target,
        reporting_date=recorded.reporting_date,
        data={**recorded.data, "spec": recorded.spec, "hashes": opened.data_hashes},
        write_book=lambda folder: prepare(opened, recorded.spec, folder, recorded.tasks),
        selection=recorded.selection,
        n_workers=arguments.workers,
        timeout_seconds=arguments.timeout,
        memory_mb=arguments.memory,
        progress=not arguments.quiet,
        warm=arguments.warm,
    )
    found = _load("compare_results")(run, target)
    _show(found)
    if found:
        print(f"Not reproduced: {len(found)} result files differ.")
    elif outcome.index is None:
        raise RecoverykitError("the run could not be made again; its manifest says why")
    else:
        print("Reproduced: every result file and table is the same, byte by byte.")
    return DIFFERS if found else AS_RECORDED


def _show(findings: Sequence[Any]) -> None:
    for finding in findings[:_SHOWN]:
        print(f"  {finding}")
    if len(findings) > _SHOWN:
        print(f"  and {len(findings) - _SHOWN} more")

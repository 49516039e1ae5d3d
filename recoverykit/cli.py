"""The command line: reads arguments, calls the parts, prints plain words, returns an exit code.

Exit codes: 0 all went well, 1 some notebooks failed or the run was cut off, 2 the plan, the data or the run folder were
refused, 130 interrupted.
"""

import argparse
import contextlib
import json
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any

import lazy_loader

from recoverykit import _cli_record
from recoverykit._cli_show import show_state, show_summary, show_tasks
from recoverykit.batch import plan as plans
from recoverykit.batch import state as states
from recoverykit.batch._chain import digest_of
from recoverykit.batch._files import RESULTS, storage_error, write_text
from recoverykit.batch._needs import leave_out
from recoverykit.batch._provenance import library_hash, lock_hash, package_versions
from recoverykit.batch._redact import redact
from recoverykit.batch.manifest import RunStatus
from recoverykit.errors import InsufficientDataError, RecoverykitError

# Loaded at first use: `--version`, `status` and every worker process start without pandas and its relatives.
_load, _, _ = lazy_loader.attach(
    "recoverykit",
    submod_attrs={
        "portfolio.backtest": ["back_test_date"],
        "portfolio.opening": ["frozen_folder", "open_book"],
        "portfolio.workout": ["discount_policy", "prepare_book"],
        "data.mapping": ["spec_json_schema"],
        "data.synthetic": ["write_sample"],
        "batch.pipeline": ["injected_parameters", "preview", "run_pack"],
        "batch.record": ["seal_cover"],
        "batch.render": ["render_pack"],
        "batch.results": ["read_records"],
        "batch.warm": ["warnings_in", "why_not_warm"],
    },
)

ALL_WELL, SOME_FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130
#: Where a spec says one of these, its data cannot be told from its files alone.
_NOT_IN_FILES = re.compile(r"connections|\$\{|hash_key_env")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the name of the program; those of the process by default.

    Returns
    -------
    int
        0 all went well, 1 some notebooks failed, 2 plan or data refused, 130 interrupted.
    """
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except RecoverykitError as error:
        print(f"recoverykit: {redact(str(error))}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("recoverykit: interrupted", file=sys.stderr)
        return INTERRUPTED


def _sample(arguments: argparse.Namespace) -> int:
    seed = {} if arguments.seed is None else {"seed": arguments.seed}
    try:
        folder = _load("write_sample")(arguments.out, **seed)
    except OSError as error:
        raise storage_error(Path(arguments.out), error) from error
    print(f"Sample portfolio written to {folder}.")
    return ALL_WELL


def _check(arguments: argparse.Namespace) -> int:
    checked = _load("open_book")(arguments.spec, reporting_date=arguments.as_of)
    print(f"The data keep the contract as of {checked.reporting_date:%Y-%m-%d}, in {checked.currency}.")
    print(checked.inventory.to_string(index=False))
    print(f"{len(checked.episodes):,} default episodes in {len(checked.segments()):,} segments.")
    if len(checked.exclusions):
        print("Left out:")
        print(checked.exclusions.to_string(index=False))
    return ALL_WELL


def _run(arguments: argparse.Namespace) -> int:
    code, _ = _execute(plans.read_plan(arguments.plan), arguments)
    return code


def _backtest(arguments: argparse.Namespace) -> int:
    """Run a plan with its clock set back, and print each segment's verdict."""
    plan = plans.read_plan(arguments.plan)
    changes = {"name": f"{plan.name}-{arguments.frozen}", "parameters": {**plan.parameters, "as_of": arguments.frozen}}
    code, folder = _execute(plan.model_copy(update=changes), arguments)
    records = {} if arguments.dry_run else _load("read_records")(str(folder / RESULTS), "07_backtest")
    for segment, record in records.items():
        missed = f"{100 * record['bias']:+.1f} points of loss missed on {record['n_open_then']:,} open episodes"
        print(f"{segment}: {record['light']}; {missed} since {record['as_of']}.")
    return code


def _execute(plan: plans.Plan, arguments: argparse.Namespace) -> tuple[int, Path]:
    """Open the data, run the plan and make the pack; return the exit code and the run folder."""
    opened = _load("open_book")(arguments.data, reporting_date=arguments.as_of, segment_by=tuple(plan.segment_by))
    date = f"{opened.reporting_date:%Y-%m-%d}"
    selection = {"only": arguments.only, "segments": arguments.segment}
    part = any(selection.values())
    folder = Path(arguments.out or Path("runs") / f"{plan.name}-{date}{'-part' if part else ''}")
    injected = _load("injected_parameters")(folder, date)
    overrides = plans.read_overrides(arguments.parameter)
    tasks = plans.expand_plan(plan, opened.segments(plan.segment_by), injected, overrides=overrides)
    tasks, left_out = leave_out(plan, tasks, opened.operations)
    for stage in left_out:
        print(f"left out: {stage}")
    tasks = plans.select_tasks(tasks, **selection)
    _refuse_early(opened, tasks)
    resumed = {"book_key": _book_key(opened, arguments.data, tasks), "again": plans.stages_from(plan, arguments.stage)}
    if arguments.dry_run:
        reasons = {} if arguments.fresh else _load("preview")(tasks, folder, **resumed)
        show_tasks(tasks, reasons)
        return ALL_WELL, folder
    if arguments.warm and _load("why_not_warm")():
        print(f"recoverykit: {_load('why_not_warm')()}", file=sys.stderr)
    with _ended_politely():
        outcome = _load("run_pack")(
            plan,
            tasks,
            folder,
            reporting_date=date,
            data={
                "name": opened.name,
                "currency": opened.currency,
                "spec": str(Path(arguments.data).resolve()),
                "hashes": opened.data_hashes,
                "left_out": [str(stage) for stage in left_out],
            },
            write_book=lambda target: _prepare(opened, arguments.data, target, tasks),
            selection=selection,
            fresh=arguments.fresh,
            n_workers=arguments.workers,
            timeout_seconds=arguments.timeout,
            memory_mb=arguments.memory,
            retries=arguments.retries,
            fail_fast=arguments.fail_fast,
            scheduler=arguments.scheduler,
            progress=not arguments.quiet,
            warm=arguments.warm,
            record_key=arguments.record_key,
            **resumed,
        )
    for words in _load("warnings_in")(folder) if arguments.warm else ():
        print(f"recoverykit: {words}", file=sys.stderr)
    show_summary(outcome.manifest, outcome.executed)
    if outcome.index is not None:
        print(outcome.index)
    return ALL_WELL if outcome.status == RunStatus.COMPLETE else SOME_FAILED, folder


@contextlib.contextmanager
def _ended_politely() -> Iterator[None]:
    """Treat a scheduler's request to end as Ctrl-C, so that the manifest says that the run was interrupted."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _prepare(opened: Any, data: str, target: Path, tasks: Sequence[plans.Task]) -> None:
    """Write the book that the notebooks will open, and the same as of each date to which one sets the clock back."""
    _load("prepare_book")(opened, target, discounts=_discounts(tasks))
    for date in _frozen_dates(opened, tasks):
        with contextlib.suppress(InsufficientDataError):  # no default yet: the notebook that asks for it says so
            frozen = _load("open_book")(data, reporting_date=date, segment_by=opened.segment_by, freeze=True)
            _load("prepare_book")(frozen, _load("frozen_folder")(target, date), discounts=_discounts(tasks))


def _refuse_early(opened: Any, tasks: Sequence[plans.Task]) -> None:
    """Raise a SpecError for dates and discount rules that are none, while what an earlier run left is untouched."""
    _frozen_dates(opened, tasks)
    for rule in _discounts(tasks):
        _load("discount_policy")(rule)


def _frozen_dates(opened: Any, tasks: Sequence[plans.Task]) -> list[str]:
    """Return the dates to which a notebook sets the clock back."""
    asked = {str(task.parameters["as_of"]) for task in tasks if "as_of" in task.parameters}
    return sorted({_load("back_test_date")(opened, as_of) for as_of in asked})


def _book_key(opened: Any, data: str, tasks: Sequence[plans.Task]) -> str:
    """Return the hash of all that the prepared book is made from; empty when files do not tell it, as for a database.

    Without it the book is prepared again; what was executed on an equal one holds all the same.
    """
    try:
        spec = Path(data).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    if _NOT_IN_FILES.search(spec):
        return ""
    read = [spec, opened.data_hashes, f"{opened.reporting_date:%Y-%m-%d}", list(opened.segment_by)]
    read += [_discounts(tasks), _frozen_dates(opened, tasks)]
    return digest_of([*read, library_hash(), lock_hash(), package_versions()])


def _discounts(tasks: Sequence[plans.Task]) -> list[str]:
    """Return the discount rules that the notebooks will ask for, so that each is worked out once."""
    return sorted({str(task.parameters["discount"]) for task in tasks if "discount" in task.parameters})


def _render(arguments: argparse.Namespace) -> int:
    pack = _load("render_pack")(arguments.run)
    _load("seal_cover")(arguments.run)
    print(pack.index)
    complete = states.run_state(arguments.run)[0]["status"] == RunStatus.COMPLETE
    return ALL_WELL if complete and not pack.not_rendered else SOME_FAILED


def _status(arguments: argparse.Namespace) -> int:
    content, owner = states.run_state(arguments.run)
    show_state(content, owner)
    well = content["status"] in (RunStatus.COMPLETE, RunStatus.RUNNING)
    return ALL_WELL if well else SOME_FAILED


def _schema(arguments: argparse.Namespace) -> int:
    for name, schema in (("plan", plans.plan_json_schema()), ("data_spec", _load("spec_json_schema")())):
        path = Path(arguments.out) / f"{name}.schema.json"
        write_text(path, schema_text(schema))
        print(path)
    return ALL_WELL


def schema_text(schema: dict[str, Any]) -> str:
    """Return a JSON Schema as it is shipped: the same bytes for the same schema."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="recoverykit",
        description="Recovery analytics for non-performing loans: from a bank's files to a pack of pages.",
        epilog="Exit codes: 0 all went well, 1 some notebooks failed or the run was cut off, 2 plan, data or run "
        "folder refused, 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"recoverykit {metadata.version('recoverykit')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    sample = _command(commands, "sample", _sample, "write the sample portfolio with known truth")
    sample.add_argument(
        "--seed", type=int, metavar="N", help="seed of the simulation (default: that of the shipped sample)"
    )
    sample.add_argument("--out", default="data_samples", metavar="DIR", help="folder (default data_samples)")
    check = _command(commands, "check", _check, "check a bank's data against the contract, all violations at once")
    check.add_argument("spec", metavar="SPEC", help="data spec (YAML)")
    check.add_argument("--as-of", default="", metavar="DATE", help="reporting date, YYYY-MM-DD (default: of the spec)")
    _add_run(_command(commands, "run", _run, "run a plan of notebooks over all segments and make the pack"))
    _add_backtest(
        _command(commands, "backtest", _backtest, "set the clock back and hold the estimate of then against now")
    )
    render = _command(commands, "render", _render, "render the pages of a run again from its executed notebooks")
    render.add_argument("run", metavar="RUN", help="run folder")
    status = _command(commands, "status", _status, "say how a run stands")
    status.add_argument("run", metavar="RUN", help="run folder")
    _cli_record.add_commands(commands, _command, prepare=_prepare)
    schema = _command(commands, "schema", _schema, "write the JSON schemas of plan and data spec, for editors")
    schema.add_argument("--out", default="data_samples/schemas", metavar="DIR", help="default data_samples/schemas")
    return parser


def _add_backtest(backtest: argparse.ArgumentParser) -> None:
    plan = "notebooks/plans/backtest.yml"
    backtest.add_argument("plan", nargs="?", default=plan, metavar="PLAN", help=f"plan (default {plan})")
    backtest.add_argument("--as-of", dest="frozen", required=True, metavar="DATE", help="date to set the clock back to")
    date = "date of hindsight, YYYY-MM-DD (default: reporting date of the spec)"
    backtest.add_argument("--hindsight", dest="as_of", default="", metavar="DATE", help=date)
    _add_execution(backtest)


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("plan", metavar="PLAN", help="plan (YAML)")
    run.add_argument("--as-of", default="", metavar="DATE", help="reporting date, YYYY-MM-DD (default: of the spec)")
    _add_execution(run)


def _add_execution(run: argparse.ArgumentParser) -> None:
    run.add_argument("--data", required=True, metavar="SPEC", help="data spec (YAML)")
    run.add_argument("--out", metavar="DIR", help="run folder (default runs/<plan>-<reporting date>)")
    run.add_argument("--workers", type=int, metavar="N", help="notebooks at a time (default: number of cores)")
    run.add_argument("--timeout", type=float, default=1800.0, metavar="SECONDS", help="for one notebook (default 1800)")
    run.add_argument("--only", nargs="+", default=[], metavar="NOTEBOOK", help="only these notebooks")
    run.add_argument("--segment", nargs="+", default=[], metavar="NAME", help="only these segments")
    run.add_argument("--from", dest="stage", default="", metavar="STAGE", help="run it and what rests on it again")
    run.add_argument("--fresh", action="store_true", help="keep nothing of an earlier run in the folder")
    parameter = "a parameter of any notebook, before what the plan says; may be repeated"
    run.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help=parameter)
    run.add_argument("--memory", type=float, metavar="MB", help="memory of one notebook (default: no limit)")
    run.add_argument("--retries", type=int, default=1, metavar="N", help="after the death of a kernel (default 1)")
    run.add_argument("--fail-fast", action="store_true", help="start nothing more after the first failure")
    run.add_argument("--scheduler", default="", metavar="ADDRESS", help="run on a Dask cluster, as tcp://host:8786")
    run.add_argument("--dry-run", action="store_true", help="print every execution with its parameters, run nothing")
    run.add_argument("--quiet", action="store_true", help="no progress bar")
    run.add_argument("--warm", action="store_true", help="fork kernels from a process with the imports done (Linux)")
    words = "environment variable with a key that signs the run's entry in the record"
    run.add_argument("--record-key", default="", metavar="NAME", help=words)


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    function: Callable[[argparse.Namespace], int],
    description: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=description, description=description.capitalize() + ".")
    command.set_defaults(command=function)
    return command

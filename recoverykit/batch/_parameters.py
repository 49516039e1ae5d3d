"""The parameters cell of a notebook, read from its syntax: names, types and defaults, with strict checks of values.

papermill reads the same cell with a regular expression, takes any value and only logs a name that it does not know;
a run that nobody watches needs all of this settled before it starts.
"""

import ast
import datetime
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recoverykit.batch._tasks import ParameterValue
from recoverykit.errors import PlanError

#: Set by the run itself, never by a plan.
SEGMENT_PARAMETER = "segment"
INJECTED = ("data", "reporting_date", "results_folder", SEGMENT_PARAMETER)
TYPES = ("str", "int", "float", "bool", "list[str]")
#: What the name of a secret speaks of.
SECRET_NAME = re.compile(
    r"passw|passphrase|secret|token|credential|api_?key|private_?key|connection_string|(^|_)(url|uri|dsn)(_|$)"
)
_LOGIN_IN_ADDRESS = re.compile(r"://[^/\s]*:[^/\s]*@")
_WORDS_OF_BOOL = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One line of a parameters cell: ``name: type = default  # help``."""

    name: str
    type: str
    default: ParameterValue
    help: str


def read_parameters(path: Path) -> dict[str, Parameter]:
    """Read the parameters cell of a notebook.

    Parameters
    ----------
    path : Path
        The notebook.

    Returns
    -------
    dict of str to Parameter
        In the order of the cell.

    Raises
    ------
    PlanError
        When the file is no notebook, has no parameters cell or more than one, or a line has another form.
    """
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PlanError(f"{path.name} cannot be read as a notebook: {error}") from error
    tagged = [c for c in cells if c["cell_type"] == "code" and "parameters" in c["metadata"].get("tags", [])]
    if len(tagged) != 1:
        raise PlanError(f"{path.name} has {len(tagged)} cells tagged 'parameters', exactly one is needed")
    source = "".join(tagged[0]["source"])
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise PlanError(f"{path.name}, parameters cell, line {error.lineno}: {error.msg}") from error
    lines = source.splitlines()
    parameters = [_parameter(node, lines, path.name) for node in statements]
    return {parameter.name: parameter for parameter in parameters}


def _parameter(node: ast.stmt, lines: list[str], notebook: str) -> Parameter:
    line = lines[node.lineno - 1]
    if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name) or node.value is None:
        raise PlanError(f"{notebook}, parameters cell: {line!r} is not of the form 'name: type = literal  # help'")
    name, type_name = node.target.id, ast.unparse(node.annotation)
    if type_name not in TYPES:
        raise PlanError(f"{notebook}, parameter {name!r}: type {type_name} is not one of {', '.join(TYPES)}")
    try:
        default = typed_value(ast.literal_eval(node.value), type_name)
    except ValueError as error:
        raise PlanError(f"{notebook}, parameter {name!r}: {error}") from error
    comment = (lines[(node.end_lineno or node.lineno) - 1].encode()[node.end_col_offset or 0 :]).decode()
    return Parameter(name, type_name, default, comment.strip().lstrip("#").strip())


def typed_value(value: Any, type_name: str) -> ParameterValue:
    """Return a value as the type of a parameter wants it, without guessing.

    Parameters
    ----------
    value : object
        As written in the plan. An integer is widened where a float is meant; a date becomes its ISO string.
    type_name : {"str", "int", "float", "bool", "list[str]"}
        Type in the parameters cell.

    Returns
    -------
    str, int, float, bool or list of str

    Raises
    ------
    ValueError
        When the value is of another type; the message says which one is wanted.

    Examples
    --------
    >>> typed_value(1, "float"), typed_value("007", "str")
    (1.0, '007')
    >>> typed_value(True, "int")
    Traceback (most recent call last):
    ValueError: True is a bool, an int is wanted
    """
    if isinstance(value, datetime.date):
        value = value.isoformat()
    if type_name == "list[str]" and isinstance(value, list | tuple):
        return [str(typed_value(item, "str")) for item in value]
    kind = type(value).__name__
    if type_name == "float" and kind in ("int", "float"):
        if not math.isfinite(value):
            raise ValueError(f"{value!r} is not a finite number")
        return float(value)
    if kind == type_name:
        return value
    hint = "; put it in quotes" if type_name == "str" and kind in ("int", "float", "bool") else ""
    raise ValueError(f"{value!r} is {_article(kind)}, {_article(type_name)} is wanted{hint}")


def value_from_text(text: str, type_name: str) -> ParameterValue:
    """Return a value that was given as text on the command line, in the type of its parameter.

    Parameters
    ----------
    text : str
        What stands behind the equals sign; the items of a list are parted by commas.
    type_name : {"str", "int", "float", "bool", "list[str]"}
        Type in the parameters cell. Text for a ``str`` is taken as it is, so that ``007`` stays ``007``.

    Raises
    ------
    ValueError
        When the text is no value of the type.

    Examples
    --------
    >>> value_from_text("007", "str"), value_from_text("7", "float"), value_from_text("cured, repaid", "list[str]")
    ('007', 7.0, ['cured', 'repaid'])
    >>> value_from_text("yes", "bool")
    Traceback (most recent call last):
    ValueError: 'yes' is no bool; write true or false
    """
    if type_name == "list[str]":
        return [item.strip() for item in text.split(",")] if text.strip() else []
    if type_name == "str":
        return text
    if type_name == "bool":
        if text not in _WORDS_OF_BOOL:
            raise ValueError(f"{text!r} is no bool; write true or false")
        return _WORDS_OF_BOOL[text]
    try:
        return typed_value(int(text) if type_name == "int" else float(text), type_name)
    except ValueError:
        raise ValueError(f"{text!r} is no {type_name}") from None


def refuse_secret(name: str, value: Any) -> None:
    """Refuse a parameter that looks like a secret: it would stand in every executed notebook and in the manifest.

    Raises
    ------
    ValueError
        When the name speaks of a password, token or address, or the value is an address with a login in it.
    """
    texts = [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)]
    if SECRET_NAME.search(name.lower()) or any(_LOGIN_IN_ADDRESS.search(text) for text in texts):
        raise ValueError(
            "looks like a secret or a database address, and parameters are written into every executed notebook; "
            "name the source in the data spec instead"
        )


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"

"""Read a YAML file strictly: no key twice, keys as they are written, and the line of every entry.

YAML as people write it has traps: ``NO: norway`` is a truth value, ``2026-09-30`` a date object, a second ``columns:``
silently replaces the first. Here keys are always text, only ``true`` and ``false`` are truth values, dates stay text,
and a repeated key is an error.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from recoverykit.errors import SpecError

Place = tuple[str | int, ...]
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class _StrictLoader(yaml.SafeLoader):
    """The safe loader with the resolvers of YAML 1.2: true, false, null, numbers; everything else is text."""


_StrictLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"^(?:true|false|True|False|TRUE|FALSE)$", "tTfF"),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    ("float", r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
):
    _StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a file.

    Attributes
    ----------
    place : tuple
        Keys and positions that lead to the entry.
    text : str
        What was found, what is allowed, what to do.
    """

    place: Place
    text: str


@dataclass(slots=True)
class StrictYaml:
    """A YAML file as plain values, with the line of each entry.

    Attributes
    ----------
    data : object
        Dictionaries, lists, text, numbers, truth values.
    lines : dict of place to int
        Line of each entry, from 1.
    problems : list of Problem
        Repeated keys and missing environment variables.
    """

    data: Any = None
    lines: dict[Place, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def known_part(self, place: Place) -> Place:
        """Return the longest part of a place that stands in the file.

        A place may hold names of the forms of a part, which do not stand in the file, yet may equal a key that does:
        what keeps the last name goes before what is merely longer.
        """
        found: list[Place] = [()]
        for part in place:
            found += [(*kept, part) for kept in found if (*kept, part) in self.lines]
        return max(found, key=lambda kept: (kept[-1:] == place[-1:], len(kept)))

    def line_of(self, place: Place) -> int | None:
        """Return the line of an entry, or of the nearest entry that contains it."""
        return self.lines.get(self.known_part(place))


def read_strict_yaml(path: Path) -> StrictYaml:
    """Read a YAML file with ``${VAR}`` and ``${VAR:-default}`` filled from the environment.

    Parameters
    ----------
    path : Path
        The file, UTF-8.

    Returns
    -------
    StrictYaml
        Values, lines, and what is wrong with keys and variables.

    Raises
    ------
    SpecError
        When the file cannot be read or is no YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"cannot read {path}: {type(error).__name__}; give the path of a YAML file in UTF-8") from error
    try:
        node = yaml.compose(text, Loader=_StrictLoader)
        result = StrictYaml()
        result.data = None if node is None else _value(node, (), result)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SpecError(f"{path}{where}: this is no valid YAML ({getattr(error, 'problem', error)})") from error
    return result


def _value(node: yaml.Node, place: Place, result: StrictYaml) -> Any:
    result.lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return dict(_entries(node, place, result))
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*place, order), result) for order, item in enumerate(node.value)]
    if node.tag == "tag:yaml.org,2002:str":
        return _filled(node.value, place, result)
    return yaml.SafeLoader("").construct_object(node)


def _entries(node: yaml.MappingNode, place: Place, result: StrictYaml) -> Iterator[tuple[str, Any]]:
    seen: set[str] = set()
    for key_node, value_node in node.value:
        key = str(key_node.value)
        here = (*place, key)
        if key in seen:
            line = key_node.start_mark.line + 1
            result.problems.append(Problem(here, f"the key {key!r} stands twice, again in line {line}; keep one"))
            continue
        seen.add(key)
        result.lines[here] = key_node.start_mark.line + 1
        yield key, _value(value_node, here, result)


def _filled(text: str, place: Place, result: StrictYaml) -> str:
    """Fill the variables of the environment into a text; a missing one is a problem."""

    def fill(found: re.Match[str]) -> str:
        name, default = found.groups()
        given = os.environ.get(name, default)
        if given is None:
            words = f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}"
            result.problems.append(Problem(place, words))
            return ""
        return given

    return _VARIABLE.sub(fill, text)

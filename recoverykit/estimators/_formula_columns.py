"""Which columns of a frame the factors of a formula read. Private to ``_formulas``."""

import ast
import re

from formulaic.parser.types import Factor
from formulaic.transforms import TRANSFORMS

#: A column named as categories, with or without options.
_NAMED = re.compile(r"C\(\s*(`[^`]+`|\w+)\s*(,.*)?\)", re.DOTALL)


def columns_read(factor: Factor) -> set[str]:
    """Return the columns that a factor reads; formulaic's own list leaves out those inside center() or bs()."""
    if factor.eval_method is Factor.EvalMethod.LOOKUP:
        return {factor.expr}
    if factor.eval_method is Factor.EvalMethod.LITERAL:
        return set()
    try:
        tree = ast.parse(factor.expr, mode="eval")
    except SyntaxError:  # a quoted column name inside a call
        return {str(variable.root) for variable in factor.required_variables} - set(TRANSFORMS)
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return named - called - set(TRANSFORMS)


def coded_column(factor: Factor) -> str:
    """Return the column whose values are the categories of a factor, "" where an expression makes them."""
    columns = columns_read(factor)
    if len(columns) == 1 and (factor.eval_method is Factor.EvalMethod.LOOKUP or _NAMED.fullmatch(factor.expr)):
        return next(iter(columns))
    return ""

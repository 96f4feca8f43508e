"""Length expressions as Python text (`evaluation.py` makes functions of it).

In: sympy expressions and conditions over length symbols. Out: Python text over `n`, the dictionary of lengths by name. Holds: only
+ - * // % ** comparisons and `largest`/`smallest` are used, all of which a SymInt has; a quotient is always floored.
"""

from __future__ import annotations

import sympy
from sympy.logic.boolalg import BooleanFalse, BooleanTrue

from ..lang.lengths import Quotient

_RELATIONS = {sympy.Eq: "==", sympy.Ne: "!=", sympy.Lt: "<", sympy.Le: "<=", sympy.Gt: ">", sympy.Ge: ">="}


def python_text(expression: sympy.Basic) -> str:
    """The expression in Python, fully parenthesised."""
    if isinstance(expression, sympy.Integer):
        return str(int(expression))
    if isinstance(expression, sympy.Symbol):
        return f"n[{expression.name!r}]"
    if isinstance(expression, BooleanTrue | BooleanFalse):
        return str(bool(expression))
    if isinstance(expression, sympy.Add | sympy.Mul):
        if any(isinstance(factor, sympy.Rational) and not factor.is_Integer for factor in expression.args):
            return _quotient(expression)
        sign = " + " if isinstance(expression, sympy.Add) else " * "
        # sympy's own order of arguments depends on hashes of equal rank; by text it is the same on every run
        return f"({sign.join(sorted(python_text(argument) for argument in expression.args))})"
    if isinstance(expression, sympy.Pow) and expression.exp.is_Integer and expression.exp > 0:
        return f"({python_text(expression.base)} ** {expression.exp})"
    if isinstance(expression, Quotient):
        return f"({python_text(expression.args[0])} // {python_text(expression.args[1])})"
    if isinstance(expression, sympy.floor):
        return _quotient(expression.args[0])
    if isinstance(expression, sympy.ceiling):
        return f"(-{_quotient(-expression.args[0])})"
    if isinstance(expression, sympy.Mod):
        return f"({python_text(expression.args[0])} % {python_text(expression.args[1])})"
    if isinstance(expression, sympy.Max | sympy.Min):
        name = "largest" if isinstance(expression, sympy.Max) else "smallest"
        return f"{name}({', '.join(sorted(python_text(argument) for argument in expression.args))})"
    for relation, sign in _RELATIONS.items():
        if isinstance(expression, relation):
            return f"({python_text(expression.lhs)} {sign} {python_text(expression.rhs)})"
    if isinstance(expression, sympy.And | sympy.Or):
        word = " and " if isinstance(expression, sympy.And) else " or "
        return f"({word.join(sorted(python_text(argument) for argument in expression.args))})"
    if isinstance(expression, sympy.Not):
        return f"(not {python_text(expression.args[0])})"
    return _quotient(expression)


def _quotient(expression: sympy.Expr) -> str:
    """A ratio of lengths, rounded down."""
    numerator, denominator = sympy.fraction(sympy.together(expression))
    if denominator == 1 and numerator == expression:
        raise TypeError(f"no Python for the length {expression}")
    if denominator == 1:
        return python_text(numerator)
    return f"({python_text(numerator)} // {python_text(denominator)})"

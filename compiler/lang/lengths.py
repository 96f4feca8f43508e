"""Arithmetic on lengths: whole numbers where known, expressions in length symbols where known only at the call.

In: lengths as Python integers or sympy expressions. Out: the same, and verdicts on their order.
Holds: `/` rounds down; a Python integer stands wherever the value is known, so that sympy is touched only for symbolic
lengths; every length symbol is a non-negative integer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Union

import sympy

Length = Union[int, sympy.Expr]
LARGEST = 2**62
MAXIMUM_TERMS = 40
MAXIMUM_SYMBOLIC_EXPONENT = 4


class Quotient(sympy.Function):
    """numerator / denominator, rounded down, where the denominator is no number.

    sympy's floor draws conclusions about such a quotient from its value at the least lengths alone, as if it could only grow: it
    takes floor(1 - 2/Max(1, A*B)) to be -1. Here nothing is concluded but the sign.
    """

    nargs = 2
    is_integer = True

    @classmethod
    def eval(cls, numerator: sympy.Expr, denominator: sympy.Expr) -> sympy.Expr | None:
        ratio = sympy.expand(numerator / denominator)
        top, bottom = sympy.fraction(sympy.together(ratio))
        if bottom.is_number:
            return sympy.floor(ratio)
        return None if (top, bottom) == (numerator, denominator) else cls(top, bottom)

    def _eval_is_nonnegative(self) -> bool | None:
        return True if all(argument.is_nonnegative for argument in self.args) else None


def quotient(numerator: sympy.Expr, denominator: sympy.Expr) -> sympy.Expr:
    """The quotient, rounded down: sympy's floor of a sum of terms with rational coefficients, or a `Quotient`."""
    return Quotient(sympy.sympify(numerator), sympy.sympify(denominator))


class ArithmeticProblem(Exception):
    """The arithmetic has no result; the text says why, in words for the user."""


def simplified(length: Length) -> Length:
    """An integer where the expression is one."""
    if isinstance(length, int):
        return length
    return int(length) if length.is_Integer else length


def add(left: Length, right: Length) -> Length:
    return _bounded(left + right)


def subtract(left: Length, right: Length) -> Length:
    return _bounded(left - right)


def multiply(left: Length, right: Length) -> Length:
    product = left * right
    return _bounded(product if isinstance(product, int) else sympy.expand(product))


def divide(left: Length, right: Length) -> Length:
    """The quotient, rounded down."""
    if isinstance(right, int) and right == 0:
        raise ArithmeticProblem("division by zero")
    if isinstance(left, int) and isinstance(right, int):
        return left // right
    return _bounded(quotient(left, right))


def power(base: Length, exponent: Length) -> Length:
    if not isinstance(exponent, int):
        raise ArithmeticProblem("an exponent must be known when the layer is compiled")
    if exponent < 0:
        raise ArithmeticProblem("a negative exponent")
    if exponent > 62 and base not in (0, 1, -1):
        raise ArithmeticProblem("an exponent above 62")
    if isinstance(base, int):
        return _bounded(base**exponent)
    if exponent > MAXIMUM_SYMBOLIC_EXPONENT:
        raise ArithmeticProblem(f"an exponent above {MAXIMUM_SYMBOLIC_EXPONENT} of a length known only at the call")
    return _bounded(sympy.expand(base**exponent))


def _bounded(length: Length) -> Length:
    length = simplified(length)
    if isinstance(length, int) and abs(length) > LARGEST:
        raise ArithmeticProblem("a result above 2^62")
    if not isinstance(length, int) and len(length.args) > MAXIMUM_TERMS:
        raise ArithmeticProblem(f"more than {MAXIMUM_TERMS} terms")
    return length


def at_most(left: Length, right: Length) -> bool | None:
    """Whether left <= right: always (True), never (False), or known only at the call (None)."""
    if isinstance(left, int) and isinstance(right, int):
        return left <= right
    difference = sympy.expand(right - left)
    if difference.is_Integer:
        return int(difference) >= 0
    if difference.is_nonnegative:
        return True
    if difference.is_negative:
        return False
    return None


def equal(left: Length, right: Length) -> bool | None:
    """Whether left == right: always, never, or known only at the call (None)."""
    if isinstance(left, int) and isinstance(right, int):
        return left == right
    if left == right:
        return True
    difference = sympy.expand(left - right)
    if difference.is_zero:
        return True
    return False if difference.is_zero is False else None


def substituted(length: Length, values: Mapping[sympy.Symbol, Length]) -> Length:
    """A length with values put in for symbols."""
    return length if isinstance(length, int) else simplified(sympy.expand(length.subs(values)))


def symbols_of(length: Length) -> tuple[str, ...]:
    """The names of the length symbols in a length, sorted."""
    return () if isinstance(length, int) else tuple(sorted(symbol.name for symbol in length.free_symbols))


def solvable_for(length: Length, symbol: sympy.Symbol) -> bool:
    """Whether a stored length determines `symbol` (all others known): the expression is linear in it."""
    if isinstance(length, int):
        return False
    expanded = sympy.expand(length)
    coefficient = expanded.coeff(symbol)
    rest = expanded - coefficient * symbol
    return bool(coefficient != 0) and symbol not in coefficient.free_symbols and symbol not in sympy.expand(rest).free_symbols


def text_of(length: Length) -> str:
    """A length in the language's own notation."""
    if isinstance(length, int):
        return str(length)
    return _LengthPrinter().doprint(length)


_ROUNDED = (sympy.floor, Quotient)


class _LengthPrinter(sympy.printing.str.StrPrinter):
    def _print_floor(self, expression: sympy.Expr) -> str:
        return self._ratio(*expression.args[0].as_numer_denom())

    def _print_Quotient(self, expression: sympy.Expr) -> str:
        return self._ratio(*expression.args)

    def _ratio(self, numerator: sympy.Expr, denominator: sympy.Expr) -> str:
        return f"{self.parenthesize(numerator, 50)}/{self.parenthesize(denominator, 60)}"

    def _print_Mul(self, expression: sympy.Expr) -> str:
        # A rounded quotient among factors keeps its parentheses: 2*(T/2) is not 2*T/2.
        factors = [f"({self._print(factor)})" for factor in expression.args if isinstance(factor, _ROUNDED)]
        if not factors:
            return super()._print_Mul(expression)
        rest = expression.func(*(factor for factor in expression.args if not isinstance(factor, _ROUNDED)))
        if rest == -1:
            return "-" + "*".join(factors)
        return "*".join(factors if rest == 1 else [self.parenthesize(rest, 50), *factors])

    def _print_Pow(self, expression: sympy.Expr, rational: bool = False) -> str:
        return super()._print_Pow(expression, rational).replace("**", "^")

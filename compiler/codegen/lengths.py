"""Lengths as target text: C++ for kernels, Python for the caller who sizes buffers.

In: a sympy expression in length symbols. Out: text. Holds: all arithmetic is on nonnegative 64-bit integers; `/` under `floor`
rounds down.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

import sympy

from ..lang.checked import Length
from ..lang.lengths import Quotient


def identifier(name: str) -> str:
    """A name as a C++ identifier: `...` is `batch`, an anonymous axis `a.1` is `a_1`."""
    return "batch" if name == "..." else re.sub(r"\W", "_", name)


@lru_cache(maxsize=4096)
def cpp_length(length: Length) -> str:
    """The length in C++; the symbol C is the variable n_C."""
    return _print(
        length,
        lambda symbol: "_".join(["n", *map(identifier, symbol.split(" "))]) if not symbol.startswith("stride ") else symbol[7:],
        "lamina::floor_divide",
    )


@lru_cache(maxsize=4096)
def python_length(length: Length) -> str:
    """The length in Python; the symbol C is n['C']."""
    return _print(length, lambda symbol: f"n[{symbol!r}]", None)


def _print(length: Length, symbol: Callable[[str], str], divide: str | None) -> str:
    if length.is_Integer:
        return str(int(length))
    if length.is_Symbol:
        return symbol(length.name)
    if length.is_Add:
        parts = []
        for term in sympy.Add.make_args(length):
            text = _print(term, symbol, divide)
            parts.append(f" - {text[1:]}" if text.startswith("-") and not term.is_Add else f" + {text}")
        text = "".join(parts)
        return f"({text[3:]})" if text.startswith(" + ") else f"(-{text[3:]})"
    if length.is_Mul:
        coefficient, rest = length.as_coeff_Mul()
        if coefficient == -1:
            return f"-{_print(rest, symbol, divide)}"
        return " * ".join(_print(factor, symbol, divide) for factor in length.as_ordered_factors())
    if length.is_Pow and length.exp.is_Integer and int(length.exp) > 0:
        return " * ".join([_print(length.base, symbol, divide)] * int(length.exp))
    if isinstance(length, (sympy.floor, Quotient)):
        numerator, denominator = length.args if len(length.args) == 2 else sympy.fraction(sympy.together(length.args[0]))
        top, bottom = _print(numerator, symbol, divide), _print(denominator, symbol, divide)
        return f"{divide}({top}, {bottom})" if divide else f"(({top}) // ({bottom}))"
    if isinstance(length, (sympy.Max, sympy.Min)):
        name = "max" if isinstance(length, sympy.Max) else "min"
        inner = [_print(argument, symbol, divide) for argument in length.args]
        if divide is None:
            return f"{name}({', '.join(inner)})"
        text = inner[0]
        text = f"int64_t({text})"
        for other in inner[1:]:
            text = f"lamina::{name}({text}, int64_t({other}))"
        return text
    raise ValueError(f"no text for the length {length}")

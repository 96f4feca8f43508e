"""The built-in scalar functions: how many arguments each takes, of which kinds, and the kind of the result.

In: the kinds of the arguments of a call. Out: the kind of its value. Holds: the one place where a built-in function is known to
the front end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .checked import Expr, Kind, Number

ORDER: tuple[Kind, ...] = ("bool", "int", "real", "complex")
NUMBERS: frozenset[Kind] = frozenset(("int", "real", "complex"))
REAL_NUMBERS: frozenset[Kind] = frozenset(("int", "real"))
BOOLEANS: frozenset[Kind] = frozenset(("bool",))
ANY: frozenset[Kind] = frozenset(ORDER)

FLOATING = (
    *("sqrt", "rsqrt", "exp", "exp2", "expm1", "log", "log2", "log1p", "sigmoid"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
)

CONSTANTS = {"pi": 3.141592653589793, "e": 2.718281828459045}


def joined(*kinds: Kind) -> Kind:
    """The widest of some kinds: int < real < complex."""
    return max(kinds, key=ORDER.index)


def _same(*kinds: Kind) -> Kind:
    return joined(*kinds)


def _floating(*kinds: Kind) -> Kind:
    return joined("real", *kinds)


def _real(*kinds: Kind) -> Kind:
    return "real"


def _complex(*kinds: Kind) -> Kind:
    return "complex"


def _magnitude(kind: Kind) -> Kind:
    return "int" if kind == "int" else "real"


def _branch(condition: Kind, *branches: Kind) -> Kind:
    return joined(*branches)


@dataclass(frozen=True)
class Function:
    """A scalar function: the kinds it takes, argument by argument, and the kind of its value."""

    accepts: tuple[frozenset[Kind], ...]
    result: Callable[..., Kind]
    has_order: bool = False

    @property
    def arity(self) -> int:
        return len(self.accepts)


def _table() -> dict[str, Function]:
    table: dict[str, Function] = {}
    for name in FLOATING:
        table[name] = Function((NUMBERS,), _floating)
    for name in ("softplus", "erf", "erfc", "lgamma", "digamma"):
        table[name] = Function((REAL_NUMBERS,), _floating)
    for name in ("sign", "floor", "round"):
        table[name] = Function((REAL_NUMBERS,), _same)
    for name in ("min", "max"):
        table[name] = Function((REAL_NUMBERS, REAL_NUMBERS), _same)
    table["abs"] = Function((NUMBERS,), _magnitude)
    table["clamp"] = Function((REAL_NUMBERS, REAL_NUMBERS, REAL_NUMBERS), _same)
    table["pow"] = Function((NUMBERS, NUMBERS), _floating)
    table["atan2"] = Function((REAL_NUMBERS, REAL_NUMBERS), _floating)
    table["select"] = Function((BOOLEANS, ANY, ANY), _branch)
    table["re"] = table["im"] = table["arg"] = Function((NUMBERS,), _real)
    table["conj"] = Function((NUMBERS,), _same)
    table["cis"] = Function((REAL_NUMBERS,), _complex)
    for name in ("chebyshev", "legendre", "hermite"):
        table[name] = Function((frozenset(("int",)), NUMBERS), lambda order, kind: _floating(kind), has_order=True)
    table["bspline"] = Function((frozenset(("int",)), REAL_NUMBERS), lambda order, kind: _floating(kind), has_order=True)
    return table


FUNCTIONS = _table()

OPERATORS = {
    "add": Function((NUMBERS, NUMBERS), _same),
    "sub": Function((NUMBERS, NUMBERS), _same),
    "mul": Function((NUMBERS, NUMBERS), _same),
    "div": Function((NUMBERS, NUMBERS), _floating),
    "pow": Function((NUMBERS, NUMBERS), _floating),
    "neg": Function((NUMBERS,), _same),
    "eq": Function((ANY, ANY), lambda *kinds: "bool"),
    "ne": Function((ANY, ANY), lambda *kinds: "bool"),
    "lt": Function((REAL_NUMBERS, REAL_NUMBERS), lambda *kinds: "bool"),
    "le": Function((REAL_NUMBERS, REAL_NUMBERS), lambda *kinds: "bool"),
    "gt": Function((REAL_NUMBERS, REAL_NUMBERS), lambda *kinds: "bool"),
    "ge": Function((REAL_NUMBERS, REAL_NUMBERS), lambda *kinds: "bool"),
    "and": Function((BOOLEANS, BOOLEANS), lambda *kinds: "bool"),
    "or": Function((BOOLEANS, BOOLEANS), lambda *kinds: "bool"),
    "not": Function((BOOLEANS,), lambda *kinds: "bool"),
}
SIGNS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "pow": "^",
    "neg": "-",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
}

REDUCTIONS = {
    "sum": Function((NUMBERS,), _same),
    "prod": Function((NUMBERS,), _same),
    "mean": Function((NUMBERS,), _floating),
    "max": Function((REAL_NUMBERS,), _same),
    "min": Function((REAL_NUMBERS,), _same),
    "any": Function((BOOLEANS,), _same),
    "all": Function((BOOLEANS,), _same),
}

TRANSFORMS = {
    "fft": Function((NUMBERS,), _complex),
    "ifft": Function((NUMBERS,), _complex),
    "rfft": Function((REAL_NUMBERS,), _complex),
    "irfft": Function((NUMBERS,), _real),
    "dct": Function((REAL_NUMBERS,), _real),
    "idct": Function((REAL_NUMBERS,), _real),
}

DTYPES: dict[str, Kind] = {
    "f64": "real",
    "f32": "real",
    "f16": "real",
    "bf16": "real",
    "float": "real",
    "i64": "int",
    "i32": "int",
    "bool": "bool",
    "c64": "complex",
    "c128": "complex",
    "complex": "complex",
}

KIND_NAMES: dict[Kind, str] = {"bool": "a truth value", "int": "an integer", "real": "a real number", "complex": "a complex value"}


def kinds_text(kinds: frozenset[Kind]) -> str:
    """Some kinds in words; an integer is a real number too."""
    if kinds == ANY:
        return "any value"
    if kinds == NUMBERS:
        return "a number"
    return " or ".join(KIND_NAMES[kind] for kind in ORDER if kind in kinds and not (kind == "int" and "real" in kinds))


def is_exact_power(base: Expr, exponent: Expr) -> bool:
    """Whether a power of an integer is one too: the exponent is a literal, and not negative."""
    return base.kind == "int" and isinstance(exponent, Number) and isinstance(exponent.value, int)

"""Length expressions from their text.

In: the text that `str` gives for a length (`floor(X/2) + 1`, `C*G`). Out: the expression, over `length_symbol`s.

What holds: `parse_length(str(length)) == length` for every expression that sympy's own constructors give. Nothing is evaluated
as Python.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import sympy

from ..lang.checked import Length, length_symbol
from ..lang.lengths import Quotient

_TOKEN = re.compile(r"\s*(?:(?P<number>\d+)|(?P<name>\.\.\.|[A-Za-z_][\w.]*)|(?P<sign>\*\*|[-+*/(),]))")
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "floor": sympy.floor,
    "Quotient": Quotient,
    "ceiling": sympy.ceiling,
    "Max": sympy.Max,
    "Min": sympy.Min,
    "Mod": sympy.Mod,
}


def parse_length(text: str) -> Length:
    """The length that `text` writes. Raises ValueError where it writes none."""
    tokens = []
    place = 0
    while place < len(text.rstrip()):
        match = _TOKEN.match(text, place)
        if match is None:
            raise ValueError(f"expected a length, found {text[place:]!r} in {text!r}")
        tokens.append((str(match.lastgroup), match.group(match.lastgroup or 0)))
        place = match.end()
    parser = _Parser(tokens, text)
    length = parser.sum()
    if parser.tokens:
        raise ValueError(f"expected the end of the length {text!r}, found {parser.tokens[0][1]!r}")
    return length


class _Parser:
    """Recursive descent over sum, product, power and atom, each a method."""

    def __init__(self, tokens: list[tuple[str, str]], text: str) -> None:
        self.tokens = tokens
        self.text = text

    def accept(self, *signs: str) -> str | None:
        if self.tokens and self.tokens[0][0] == "sign" and self.tokens[0][1] in signs:
            return self.tokens.pop(0)[1]
        return None

    def expect(self, sign: str) -> None:
        if self.accept(sign) is None:
            raise ValueError(f"expected {sign!r} in the length {self.text!r}")

    def sum(self) -> Any:
        total = self.product()
        while (sign := self.accept("+", "-")) is not None:
            term = self.product()
            total = total + term if sign == "+" else total - term
        return total

    def product(self) -> Any:
        if self.accept("-") is not None:
            return -self.product()
        result = self.power()
        while (sign := self.accept("*", "/")) is not None:
            factor = self.power()
            result = result * factor if sign == "*" else result / factor
        return result

    def power(self) -> Any:
        base = self.atom()
        return base ** self.power() if self.accept("**") is not None else base

    def atom(self) -> Any:
        if self.accept("(") is not None:
            inner = self.sum()
            self.expect(")")
            return inner
        if self.accept("-") is not None:
            return -self.atom()
        if not self.tokens or self.tokens[0][0] == "sign":
            raise ValueError(f"expected a name or a number in the length {self.text!r}")
        group, token = self.tokens.pop(0)
        if group == "number":
            return sympy.Integer(int(token))
        if token in _FUNCTIONS and self.accept("(") is not None:
            arguments = [self.sum()]
            while self.accept(",") is not None:
                arguments.append(self.sum())
            self.expect(")")
            return _FUNCTIONS[token](*arguments)
        return length_symbol(token)

"""What the tests of the checker share: a layer with inputs of every kind, and short ways to look at what was checked."""

from __future__ import annotations

from pathlib import Path

import pytest
import sympy
from lamina.errors import SpecError
from lamina.lang import checked
from lamina.lang.check import load
from lamina.lang.checked import AffineIndex, CheckedLayer, length_symbol

EXAMPLES = Path(__file__).with_name("examples.lam").read_text(encoding="utf-8")
HEAD = "in x[B, C]  in t[B, L]  in n[B, K]: i64  in z[B, L]: complex  in p[..., G*D]  param w[G, M+1] = 0  param v[L] = 1\n"


def layer_of(statements: str, sizes: str = "(G = 4, M = 2)") -> CheckedLayer:
    """A layer with the inputs of HEAD."""
    return load(f"layer f{sizes} {{ {HEAD} {statements} }}")


def value_of(expression: str, axes: str = "B") -> checked.Expr:
    return layer_of(f"out y[{axes}] = {expression}").outs[0].value


def read(expression: checked.Expr) -> checked.Read:
    assert isinstance(expression, checked.Read)
    return expression


def affine(offset: object = 0, **terms: object) -> AffineIndex:
    return AffineIndex(tuple((axis, sympy.sympify(value)) for axis, value in terms.items()), sympy.sympify(offset))


def codes(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(text)
    return [diagnostic.code for diagnostic in caught.value.diagnostics]


C, D, L, K, X = (length_symbol(name) for name in "CDLKX")


def walk(expression: checked.Expr) -> list[checked.Expr]:
    """An expression and all below it."""
    below: list[checked.Expr] = []
    if isinstance(expression, checked.Apply):
        below = list(expression.arguments)
    elif isinstance(expression, (checked.Reduce, checked.Transform)):
        below = [expression.body]
    return [expression, *(part for child in below for part in walk(child))]

"""Axis lengths from shapes: what is solved, what is checked, what is said when it fails."""

from __future__ import annotations

import pytest
import sympy
from lamina.errors import ArgumentError
from lamina.ir.graph import TensorSpec
from lamina.ir.lengths import evaluate, solve_lengths
from lamina.lang.checked import Axis, length_symbol
from lamina.lang.lengths import at_most, quotient
from sketches import entries

SYMBOLS = {name: length_symbol(name) for name in ("...", "G", "C", "L", "M", "X", "B")}


def solve(axes: dict[str, object], layouts: dict[str, str], shapes: dict[str, tuple[int, ...]], **known: int):
    listed = [Axis(name, SYMBOLS[name] if length is None else sympy.sympify(length)) for name, length in axes.items()]
    specs = [TensorSpec(name, "in", entries(layout), "float") for name, layout in layouts.items()]
    return solve_lengths(specs, listed, shapes, known)


def test_leading_dimensions_and_a_split_axis():
    found = solve({"...": None, "G": 8, "C": None}, {"x": "... G*C", "b": "C"}, {"x": (2, 3, 40), "b": (5,)})
    assert found.leading == (2, 3)
    assert found.values == {"...": 6, "G": 8, "C": 5}
    assert solve({"...": None, "C": None}, {"x": "... C"}, {"x": (4,)}).leading == ()
    assert solve({"C": None}, {"x": "C"}, {"x": (4,)}).leading is None


def test_anonymous_lengths_are_solved():
    m, x = SYMBOLS["M"], SYMBOLS["X"]
    assert solve({"a.0": m + 1}, {"a": "a.0"}, {"a": (6,)}).values == {"a.0": 6, "M": 5}
    assert solve({"a.0": 2 * m}, {"a": "a.0"}, {"a": (6,)}).values["M"] == 3
    assert solve({"a.0": 9 - m}, {"a": "a.0"}, {"a": (6,)}).values["M"] == 3
    assert solve({"a.0": m**2}, {"a": "a.0"}, {"a": (49,)}).values["M"] == 7
    assert solve({"a.0": m * (m + 1)}, {"a": "a.0"}, {"a": (12,)}).values["M"] == 3
    assert solve({"a.0": sympy.floor(3 * m / 2)}, {"a": "a.0"}, {"a": (10,)}).values["M"] == 7
    found = solve({"X": None, "F": sympy.floor(x / 2) + 1}, {"x": "X", "w": "F"}, {"x": (9,), "w": (5,)})
    assert found.values == {"X": 9, "F": 5}


@pytest.mark.parametrize("b", range(4))
@pytest.mark.parametrize("c", range(4))
def test_quotients_of_lengths_are_rounded_down(b: int, c: int):
    """A sum of quotients is what it is at every length, not at the least one alone."""
    period = sympy.Max(1, 2 * SYMBOLS["B"] * SYMBOLS["C"] - 2)
    values = {"B": b, "C": c}
    whole = max(1, 2 * b * c - 2)
    for low in (-3, -2, -1, 0, 5):
        assert evaluate(quotient(low, period), values) == low // whole
        assert evaluate(sympy.expand(period * quotient(low + period, period) + 2), values) == whole * ((low + whole) // whole) + 2
        assert at_most(0, 3 * quotient(low, period) + 5) in (None, 3 * (low // whole) + 5 >= 0)
    assert quotient(SYMBOLS["B"] * SYMBOLS["C"], SYMBOLS["C"]) == SYMBOLS["B"]
    assert quotient(SYMBOLS["B"] + 3, 2) == sympy.floor((SYMBOLS["B"] + 3) / 2)


def test_order_of_tensors_does_not_matter():
    """a cannot be solved before b and c, nor b before c."""
    b, c, length = SYMBOLS["B"], SYMBOLS["C"], SYMBOLS["L"]
    axes = {"B": None, "C": None, "L": None, "u.0": b * c + length, "v.0": c + b}
    found = solve(axes, {"u": "u.0", "v": "v.0", "w": "C"}, {"u": (16,), "v": (5,), "w": (3,)})
    assert (found.values["B"], found.values["C"], found.values["L"]) == (2, 3, 10)


def test_a_rounded_length_is_never_guessed():
    axes = {"F": sympy.floor(SYMBOLS["X"] / 2) + 1}
    with pytest.raises(ArgumentError, match="the length X cannot be told"):
        solve(axes, {"w": "F"}, {"w": (5,)})
    assert solve(axes, {"w": "F"}, {"w": (5,)}, X=8).values["F"] == 5
    with pytest.raises(ArgumentError, match=r"w: dimension 0 must be F = 6 \(X = 10\), found 5"):
        solve(axes, {"w": "F"}, {"w": (5,)}, X=10)


@pytest.mark.parametrize(
    ("axes", "layouts", "shapes", "message"),
    [
        (
            {"B": None, "L": None},
            {"x": "B L"},
            {"x": (2, 3, 4)},
            r"x: expected 2 dimensions \[B, L\], found 3, of shape \(2, 3, 4\)",
        ),
        ({"...": None, "L": None}, {"x": "... L"}, {"x": ()}, r"x: expected at least 1 dimension \[\.\.\., L\], found 0"),
        ({"L": None}, {"x": "L", "y": "L"}, {"x": (3,), "y": (4,)}, r"y: dimension 0 must be L = 3, found 4"),
        ({"G": 8, "C": None}, {"x": "G*C"}, {"x": (12,)}, r"x: dimension 0 must be G\*C, a multiple of 8, found 12"),
        (
            {"G": 8, "C": None},
            {"b": "C", "x": "G*C"},
            {"b": (2,), "x": (12,)},
            r"x: dimension 0 must be G\*C = 16 \(C = 2\), found 12",
        ),
        ({"a.0": SYMBOLS["M"] + 4}, {"a": "a.0"}, {"a": (3,)}, r"a: dimension 0 must be M \+ 4 for some M, found 3"),
        ({"a.0": SYMBOLS["M"] ** 2}, {"a": "a.0"}, {"a": (8,)}, r"a: dimension 0 must be M\*\*2 for some M, found 8"),
        (
            {"...": None},
            {"x": "...", "y": "..."},
            {"x": (2, 3), "y": (6,)},
            r"y: the dimensions of \.\.\. must be \(2, 3\), as in x",
        ),
        ({"L": None, "M": None}, {"x": "L"}, {"x": (2,)}, "the length M cannot be told"),
        ({"a.0": 4}, {"a": "a.0"}, {"a": (3,)}, r"a: dimension 0 must be 4, found 3"),
        ({"K": 0, "C": None}, {"x": "K*C"}, {"x": (3,)}, r"x: dimension 0 must be K\*C = 0, found 3"),
    ],
)
def test_messages(axes, layouts, shapes, message):
    with pytest.raises(ArgumentError, match=message):
        solve(axes, layouts, shapes)


def test_an_empty_factor_leaves_the_other_open():
    found = solve({"B": None, "C": None}, {"x": "B*C", "y": "B", "z": "C"}, {"x": (0,), "y": (0,), "z": (7,)})
    assert found.values == {"B": 0, "C": 7}
    with pytest.raises(ArgumentError, match="the length C cannot be told"):
        solve({"B": None, "C": None}, {"y": "B", "x": "B*C"}, {"x": (0,), "y": (0,)})

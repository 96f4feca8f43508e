"""How shapes of programs' arguments are said."""

from __future__ import annotations

import pytest
from lamina.schedule.program import Argument
from lamina.schedule.shapes import shape_texts


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("n['G'] * n['C']", "G*C"),
        ("n['...']", "..."),
        ("n['h.K'] + 1", "h.K + 1"),
        ("max(48, 0)", "48"),
        ("max((736)*(4 if (736) <= 65536 else 1), 0)", "2944"),
        ("max(threads - 1, 2 * 3)", "max(threads - 1, 6)"),
        ("min(n['...'], max(64, ((524288) // ((1 + 18*n['I'])))))", "min(..., max(64, 524288 // (1 + 18*I)))"),
        ("(3 + 4) * n['C']", "7*C"),
        ("-2 + n['C']", "-2 + C"),
    ],
)
def test_what_needs_no_length_is_worked_out(expression: str, text: str) -> None:
    assert shape_texts(Argument("x", "temporary", "f32", (expression,))) == (text,)

"""Maxima of nothing: refused where somebody would see them, as with torch, and only there."""

from __future__ import annotations

import numpy
import pytest
from lamina.ir.build import build
from lamina.ir.interpret import interpret
from lamina.lang.check import load

UNSEEN = [
    "out y[A, B] = softmax[B](x)",
    "out y[A, B] = log_softmax[B](x)",
    "out y[A, B] = x / max[B](abs(x))",
    "out y[B] = sum[A](softmax[B](x))",
    "out y[A] = sum[B](exp(x - max[B](x)))",
    "out y[A, C] = sum[B](softmax[B](x) * z)",
    "let m = max[B](x)  let t = x - m  out y[A, B] = t",
    "let p[A, B] = softmax[B](x)  out y[A] = sum[B](p[A, B] * x)",
    "out y[A, B] = scan[B](s = max[B](x) : s / 2 + x)",
]
SEEN = [
    "out y[A] = max[B](x)",
    "out y[A] = logsumexp[B](x)",
    "out y[A, C] = sum[B](z) + min[B](x)",
    "let m = max[B](x)  out y[A, B] = x - m  out w[A] = m",
    "out y[A] = sum[B](x * max[B](x))",
    "out y[A] = sum[B](select(x > 0, x - max[B](x), 0))",
    "out y[A, B] = x  out v[A] = max[i in 1..B+1](i * x[A, i - 1])",
]


def requirements(body: str) -> list[str]:
    return [each.text for each in load(f"layer f {{ in x[A, B]  in z[B, C]  {body} }}").requirements]


@pytest.mark.parametrize("body", UNSEEN)
def test_an_extremum_that_nobody_sees_needs_no_element(body: str) -> None:
    text = f"layer f {{ in x[A, B]  in z[B, C]  {body} }}"
    assert requirements(body) == []
    found = interpret(build(load(text)), {"x": numpy.zeros((3, 0)), "z": numpy.zeros((0, 4))})
    assert all(numpy.array_equal(value, numpy.zeros(value.shape)) for value in found.values())


@pytest.mark.parametrize("body", SEEN)
def test_an_extremum_that_is_seen_needs_an_element(body: str) -> None:
    assert "1 <= B" in requirements(body)


def test_a_range_known_to_be_empty_has_no_maximum() -> None:
    assert [each.text for each in load("layer f { in x[A]  out y[A] = max[i < 0](i * x) }").requirements] == ["1 <= 0"]


def test_the_axis_is_named_as_in_the_layer() -> None:
    layer = load("layer f { in x[A, B]  out y[A] = logsumexp[B](x) }")
    assert {each.message for each in layer.requirements} == {"the max over `B` needs an element"}

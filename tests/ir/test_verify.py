"""The verifier: each rule, broken one at a time in a graph that is otherwise legal."""

from __future__ import annotations

import re

import pytest
from lamina.ir.text import parse
from lamina.ir.verify import VerificationError, verify

TEXT = """graph legal layer
axis L = L
axis C = C
axis K = 3
in x[L, C] : float
in t[L] : i64
in w[K] : float
%0 = input(name="x") : real[]
%1 = read(%0, boundary=none, indices=({L}, {C})) : real[L, C]
%2 = input(name="t") : int[]
%3 = read(%2, boundary=none, indices=({L},)) : int[L]
%4 = read(%0, %3, boundary="zero", indices=(@1, {C})) : real[L, C]
%5 = mul(%1, %4) : real[L, C]
%6 = reduce(%5, operation="sum", over=("C",)) : real[L]
%7 = const(value=0.0) : real[]
%8 = carried(axes=("C",), kind="real", name="h") : real[C]
%9 = add(%8, %5) : real[L, C]
%10 = scan(%7, %9, axis="L", names=("h",), result=0, reverse=false) : real[L, C]
%11 = view(%10, entries=(<L>, <C>,)) : real[L, C]
%12 = read(%11, boundary="zero", indices=({L + -1}, {C})) : real[L, C]
out y[L] : float = %6
out z[L, C] : float = %12
"""


def test_a_legal_graph():
    verify(parse(TEXT))


BROKEN = [
    ("axis K = 3", "axis L = 3", None, "axis L is there twice"),
    ("in w[K]", "in x[K]", None, "input x is there twice"),
    ("out z[", "out y[", None, "output y is there twice"),
    ("in w[K]", "in w[N]", None, "in w has the axis N, which the graph has not"),
    ("in w[K]", "in w[K, K]", None, "in w has an axis twice"),
    ("= mul(%1, %4)", "= mul(%1, %9)", 5, "operand %9 does not come before it"),
    ("= mul(%1, %4)", "= mull(%1, %4)", 5, "there is no such op"),
    ("= mul(%1, %4)", "= mul(%1, %0)", 5, "mul cannot take a stored tensor"),
    ("= mul(%1, %4)", "= mul(%1)", 5, "mul takes 2 operands, not 1"),
    ("mul(%1, %4) : real[L, C]", "mul(%1, %4) : complex[L, C]", 5, "its op gives real['L', 'C'], but it is complex['L', 'C']"),
    ("mul(%1, %4) : real[L, C]", "mul(%1, %4) : real[C, L]", 5, "but it is real['C', 'L']"),
    ('operation="sum"', 'operation="mean"', 6, "the attribute operation cannot be 'mean'"),
    (
        'operation="sum", over=("C",)',
        'over=("C",)',
        6,
        "expected the attributes ['operation', 'over'], in this order, found ['over']",
    ),
    ('over=("C",)', 'over=("K",)', 6, "reduction over ['K'], which the value does not have"),
    ("indices=({L},)) : int", "indices=({L}, {L})) : int", 3, "expected 1 indices, one a stored dimension, found 2"),
    ("indices=(@1, {C})", "indices=(@2, {C})", 4, "tuple index out of range"),
    ("indices=(@1, {C})", "indices=({L}, {C})", 4, "gathered indices use the operands [], expected each of 1..1 once"),
    ("read(%0, %3,", "read(%0, %1,", 4, "the gathered index %1 is not an integer"),
    ('boundary="zero", indices=(@1', 'boundary="mirror", indices=(@1', 4, "the attribute boundary cannot be 'mirror'"),
    ("read(%11,", "read(%10,", 12, "only an input or a view can be read"),
    ("entries=(<L>, <C>,)", "entries=(<L>,)", 11, "view entries ['L'] do not cover the axes"),
    ("read(%11, boundary", "read(boundary", 12, "index out of range"),
    ("scan(%7, %9", "scan(%6, %9", 10, "its initial value varies along L"),
    ("scan(%7, %9", "scan(%7", 10, "expected 2 operands, found 1"),
    ('names=("h",), result=0', 'names=("h",), result=1', 10, "there is no running value number 1"),
    ('names=("h",), result=0', 'names=("h", "g",), result=0', 10, "expected 4 operands, found 2"),
    ('names=("h",), result=0', "names=(), result=0", 10, "the attribute names cannot be ()"),
    (
        'carried(axes=("C",), kind="real", name="h") : real[C]',
        'carried(axes=(), kind="real", name="h") : real[]',
        10,
        "its running value",
    ),
    ("z[L, C] : float = %12", "z[L, C] : float = %9", 9, "output z depends on the running value h outside its scan"),
    ("z[L, C] : float = %12", "z[L, C] : float = %19", None, "output z is node %19, which is not there"),
    ("z[L, C] : float = %12", "z[L, C] : float = %11", 11, "output z must be a value, not a stored tensor"),
    ("z[L, C] : float = %12", "z[L] : float = %12", 12, "but its value also varies over ['C']"),
    ("z[L, C] : float = %12", "z[L, C] : i64 = %12", 12, "output z of dtype i64 cannot hold a real value"),
]


@pytest.mark.parametrize(("old", "new", "node", "reason"), BROKEN)
def test_each_rule(old: str, new: str, node: int | None, reason: str):
    assert TEXT.count(old) == 1
    graph = parse(TEXT.replace(old, new))
    with pytest.raises(VerificationError, match=re.escape(reason)) as caught:
        verify(graph)
    assert caught.value.node == node


def test_a_step_cannot_look_along_its_scan():
    reduced = TEXT.replace("%10 = scan(%7, %9,", "%10 = scan(%7, %9,").replace(
        "%9 = add(%8, %5) : real[L, C]\n%10 = scan(%7, %9,",
        '%9 = add(%8, %5) : real[L, C]\n%10 = reduce(%9, operation="max", over=("L",)) : real[C]\n%11 = scan(%7, %10,',
    )
    reduced = reduced.replace("%12 = read(%11", "%13 = read(%12").replace("%11 = view(%10", "%12 = view(%11")
    with pytest.raises(VerificationError, match="%10 = reduce inside it looks along its axis L"):
        verify(parse(reduced.replace("= %12", "= %13")))


def test_levels_keep_the_rules_of_those_before():
    whole = TEXT.replace('boundary="zero", indices=({L + -1}, {C})', "boundary=none, indices=({L}, {C})")
    verify(parse(whole))
    for level in ("math", "region"):
        with pytest.raises(VerificationError, match=f"level {level}, %12 = read: a view read whole stands for the value itself"):
            verify(parse(whole.replace("graph legal layer", f"graph legal {level}")))

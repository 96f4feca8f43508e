"""Graphs as text and back, their fingerprints and pictures."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import subprocess
import sys

import pytest
import sympy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lamina.ir.dot import to_dot
from lamina.ir.fingerprint import fingerprint
from lamina.ir.graph import Graph
from lamina.ir.length_text import parse_length
from lamina.ir.text import parse, to_text
from lamina.ir.verify import verify
from lamina.lang.checked import length_symbol
from lamina.lang.lengths import quotient
from random_graphs import graphs
from sketches import Const, Sketch, index

BRIEF = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


@BRIEF
@given(graphs())
def test_round_trip(graph: Graph):
    verify(graph)
    text = to_text(graph)
    found = parse(text)
    assert found == graph
    assert [(node.name, node.span) for node in found.nodes] == [(node.name, node.span) for node in graph.nodes]
    assert to_text(found) == text
    assert [type(value) for node in found.nodes for _, value in node.attributes] == [
        type(value) for node in graph.nodes for _, value in node.attributes
    ]
    verify(found)


@BRIEF
@given(graphs())
def test_fingerprint_is_of_what_is_computed(graph: Graph):
    bare = dataclasses.replace(graph, nodes=tuple(dataclasses.replace(node, name=None, span=None) for node in graph.nodes))
    assert fingerprint(graph) == fingerprint(bare) == fingerprint(parse(to_text(graph)))
    other = dataclasses.replace(graph, inputs=graph.inputs[:-1])
    assert fingerprint(other) != fingerprint(graph)


LENGTHS = st.recursive(
    st.integers(-9, 9).map(sympy.Integer) | st.sampled_from(["L", "...", "a.1", "floor"]).map(length_symbol),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: pair[0] + pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] * pair[1]),
        st.tuples(inner, st.integers(1, 9)).map(lambda pair: sympy.floor(pair[0] / pair[1])),
        st.tuples(inner, st.integers(1, 9)).map(lambda pair: sympy.Mod(pair[0], pair[1])),
        st.tuples(inner, inner).map(lambda pair: sympy.Max(*pair)),
        st.tuples(inner, inner).map(lambda pair: quotient(pair[0], sympy.Max(1, pair[1]))),
    ),
    max_leaves=6,
)


@BRIEF
@given(LENGTHS)
def test_lengths_round_trip(length: sympy.Expr):
    assert parse_length(str(length)) == length


@pytest.mark.parametrize("text", ["", "L +", "(L", "L)", "L L", "__import__('os')", "L.__class__()", "floor(L", "2 $ 3"])
def test_what_is_no_length_is_refused(text: str):
    with pytest.raises(ValueError, match="length"):
        parse_length(text)


def example() -> Graph:
    s = Sketch({"...": None, "C": None, "K": 3}, {"x": "... C", "w": "K"}, "example")
    shifted = s.read("x", index(**{"...": 1}), index(-1, C=1, K=1), boundary="zero")
    product = s("mul", s.whole("w"), shifted)
    s.builder.label(product, "p")
    return s.out("y", "... C", s("add", s.sum(product, "K"), Const(0.1))).graph()


TEXT = """graph example layer
axis ... = ...
axis C = C
axis K = 3
in x[..., C] : float
in w[K] : float
%0 = input(name="w") : real[]
%1 = read(%0, boundary=none, indices=({K},)) : real[K]
%2 = input(name="x") : real[]
%3 = read(%2, boundary="zero", indices=({...}, {C + K + -1})) : real[..., C, K]
%4 = mul(%1, %3) : real[..., C, K]  # p
%5 = reduce(%4, operation="sum", over=("K",)) : real[..., C]
%6 = const(value=0.1) : real[]
%7 = add(%5, %6) : real[..., C]
out y[..., C] : float = %7
"""


def test_the_text_is_readable():
    lines = to_text(example()).splitlines()
    inputs = [line for line in TEXT.splitlines() if not line.startswith("%")]
    assert [line for line in lines if not line.startswith("%")] == inputs
    assert parse(TEXT).nodes[4].name == "p"
    verify(parse(TEXT))
    assert to_text(parse(TEXT)) == TEXT


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("graph example layer", "graph example deep", "line 1: expected 'graph NAME LEVEL'"),
        ("%4 = mul(%1, %3)", "%5 = mul(%1, %3)", "line 11: expected '%4 = "),
        ("mul(%1, %3)", "mul(%1, %)", "line 11: expected a node's number"),
        ("mul(%1, %3)", "mul(%1, what)", "line 11: expected an operand or an attribute"),
        ('operation="sum"', "operation=sum", "line 12: expected a value"),
        ("{C + K + -1}", "{C - 1}", "line 10: expected ' \\+ ' in an index"),
        ("real[K]", "float[K]", "line 8: expected ' : KIND\\[AXES\\]'"),
        ("axis C = C", "axis C", "line 3: expected an axis, a tensor or a node"),
    ],
)
def test_broken_text_is_refused_by_line(old: str, new: str, reason: str):
    assert TEXT.count(old) == 1
    with pytest.raises(ValueError, match=reason):
        parse(TEXT.replace(old, new))


def test_dot_has_every_node_and_operand():
    graph = example()
    text = to_dot(graph)
    assert text.startswith('digraph "example" {') and text.endswith("}\n")
    assert text.count(" -> ") == sum(len(node.operands) for node in graph.nodes) + len(graph.outputs)
    assert text.count("[label=") == len(graph.nodes) + len(graph.outputs)


SCRIPT = """
import pathlib
import sys
sys.path.insert(0, sys.argv[1])
from test_text import example
from lamina.ir.dot import to_dot
from lamina.ir.fingerprint import fingerprint
from lamina.ir.text import to_text
from lamina.ir.build import build
from lamina.lang.check import load
graph = example()
print(to_text(graph), to_dot(graph), fingerprint(graph))
for path in sorted(pathlib.Path(sys.argv[2]).glob("*.lam")):
    print(to_text(build(load(path))))
"""


def test_the_same_text_under_any_hash_seed():
    """One process a seed: sets and dicts of strings are ordered by it."""
    directory = pathlib.Path(__file__).parent
    arguments = [sys.executable, "-c", SCRIPT, str(directory), str(directory.parents[1] / "ops")]
    runs = [
        subprocess.Popen(arguments, env={**os.environ, "PYTHONHASHSEED": seed}, stdout=subprocess.PIPE, text=True)
        for seed in ("1", "2")
    ]
    first, second = (run.communicate(timeout=60)[0] for run in runs)
    assert "graph example layer" in first and "graph group_rational layer" in first and first == second


def test_zeros_of_either_sign_are_kept_apart():
    s = Sketch({}, {})
    s.out("y", "", s("div", Const(1.0), Const(0.0))).out("z", "", s("div", Const(1.0), Const(-0.0)))
    found = s.run()
    assert (found["y"], found["z"]) == (float("inf"), -float("inf"))
    assert "value=-0.0" in to_text(s.graph())

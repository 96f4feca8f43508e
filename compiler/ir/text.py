"""Graphs as text, and back.

In: a graph. Out: its text, one line an axis, input, node and output; and from such a text the graph.

    graph group_rational layer
    axis G = 8
    in x[..., G*C] : float
    %0 = input(name="x") : real[]
    %1 = read(%0, boundary=none, indices=({...}, {`C`*G + C})) : real[..., G, C]
    out y[..., G*C] : float = %1

An attribute is none, true, false, an integer, a float, a "string", a `length`, an index {2*P + 1}, a gathered index @1, an entry
<G*C>, or a tuple (a, b,) of these. Behind `  #` stand the author's name and place, which are no part of what is computed.

What holds: `parse(to_text(graph)) == graph`, names and spans included; equal graphs have equal texts on every run.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, get_args

import sympy

from ..lang.checked import Axis, Entry, Kind
from ..spans import Span
from .graph import LEVELS, Affine, GatherSlot, Graph, Node, Output, TensorSpec
from .length_text import parse_length


def to_text(graph: Graph, provenance: bool = True) -> str:
    """The graph as text; without `provenance`, without the names and places of nodes."""
    lines = [f"graph {graph.name} {graph.level}"]
    lines += [f"axis {axis.name} = {axis.length}" for axis in graph.axes]
    lines += [_spec_text(spec) for spec in graph.inputs]
    lines += [_node_text(number, node, provenance) for number, node in enumerate(graph.nodes)]
    lines += [f"{_spec_text(output.spec)} = %{output.node}" for output in graph.outputs]
    return "\n".join(lines) + "\n"


def _spec_text(spec: TensorSpec) -> str:
    return f"{spec.role} {spec.name}[{', '.join('*'.join(entry.axes) for entry in spec.entries)}] : {spec.dtype}"


def _node_text(number: int, node: Node, provenance: bool) -> str:
    arguments = [f"%{operand}" for operand in node.operands]
    arguments += [f"{name}={value_text(value)}" for name, value in node.attributes]
    text = f"%{number} = {node.op}({', '.join(arguments)}) : {node.kind}[{', '.join(node.axes)}]"
    if not provenance or (node.name is None and node.span is None):
        return text
    span = node.span
    place = "" if span is None else f"@ {json.dumps(span.file)}:{span.line}:{span.column}-{span.end_line}:{span.end_column}"
    return "  # ".join([text, " ".join(part for part in (node.name, place) if part)])


def value_text(value: Any) -> str:
    """An attribute's value as text."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return repr(float(value))
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, sympy.Basic):
        return f"`{value}`"
    if isinstance(value, Affine):
        return _affine_text(value)
    if isinstance(value, GatherSlot):
        return f"@{value.operand}"
    if isinstance(value, Entry):
        return f"<{'*'.join(value.axes)}>"
    if isinstance(value, tuple):
        return f"({', '.join(value_text(each) for each in value)}{',' if len(value) == 1 else ''})"
    raise TypeError(f"no text for an attribute of type {type(value).__name__}")


def _affine_text(index: Affine) -> str:
    def number(length: Any) -> str:
        return str(length) if length.is_Integer else f"`{length}`"

    terms = [axis if coefficient == 1 else f"{number(coefficient)}*{axis}" for axis, coefficient in index.terms]
    if index.offset != 0 or not terms:
        terms.append(number(index.offset))
    return "{" + " + ".join(terms) + "}"


# ------------------------------------------------------------------------------------------------ parsing

_NAME = r"(?:\.\.\.|[A-Za-z_][\w.]*)"
_GRAPH = re.compile(rf"graph (\S+) ({'|'.join(LEVELS)})")
_AXIS = re.compile(rf"axis ({_NAME}) = (.+)")
_SPEC = re.compile(r"(\w+) (\S+)\[(.*)\] : (\w+)(?: = %(\d+))?")
_NODE = re.compile(r"%(\d+) = (\w+)\(")
_TYPE = re.compile(r" : (\w+)\[([^\]]*)\](?:  # (.*))?")
_PLACE = re.compile(r'(.*?) ?@ ("(?:[^"\\]|\\.)*"):(\d+):(\d+)-(\d+):(\d+)')
_TERM = re.compile(rf"(?:(?:(-?\d+)|`([^`]*)`)\*)?({_NAME})|(-?\d+)|`([^`]*)`")
_FLOAT = re.compile(r"-?(?:\d+\.\d*(?:e[-+]?\d+)?|\d+e[-+]?\d+|inf|nan)")
_INTEGER = re.compile(r"-?\d+")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_WORDS = {"none": None, "true": True, "false": False}


def parse(text: str) -> Graph:
    """The graph that `text` writes. Raises ValueError, with the line's number, where it writes none."""
    lines = text.splitlines()
    header = _GRAPH.fullmatch(lines[0]) if lines else None
    if header is None:
        raise ValueError(f"line 1: expected 'graph NAME LEVEL' with a level of {LEVELS}")
    axes: list[Axis] = []
    inputs: list[TensorSpec] = []
    nodes: list[Node] = []
    outputs: list[Output] = []
    for line_number, line in enumerate(lines[1:], start=2):
        try:
            if (axis := _AXIS.fullmatch(line)) is not None:
                axes.append(Axis(axis[1], parse_length(axis[2])))
            elif line.startswith("%"):
                nodes.append(_parse_node(line, len(nodes)))
            elif (spec := _SPEC.fullmatch(line)) is not None:
                tensor = TensorSpec(spec[2], spec[1], _parse_entries(spec[3]), spec[4])
                if spec[5] is None:
                    inputs.append(tensor)
                else:
                    outputs.append(Output(tensor, int(spec[5])))
            elif line.strip():
                raise ValueError(f"expected an axis, a tensor or a node, found {line!r}")
        except ValueError as error:
            raise ValueError(f"line {line_number}: {error}") from None
    return Graph(header[1], tuple(axes), tuple(inputs), tuple(nodes), tuple(outputs), header[2])


def _parse_entries(text: str) -> tuple[Entry, ...]:
    return tuple(Entry(tuple(entry.split("*"))) for entry in text.split(", ")) if text else ()


def _parse_node(line: str, expected: int) -> Node:
    start = _NODE.match(line)
    if start is None or int(start[1]) != expected:
        raise ValueError(f"expected '%{expected} = op(...)', found {line!r}")
    place = start.end()
    operands: list[int] = []
    attributes: list[tuple[str, Any]] = []
    while line[place : place + 1] != ")":
        if line.startswith(", ", place):
            place += 2
        if line[place : place + 1] == "%":
            number = _INTEGER.match(line, place + 1)
            if number is None:
                raise ValueError("expected a node's number behind %")
            operands.append(int(number[0]))
            place = number.end()
            continue
        name, equals, _ = line[place:].partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"expected an operand or an attribute, found {line[place:]!r}")
        value, place = _parse_value(line, place + len(name) + 1)
        attributes.append((name, value))
    end = _TYPE.fullmatch(line, place + 1)
    if end is None or end[1] not in get_args(Kind):
        raise ValueError(f"expected ' : KIND[AXES]', found {line[place + 1 :]!r}")
    axes = tuple(end[2].split(", ")) if end[2] else ()
    author, span = _parse_provenance(end[3] or "")
    return Node(start[2], tuple(operands), tuple(attributes), end[1], axes, author, span)  # type: ignore[arg-type]


def _parse_provenance(text: str) -> tuple[str | None, Span | None]:
    place = _PLACE.fullmatch(text)
    if place is None:
        return text or None, None
    line, column, end_line, end_column = (int(place[group]) for group in (3, 4, 5, 6))
    return place[1] or None, Span(json.loads(place[2]), line, column, end_line, end_column)


def _parse_value(line: str, place: int) -> tuple[Any, int]:
    """The value that starts at `place`, and the place behind it."""
    start = line[place : place + 1]
    if start == "(":
        values = []
        place += 1
        while line[place : place + 1] != ")":
            value, place = _parse_value(line, place)
            values.append(value)
            if line.startswith(", ", place):
                place += 2
            elif line.startswith(",", place):
                place += 1
        return tuple(values), place + 1
    closing = {"`": "`", "{": "}", "<": ">"}.get(start)
    if closing is not None:
        end = line.index(closing, place + 1)
        inner = line[place + 1 : end]
        if start == "`":
            return parse_length(inner), end + 1
        return (_parse_affine(inner) if start == "{" else Entry(tuple(inner.split("*")))), end + 1
    if start == "@" and (number := _INTEGER.match(line, place + 1)) is not None:
        return GatherSlot(int(number[0])), number.end()
    for word, value in _WORDS.items():
        if line.startswith(word, place):
            return value, place + len(word)
    if (string := _STRING.match(line, place)) is not None:
        return json.loads(string[0]), string.end()
    if (real := _FLOAT.match(line, place)) is not None:
        return (math.nan if real[0] == "nan" else float(real[0])), real.end()
    if (integer := _INTEGER.match(line, place)) is not None:
        return int(integer[0]), integer.end()
    raise ValueError(f"expected a value, found {line[place:]!r}")


def _parse_affine(text: str) -> Affine:
    terms = []
    offset: Any = sympy.Integer(0)
    place = 0
    while place < len(text):
        term = _TERM.match(text, place)
        if term is None:
            raise ValueError(f"expected a term of an index, found {text[place:]!r}")
        if term[3] is not None:
            length = term[1] or term[2]
            terms.append((term[3], parse_length(length) if length is not None else sympy.Integer(1)))
        else:
            offset = parse_length(term[4] or term[5])
        place = term.end()
        if place < len(text):
            if not text.startswith(" + ", place):
                raise ValueError(f"expected ' + ' in an index, found {text[place:]!r}")
            place += 3
    return Affine(tuple(terms), offset)

"""From lark's reductions to the syntax tree.

In: the children of each grammar rule, as lark reduces it. Out: the nodes of `syntax.py`.
Holds: what the grammar leaves open (`max[C](x)` reduces, `softmax[C](x)` calls, `a[G, i]` reads) is settled here by the shape of
the text alone; no name is looked up.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Protocol, Union

from lark import Token, v_args
from lark.visitors import Transformer_NonRecursive

from ..spans import Span
from . import syntax
from .diagnostics import Reporter

REDUCTIONS = ("sum", "prod", "max", "min", "mean", "any", "all")
BOUNDARIES = ("zero", "wrap", "clamp", "reflect")
OPERATORS = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "div",
    "^": "pow",
    "==": "eq",
    "!=": "ne",
    "<": "lt",
    "<=": "le",
    ">": "gt",
    ">=": "ge",
    "and": "and",
    "or": "or",
}
LARGEST_INTEGER = 2**63 - 1


@dataclass(frozen=True)
class _Group(syntax.Node):
    """A bracketed list on its way up, with its closing bracket as the end of its span."""

    items: tuple[Any, ...]


class _Spanned(Protocol):
    @property
    def span(self) -> Span: ...


_Piece = Union[Token, _Spanned]


@v_args(inline=True)
class TreeBuilder(Transformer_NonRecursive):
    """Makes nodes. Malformed constructs go to the reporter, and a stand-in takes their place."""

    def __init__(self, file: str, text: str, reporter: Reporter) -> None:
        super().__init__()
        self._file_name = file
        self._text = text
        self._lines = text.split("\n")
        self._reporter = reporter

    # ------------------------------------------------------------------------------------------ places

    def _span(self, first: _Piece, last: _Piece | None = None) -> Span:
        last = first if last is None else last
        start = first if isinstance(first, Token) else first.span
        end = (last.end_line or 1, last.end_column or 1) if isinstance(last, Token) else (last.span.end_line, last.span.end_column)
        line = start.line or 1
        text = self._lines[line - 1].strip() if line <= len(self._lines) else ""
        return Span(self._file_name, line, start.column or 1, *end, text)

    def _name(self, token: Token) -> syntax.Name:
        return syntax.Name(self._span(token), str(token))

    def _axis(self, token: Token) -> syntax.AxisName:
        return syntax.AxisName(self._span(token), str(token))

    # ------------------------------------------------------------------------------------------ expressions

    def number(self, token: Token) -> syntax.Number:
        span = self._span(token)
        value: int | float
        if token.isdigit() and len(token) <= 40:
            value = int(token)
            if value > LARGEST_INTEGER:
                self._reporter.error(
                    "LAM003", "integer too large", span, "at most 2^63 - 1", hint=f"write it as a real number: `{float(value)!r}`"
                )
                value = 0
        else:
            value = float(token)
            if value == float("inf"):
                shown = str(token) if len(token) <= 40 else f"a number of {len(token)} characters"
                self._reporter.error("LAM003", "number too large", span, "at most 1.797e308, the largest 64-bit number", shown)
                value = 0.0
        return syntax.Number(span, value)

    def name(self, token: Token) -> syntax.Name:
        return self._name(token)

    def axis_name(self, token: Token) -> syntax.AxisName:
        return self._axis(token)

    def ellipsis(self, token: Token) -> syntax.Ellipsis:
        return syntax.Ellipsis(self._span(token))

    def parenthesized(self, opening: Token, inner: syntax.Expression, closing: Token) -> syntax.Expression:
        return dataclasses.replace(inner, span=self._span(opening, closing))

    def binary(self, left: syntax.Expression, operator: Token, right: syntax.Expression) -> syntax.Binary:
        return syntax.Binary(self._span(left, right), OPERATORS[operator], left, right)

    def unary(self, operator: Token, operand: syntax.Expression) -> syntax.Unary:
        return syntax.Unary(self._span(operator, operand), "neg" if operator == "-" else "not", operand)

    def brackets(self, opening: Token, *items: Any) -> _Group:
        return _Group(self._span(opening, items[-1]), items[:-1])

    def range(self, name: Token, word: Token, low: syntax.Expression, high: syntax.Expression) -> syntax.Range:
        return syntax.Range(self._span(name, high), str(name), low, high)

    def arguments(self, *items: Any) -> _Group:
        return _Group(self._span(items[0], items[-1]), items[:-1])

    def size_argument(self, name: Token, value: syntax.Expression) -> syntax.SizeArgument:
        return syntax.SizeArgument(self._span(name, value), str(name), value)

    def bracketed(self, name: Token, brackets: _Group) -> syntax.Read:
        return self._read(self._span(name, brackets), self._name(name), None, brackets)

    def boundary_read(self, name: Token, arguments: _Group, brackets: _Group) -> syntax.Read:
        span = self._span(name, brackets)
        source = arguments.items[0]
        if str(name) not in BOUNDARIES or len(arguments.items) != 1 or not isinstance(source, syntax.Name):
            self._reporter.error(
                "LAM002",
                "only a tensor can be indexed",
                span,
                "NAME[...], or zero(NAME)[...], wrap(NAME)[...], clamp(NAME)[...], reflect(NAME)[...]",
                hint="give the value a name with `let`, its axes in brackets after it, and index that",
            )
            return self._read(span, self._name(name), None, brackets)
        return self._read(span, source, str(name), brackets)

    def _read(self, span: Span, source: syntax.Name, boundary: Any, brackets: _Group) -> syntax.Read:
        indices = []
        for item in brackets.items:
            if isinstance(item, syntax.Range):
                self._reporter.error(
                    "LAM002",
                    "a tensor cannot be read at a range",
                    item.span,
                    "one index",
                    hint="reduce over the range: sum[...](...)",
                )
                item = syntax.Number(item.span, 0)
            indices.append(item)
        return syntax.Read(span, source, boundary, tuple(indices))

    def call(self, name: Token, arguments: _Group) -> syntax.Expression:
        return self._call(name, None, arguments)

    def bracketed_call(self, name: Token, brackets: _Group, arguments: _Group) -> syntax.Expression:
        if str(name) in REDUCTIONS:
            return self._reduction(name, brackets, arguments)
        return self._call(name, brackets, arguments)

    def _call(self, name: Token, brackets: _Group | None, arguments: _Group) -> syntax.Expression:
        span = self._span(name, arguments)
        if str(name) in ("len", "index"):
            if brackets is None and len(arguments.items) == 1 and isinstance(arguments.items[0], syntax.AxisName):
                return syntax.AxisFunction(span, "len" if name == "len" else "index", arguments.items[0])
            self._reporter.error("LAM002", f"`{name}` takes the name of one axis", span, f"{name}(AXIS)")
            return syntax.Number(span, 0)
        axes = []
        for item in brackets.items if brackets is not None else ():
            if isinstance(item, syntax.AxisName):
                axes.append(item)
            else:
                self._reporter.error(
                    "LAM002", f"`{name}[...](...)` takes the names of axes in its brackets", item.span, "an upper-case axis name"
                )
        values, sizes = [], []
        for argument in arguments.items:
            if isinstance(argument, syntax.SizeArgument):
                sizes.append(argument)
            else:
                if sizes:
                    self._reporter.error("LAM002", "an argument after a size", argument.span, hint="give the sizes last")
                values.append(argument)
        return syntax.Call(span, self._name(name), tuple(axes), tuple(values), tuple(sizes))

    def _reduction(self, name: Token, brackets: _Group, arguments: _Group) -> syntax.Expression:
        span = self._span(name, arguments)
        over: list[syntax.AxisName | syntax.Range] = []
        for item in brackets.items:
            if isinstance(item, (syntax.AxisName, syntax.Range)):
                over.append(item)
            elif isinstance(item, syntax.Binary) and item.operator == "lt" and isinstance(item.left, syntax.Name):
                over.append(syntax.Range(item.span, item.left.name, None, item.right))
            else:
                self._reporter.error(
                    "LAM002",
                    f"`{name}` cannot run over this",
                    item.span,
                    "an axis, `k < K` or `k in a..b`",
                    hint="ranges are half open: write `k < K + 1` for `k <= K`"
                    if isinstance(item, syntax.Binary) and item.operator == "le"
                    else None,
                )
        if len(arguments.items) != 1 or isinstance(arguments.items[0], syntax.SizeArgument):
            self._reporter.error("LAM501", f"`{name}[...]` takes one argument", span, "1 argument", str(len(arguments.items)))
        body = arguments.items[0]
        return syntax.Reduction(span, str(name), tuple(over), body.value if isinstance(body, syntax.SizeArgument) else body)

    def axis_transform(self, function: Token, source: Token, target: Token, *rest: Any) -> syntax.Transform:
        n = None
        if len(rest) == 4:
            if rest[0] != "n":
                self._reporter.error("LAM001", f"unexpected `{rest[0]}`", self._span(rest[0]), "`n = ...`", f"`{rest[0]}`")
            n = rest[1]
        return syntax.Transform(self._span(function, rest[-1]), str(function), self._axis(source), self._axis(target), n, rest[-2])

    def binding(self, name: Token, initial: syntax.Expression) -> syntax.Binding:
        return syntax.Binding(self._span(name, initial), str(name), initial)

    def bindings(self, *bindings: syntax.Binding) -> tuple[syntax.Binding, ...]:
        return bindings

    def bodies(self, *bodies: syntax.Expression) -> tuple[syntax.Expression, ...]:
        return bodies

    def scan(
        self, word: Token, axis: Token, name: Token, initial: syntax.Expression, body: syntax.Expression, closing: Token
    ) -> syntax.Scan:
        return syntax.Scan(self._span(word, closing), self._axis(axis), self.binding(name, initial), body)

    def iterate(
        self,
        word: Token,
        count: syntax.Expression,
        bindings: tuple[syntax.Binding, ...],
        bodies: tuple[syntax.Expression, ...],
        closing: Token,
    ) -> syntax.Iterate:
        span = self._span(word, closing)
        if len(bindings) != len(bodies):
            self._reporter.error(
                "LAM501",
                "iterate needs one new value for each name",
                span,
                f"{len(bindings)} after the colon, one for each of {', '.join(f'`{b.name}`' for b in bindings)}",
                str(len(bodies)),
            )
        return syntax.Iterate(span, count, bindings, bodies)

    # ------------------------------------------------------------------------------------------ statements

    def axes(self, *entries: Any) -> tuple[Any, ...]:
        return entries

    def dtype(self, name: Token) -> syntax.Dtype:
        return syntax.Dtype(self._span(name), str(name))

    def initial(self, value: Any) -> Any:
        return value

    def signed_number(self, *tokens: Token) -> float:
        value = float(self.number(tokens[-1]).value)
        return -value if len(tokens) == 2 else value

    def number_list(self, opening: Token, *items: Any) -> syntax.NumberList:
        return syntax.NumberList(self._span(opening, items[-1]), tuple(items[:-1]))

    def _declaration(self, word: Token, name: Token, entries: tuple[Any, ...], *rest: Any) -> syntax.Declaration:
        dtype = next((item for item in rest if isinstance(item, syntax.Dtype)), None)
        init = next((item for item in rest if not isinstance(item, syntax.Dtype)), None)
        last = rest[-1] if rest else entries[-1] if entries else name
        role: Any = str(word)
        return syntax.Declaration(self._span(word, last), role, self._name(name), entries, dtype, init)

    def input(self, *children: Any) -> syntax.Declaration:
        return self._declaration(*children)

    def param(self, *children: Any) -> syntax.Declaration:
        return self._declaration(*children)

    def buffer(self, *children: Any) -> syntax.Declaration:
        return self._declaration(*children)

    def axis(self, word: Token, name: Token, length: syntax.Expression) -> syntax.AxisStatement:
        return syntax.AxisStatement(self._span(word, length), self._axis(name), length)

    def require(self, word: Token, condition: syntax.Expression, message: Token | None = None) -> syntax.Require:
        text = self._reporter.excerpt(condition.span)
        said = None if message is None else str(message)[1:-1]
        return syntax.Require(self._span(word, condition if message is None else message), condition, said, text)

    def accuracy_names(self, *names: Token) -> tuple[syntax.Name, ...]:
        return tuple(self._name(name) for name in names)

    def bound(self, first: Token, second: Token) -> syntax.Accuracy:
        span = self._span(first, second)
        unit, number = (second, first) if first.type == "NUMBER" else (first, second)
        if str(unit) not in (("ulp",) if unit is second else ("rel", "abs")):
            self._reporter.error("LAM701", "no such bound", span, "`2 ulp`, `rel 1e-3` or `abs 1e-3`", f"`{first} {second}`")
        value = float(self.number(number).value)
        if value <= 0:
            self._reporter.error("LAM701", "a bound must be above zero", span, "a number above 0", f"{value:g}")
        return syntax.Accuracy(span, (), str(unit), value)

    def accuracy(self, word: Token, *rest: Any) -> syntax.Accuracy:
        bound = rest[-1]
        return syntax.Accuracy(self._span(word, bound), rest[0] if len(rest) == 2 else (), bound.unit, bound.value)

    def let(self, word: Token, name: Token, *rest: Any) -> syntax.Let:
        return syntax.Let(self._span(word, rest[-1]), self._name(name), rest[0] if len(rest) == 2 else None, rest[-1])

    def out(self, word: Token, name: Token, entries: tuple[Any, ...], value: syntax.Expression) -> syntax.Out:
        return syntax.Out(self._span(word, value), self._name(name), entries, value)

    # ------------------------------------------------------------------------------------------ items

    def use(self, word: Token, *tokens: Token) -> syntax.Use:
        names = tuple(self._name(token) for token in tokens if token.type == "NAME")
        source = next((str(token)[1:-1] for token in tokens if token.type == "STRING"), None)
        return syntax.Use(self._span(word, tokens[-1]), names, source)

    def const(self, word: Token, name: Token, value: syntax.Expression) -> syntax.Const:
        return syntax.Const(self._span(word, value), self._name(name), value)

    def axis_parameters(self, *axes: Token) -> _Group:
        return _Group(self._span(axes[0], axes[-1]), tuple(self._axis(axis) for axis in axes))

    def def_(self, word: Token, name: Token, *rest: Any) -> syntax.Def:
        axes = next((item.items for item in rest if isinstance(item, _Group)), ())
        parameters = tuple(self._name(item) for item in rest if isinstance(item, Token))
        return syntax.Def(self._span(word, rest[-1]), self._name(name), axes, parameters, rest[-1])

    def size(self, name: Token, default: syntax.Expression | None = None) -> syntax.Size:
        return syntax.Size(self._span(name, default), str(name), default)

    def sizes(self, *sizes: syntax.Size) -> tuple[syntax.Size, ...]:
        return sizes

    def layer(self, word: Token, name: Token, *rest: Any) -> syntax.Layer:
        sizes = rest[0] if isinstance(rest[0], tuple) else ()
        statements: Any = tuple(item for item in rest[:-1] if isinstance(item, syntax.Node))
        span = self._span(word, rest[-1])
        return syntax.Layer(span, self._name(name), sizes, statements, self._text[word.start_pos : rest[-1].end_pos])

    def file(self, *items: Any) -> syntax.File:
        return syntax.File(self._file_name, items, self._text)


# `def` is a word of Python's own, so the method cannot be written under the rule's name.
setattr(TreeBuilder, "def", TreeBuilder.def_)

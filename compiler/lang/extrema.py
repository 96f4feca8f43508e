"""Which maxima and minima need an element.

In: the statements of a checked layer. Out: the extrema whose value somebody may see where the axis that they run over is empty.

Of nothing there is no maximum. Yet where the result is used along that very axis again, as in exp(x - max[A](x)), an empty axis
leaves no point that uses it, and the layer has a result: an empty softmax is empty. An extremum is seen only at points that have
the axes of the outs it goes to, and of the functions on the way. Sums, products, quotients and choices do not count there: a sum
over the axis may be taken of their parts, sum[A](m * x) being m * sum[A](x).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..spans import Span
from .checked import Apply, Expr, Iterate, Let, Out, Read, Reduce, Scan, TensorIndex, Transform

_PARTED = ("add", "sub", "neg", "mul", "div", "select")


def seen_extrema(statements: Sequence[Let | Out]) -> set[tuple[str, Span]]:
    """The axes and places of extrema that may be seen where the axis is empty."""
    return _Walk(statements).seen


class _Walk:
    def __init__(self, statements: Sequence[Let | Out]) -> None:
        self.seen: set[tuple[str, Span]] = set()
        self._lets = {statement.name for statement in statements if isinstance(statement, Let)}
        # the axes that every use of a let has, so far; a let that nothing reads is never seen
        self._guards: dict[str, frozenset[str]] = {}
        self._done: set[tuple[int, frozenset[str]]] = set()
        for statement in reversed(statements):
            if isinstance(statement, Out):
                self._visit(statement.value, frozenset(axis for entry in statement.entries for axis in entry.axes))
            elif statement.name in self._guards:
                self._visit(statement.value, self._guards[statement.name])

    def _visit(self, expression: Expr, guard: frozenset[str]) -> None:
        """`guard`: axes that every point has at which the expression is used; where one of them is empty, nothing uses it."""
        if (id(expression), guard) in self._done:
            return
        self._done.add((id(expression), guard))
        if isinstance(expression, Reduce) and expression.operation in ("max", "min"):
            self.seen.update((axis, expression.span) for axis in expression.over if axis not in guard)
        if isinstance(expression, Apply) and expression.function not in _PARTED:
            guard = guard | frozenset(expression.axes)
        if isinstance(expression, Read) and expression.source in self._lets:
            self._guards[expression.source] = guard & self._guards.get(expression.source, guard)
        for part in _parts(expression):
            self._visit(part, guard)


def _parts(expression: Expr) -> Iterator[Expr]:
    if isinstance(expression, Apply):
        yield from expression.arguments
    elif isinstance(expression, (Reduce, Transform)):
        yield expression.body
    elif isinstance(expression, Scan):
        yield from (expression.initial, expression.body)
    elif isinstance(expression, Iterate):
        yield from (*expression.initials, *expression.bodies)
    elif isinstance(expression, Read):
        yield from (index.value for index in expression.indices if isinstance(index, TensorIndex))

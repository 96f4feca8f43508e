"""Complex values as pairs of real ones.

Before: complex values anywhere. After: a value of kind complex is a pair, `complex(re, im)`, that is an operand of a function of
complex values (`exp`, `div` between complex values, a transform), or such a function's result, of which only `re` and `im` are
taken. All else is real: sums, products, choices, reads, scans. A stored complex tensor is seen as the real numbers that it is
stored as: its entries end with the axis `PARTS`, of length 2.
Why it is legal: the operations are the definitions of complex arithmetic, on the parts; a gradient in the parts, dL/dre and dL/dim,
is the gradient of the complex value as torch defines it, dL/dre + i dL/dim.

It stands before every other pass, so that these see products and sums of real numbers and need no rules for complex ones; functions
stay whole until all derivatives are taken (`complex_functions.py` has their formulas).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import sympy

from ..ir.graph import Affine, Builder, Graph, Node, Output
from ..ir.ops import dtype_kind
from ..ir.scalar_ops import SCALAR_OPS
from ..ir.tensors import PARTS, TensorSpec, in_parts
from ..lang.checked import Axis, Entry
from .simplify import constant, simplify
from .substitute import spread

LARGEST_WRITTEN_OUT = 64  # exponents up to this are products
LONGEST_WRITTEN_OUT = 32  # products along axes up to this

_OF_PARTS = ("re", "im", "conj")  # of a real value too
Pair = tuple[int, int | None]  # real part, imaginary part (None: the value is real)


def planar(graph: Graph) -> Graph:
    """The pass. A graph without complex values is given back as it is."""
    stored = [*graph.inputs, *(output.spec for output in graph.outputs)]
    if not any(node.kind == "complex" or node.op in _OF_PARTS for node in graph.nodes) and all(
        _seen(spec) == spec for spec in stored
    ):
        return graph
    return _Planar(graph).run()


def _seen(spec: TensorSpec) -> TensorSpec:
    """A complex tensor as its parts; others as they are."""
    if dtype_kind(spec.dtype) != "complex" or in_parts(spec):
        return spec
    return replace(spec, entries=(*spec.entries, Entry((PARTS,))))


def parts(builder: Builder, number: int) -> Pair:
    """The parts of a value."""
    node = builder.nodes[number]
    if node.kind != "complex":
        return number, None
    if node.op == "complex":
        return node.operands[0], node.operands[1]
    return builder.add("re", (number,)), builder.add("im", (number,))


def joined(builder: Builder, pair: Pair) -> int:
    """The value of the parts."""
    return pair[0] if pair[1] is None else builder.add("complex", (pair[0], pair[1]))


def imaginary(builder: Builder, pair: Pair) -> int:
    """The imaginary part, 0 where the value is real."""
    return builder.const(0.0) if pair[1] is None else pair[1]


class _Planar:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        axes = [*graph.axes, *([] if PARTS in graph.axis_lengths else [Axis(PARTS, sympy.Integer(2))])]
        self.builder = Builder(graph.name, axes, [_seen(spec) for spec in graph.inputs], simplify)
        self.numbers: dict[int, int] = {}
        self.views: dict[int, Pair] = {}  # a stored value's parts are stored on their own

    def run(self) -> Graph:
        for old, node in enumerate(self.graph.nodes):
            new = self._node(old, node)
            self.numbers[old] = new
            if node.name is not None:
                self._label(new, node)
        outputs = [self._output(output) for output in self.graph.outputs]
        return self.builder.finish(outputs, self.graph.level)

    def _label(self, number: int, node: Node) -> None:
        made = self.builder.nodes[number]
        if made.op == "complex" and node.op != "complex":
            for part, name in zip(made.operands, ("re", "im"), strict=True):
                self.builder.label(part, f"{node.name}_{name}", node.span)
        else:
            self.builder.label(number, str(node.name), node.span)

    def _output(self, output: Output) -> Output:
        number = self.numbers[output.node]
        spec = _seen(output.spec)
        if spec == output.spec:
            return Output(spec, number)
        pair = parts(self.builder, number)
        return Output(spec, self.builder.add("stack", (pair[0], imaginary(self.builder, pair)), axis=PARTS))

    def _node(self, old: int, node: Node) -> int:
        b = self.builder
        operands = tuple(self.numbers[operand] for operand in node.operands)
        attributes: dict[str, Any] = dict(node.attributes)
        kinds = [b.nodes[operand].kind for operand in operands]
        source = self.graph.nodes[node.operands[0]] if node.operands else node
        if node.op == "read" and source.op == "input":
            return self._read_input(node, operands, self.graph.input_spec(source.attribute("name")))
        if node.op == "read" and node.operands[0] in self.views:
            views = self.views[node.operands[0]]
            read = [b.add("read", (view, *operands[1:]), span=node.span, **attributes) for view in views if view is not None]
            return b.add("complex", read)
        if node.op == "view" and kinds[0] == "complex":
            re, im = parts(b, operands[0])
            assert im is not None
            self.views[old] = (b.add("view", (re,), **attributes), b.add("view", (im,), **attributes))
            return self.views[old][0]
        if node.op == "carried" and node.kind == "complex":
            return self._carried(attributes)
        if node.op == "scan" and "complex" in kinds:
            return self._scan(node, operands, attributes)
        real = node.kind != "complex" and "complex" not in kinds and node.op not in _OF_PARTS
        if node.op == "input" or real:
            return b.add(node.op, operands, label=node.name, span=node.span, **attributes)
        rule = _RULES.get(node.op)
        if rule is not None:
            return rule(b, node, *operands)
        if node.op == "complex" or node.op == "transform" or node.op in SCALAR_OPS:
            return b.add(node.op, tuple(joined(b, parts(b, operand)) for operand in operands), span=node.span, **attributes)
        return self._each_part(node, operands, attributes)

    def _each_part(self, node: Node, operands: tuple[int, ...], attributes: dict[str, Any]) -> int:
        """An op that acts on both parts alike."""
        b = self.builder
        pairs = [parts(b, operand) for operand in operands]
        if node.op == "scatter":  # of which the value alone is complex
            pairs = [pairs[0], *((operand, operand) for operand in operands[1:])]

        def part(operands: list[int]) -> int:
            if node.op == "slice" and attributes["axis"] not in b.nodes[operands[0]].axes:
                return operands[0]
            return b.add(node.op, operands, span=node.span, **attributes)

        return b.add("complex", (part([pair[0] for pair in pairs]), part([imaginary(b, pair) for pair in pairs])))

    def _read_input(self, node: Node, operands: tuple[int, ...], spec: TensorSpec) -> int:
        """Two reads, at the places of the real and of the imaginary part."""
        b = self.builder
        attributes: dict[str, Any] = dict(node.attributes)
        if _seen(spec) == spec:
            return b.add("read", operands, label=node.name, span=node.span, **attributes)
        read = []
        for part in (0, 1):
            indices = (*attributes["indices"], Affine((), sympy.Integer(part)))
            read.append(b.add("read", operands, span=node.span, **{**attributes, "indices": indices}))
        return b.add("complex", read)

    def _carried(self, attributes: dict[str, Any]) -> int:
        """A running value of each part."""
        names = _part_names(attributes["name"])
        running = [self.builder.add("carried", **{**attributes, "name": name, "kind": "real"}) for name in names]
        return self.builder.add("complex", running)

    def _scan(self, node: Node, operands: tuple[int, ...], attributes: dict[str, Any]) -> int:
        """The scan with a running value for each part, these in the places of the complex ones."""
        b = self.builder
        count = len(attributes["names"])
        names: list[str] = []
        initials: list[int] = []
        bodies: list[int] = []
        places: list[tuple[int, ...]] = []
        for name, initial, body in zip(attributes["names"], operands[:count], operands[count:], strict=True):
            first = len(names)
            if "complex" not in (b.nodes[initial].kind, b.nodes[body].kind):
                names, initials, bodies = [*names, name], [*initials, initial], [*bodies, body]
            else:
                start, step = parts(b, initial), parts(b, body)
                axes = [axis for axis in (*b.nodes[initial].axes, *b.nodes[body].axes) if axis != attributes["axis"]]
                names.extend(_part_names(name))
                initials.extend(spread(b, part, axes) for part in (start[0], imaginary(b, start)))
                bodies.extend((step[0], imaginary(b, step)))
            places.append(tuple(range(first, len(names))))
        attributes["names"] = tuple(names)
        place = places[attributes["result"]]
        results = [b.add("scan", (*initials, *bodies), span=node.span, **{**attributes, "result": k}) for k in place]
        return results[0] if len(results) == 1 else b.add("complex", results)


def _part_names(name: str) -> tuple[str, str]:
    return f"{name}.re", f"{name}.im"


# ------------------------------------------------------------------------------------------------ arithmetic


def _add(b: Builder, node: Node, x: int, y: int) -> int:
    (a, ai), (c, ci) = parts(b, x), parts(b, y)
    im = ai if ci is None else ci if ai is None else b.add("add", (ai, ci))
    return joined(b, (b.add("add", (a, c)), im))


def _sub(b: Builder, node: Node, x: int, y: int) -> int:
    (a, ai), (c, ci) = parts(b, x), parts(b, y)
    im = ai if ci is None else b.add("neg", (ci,)) if ai is None else b.add("sub", (ai, ci))
    return joined(b, (b.add("sub", (a, c)), im))


def _neg(b: Builder, node: Node, x: int) -> int:
    a, ai = parts(b, x)
    return joined(b, (b.add("neg", (a,)), None if ai is None else b.add("neg", (ai,))))


def _conj(b: Builder, node: Node, x: int) -> int:
    a, ai = parts(b, x)
    return joined(b, (a, None if ai is None else b.add("neg", (ai,))))


def _mul(b: Builder, node: Node | None, x: int, y: int) -> int:
    return joined(b, product_of(b, parts(b, x), parts(b, y)))


def product_of(b: Builder, x: Pair, y: Pair) -> Pair:
    """The parts of a product; a real factor scales both parts."""
    (a, ai), (c, ci) = x, y
    if ai is None and ci is None:
        return b.add("mul", (a, c)), None
    if ai is None or ci is None:
        scale, (re, im) = (a, (c, ci)) if ai is None else (c, (a, ai))
        assert im is not None
        return b.add("mul", (scale, re)), b.add("mul", (scale, im))
    re = b.add("sub", (b.add("mul", (a, c)), b.add("mul", (ai, ci))))
    return re, b.add("add", (b.add("mul", (a, ci)), b.add("mul", (ai, c))))


def _div(b: Builder, node: Node, x: int, y: int) -> int:
    if b.nodes[y].kind == "complex":
        return b.add("div", (x, y), span=node.span)
    a, ai = parts(b, x)
    return joined(b, (b.add("div", (a, y)), None if ai is None else b.add("div", (ai, y))))


def _pow(b: Builder, node: Node, x: int, exponent: int) -> int:
    value = constant(b, exponent)
    if not isinstance(value, int | float) or not float(value).is_integer() or abs(value) > LARGEST_WRITTEN_OUT:
        return b.add("pow", (x, exponent), span=node.span)
    if value == 0:
        return b.const(1.0)
    result: Pair | None = None
    square, left = parts(b, x), abs(int(value))
    while left:
        if left & 1:
            result = square if result is None else product_of(b, result, square)
        left >>= 1
        if left:
            square = product_of(b, square, square)
    assert result is not None
    power = joined(b, result)
    return power if value > 0 else b.add("div", (b.const(1.0), power), span=node.span)


def _select(b: Builder, node: Node, condition: int, x: int, y: int) -> int:
    first, second = parts(b, x), parts(b, y)
    re = b.add("select", (condition, first[0], second[0]))
    return b.add("complex", (re, b.add("select", (condition, imaginary(b, first), imaginary(b, second)))))


def _equal(b: Builder, node: Node, x: int, y: int) -> int:
    first, second = parts(b, x), parts(b, y)
    re = b.add(node.op, (first[0], second[0]))
    im = b.add(node.op, (imaginary(b, first), imaginary(b, second)))
    return b.add("and" if node.op == "eq" else "or", (re, im))


def _re(b: Builder, node: Node, x: int) -> int:
    return parts(b, x)[0]


def _im(b: Builder, node: Node, x: int) -> int:
    return imaginary(b, parts(b, x))


def _reduce(b: Builder, node: Node, x: int) -> int:
    over, operation = node.attribute("over"), node.attribute("operation")
    re, im = parts(b, x)
    assert im is not None
    if operation != "sum":
        return _product_along(b, x, over)
    return b.add("complex", (b.reduce("sum", re, over), b.reduce("sum", im, over)))


def _product_along(b: Builder, x: int, over: tuple[str, ...]) -> int:
    """Written out where the axis is short, else the last of the running products."""
    for axis in over:
        length = b.lengths[axis]
        pairs = parts(b, x)
        if length.is_Integer and int(length) <= LONGEST_WRITTEN_OUT:
            result: Pair = (b.const(1.0), None)
            for k in range(int(length)):
                result = product_of(b, result, (_at(b, pairs[0], axis, k), _at(b, imaginary(b, pairs), axis, k)))
        else:
            result = _last_product(b, pairs, axis)
        x = joined(b, result)
    return x


def _at(b: Builder, value: int, axis: str, position: int) -> int:
    return b.add("slice", (value,), axis=axis, position=position) if axis in b.nodes[value].axes else value


def _last_product(b: Builder, value: Pair, axis: str) -> Pair:
    re, im = value[0], imaginary(b, value)
    axes = b.sorted_axes({*b.nodes[re].axes, *b.nodes[im].axes} - {axis})
    name = f"product.{len(b.nodes)}"
    running = [b.add("carried", name=part, kind="real", axes=axes) for part in _part_names(name)]
    step = product_of(b, (running[0], running[1]), (re, im))
    operands = (spread(b, b.const(1.0), axes), spread(b, b.const(0.0), axes), step[0], imaginary(b, step))
    length = sympy.sympify(b.lengths[axis])
    some = b.add("gt", (b.add("length", length=length), b.const(0)))
    last: list[int] = []
    for position, empty in enumerate((1.0, 0.0)):
        products = b.add("scan", operands, axis=axis, names=_part_names(name), result=position, reverse=False)
        view = b.add("view", (products,), entries=tuple(Entry((each,)) for each in (*axes, axis)))
        indices = (*(Affine(((each, sympy.Integer(1)),)) for each in axes), Affine((), length - 1))
        read = b.add("read", (view,), indices=indices, boundary="zero")
        last.append(b.add("select", (some, read, b.const(empty))))
    return last[0], last[1]


def _contract(b: Builder, node: Node, x: int, y: int) -> int:
    over = node.attribute("over")

    def contracted(left: int, right: int) -> int:
        return b.add("contract", (left, right), over=over)

    (a, ai), (c, ci) = parts(b, x), parts(b, y)
    if ai is None or ci is None:
        pairs = [(a, ci), (a, c)] if ai is None else [(ai, c), (a, c)]
        im, re = (contracted(left, right) for left, right in pairs)  # type: ignore[arg-type]
        return b.add("complex", (re, im))
    re = b.add("sub", (contracted(a, c), contracted(ai, ci)))
    return b.add("complex", (re, b.add("add", (contracted(a, ci), contracted(ai, c)))))


_RULES: dict[str, Callable[..., int]] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "neg": _neg,
    "conj": _conj,
    "pow": _pow,
    "select": _select,
    "eq": _equal,
    "ne": _equal,
    "re": _re,
    "im": _im,
    "reduce": _reduce,
    "contract": _contract,
}

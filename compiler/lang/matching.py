"""How the axes of a called layer are found from what it is called with.

In: a call on its way, the callee's inputs and out, and the caller's tensors and let. Out: the callee's axes, open sizes and `...`
in the scope of the call.
Holds: the callee's axes are the caller's where an entry and the dimension given for it split alike, and new ones (`h.I`) otherwise;
no two of them are the same. Lengths that cannot be compared before the call become requirements.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import sympy

from . import lengths, syntax
from .checked import length_symbol
from .declarations import split_axes
from .diagnostics import Failed
from .expressions import ExpressionChecker
from .integers import integer
from .lengths import Length
from .reductions import require_equal
from .scope import Assembly, AxisSlot, Dimension, Readable, Scope


@dataclass
class Pair:
    """One entry of a callee's input, and the caller's dimension given for it."""

    node: syntax.Expression
    dimension: Dimension
    argument: syntax.Expression


@dataclass
class LayerCall:
    """A call on its way: the callee and its scope, the caller's axes already taken over by one of the callee's, and the entries of
    the inputs beside what was given for them.
    """

    callee: syntax.Layer
    node: syntax.Call
    scope: Scope
    caller: Scope
    assembly: Assembly
    taken: list[str] = field(default_factory=list)
    pairs: dict[str, list[Pair]] = field(default_factory=dict)

    def mistake(self, message: str, place: syntax.Node, expected: str | None = None, found: str | None = None) -> Failed:
        return self.assembly.reporter.error("LAM505", message, place.span, expected, found)


# ---------------------------------------------------------------------------------------------- axes of the inputs


def match_inputs(call: LayerCall, inputs: list[syntax.Declaration], arguments: list[Readable], open_sizes: list[str]) -> None:
    """Finds the callee's axes and open sizes from the dimensions of the caller's tensors."""
    pending: list[Pair] = []
    for declaration, readable, argument in zip(inputs, arguments, call.node.arguments, strict=True):
        pairs = _paired(call, declaration, readable, argument)
        call.pairs[declaration.name.name] = pairs
        pending.extend(pairs)
    while pending:
        rest = [pair for pair in pending if not _match_entry(call, pair, open_sizes)]
        if len(rest) == len(pending):
            text = call.assembly.reporter.excerpt(rest[0].node.span)
            raise call.mistake(f"the lengths in its entry `{text}` cannot be solved", rest[0].argument)
        pending = rest


def _paired(call: LayerCall, declaration: syntax.Declaration, readable: Readable, argument: syntax.Expression) -> list[Pair]:
    """The callee's entries beside the caller's dimensions, from the last backwards; `...` takes those that are left."""
    nodes = list(declaration.entries)
    has_ellipsis = bool(nodes) and isinstance(nodes[0], syntax.Ellipsis)
    named = [node for node in nodes if not isinstance(node, syntax.Ellipsis)]
    leading = len(readable.dimensions) - len(named)
    declared = ", ".join(call.assembly.reporter.excerpt(node.span) for node in nodes)
    tail = readable.dimensions[leading:] if leading >= 0 else ()
    if leading < 0 or (leading > 0 and not has_ellipsis) or any(dimension.is_ellipsis for dimension in tail):
        shown = ", ".join(dimension.text for dimension in readable.dimensions)
        raise call.mistake(
            f"`{readable.name}` does not have the axes of its input `{declaration.name.name}`",
            argument,
            f"`{declaration.name.name}[{declared}]`",
            f"`{readable.name}[{shown}]`",
        )
    if has_ellipsis:
        entries = tuple(entry for dimension in readable.dimensions[:leading] for entry in dimension.entries)
        if call.scope.ellipsis is not None and call.scope.ellipsis != entries:
            raise call.mistake("`...` stands for other axes in this input than in an earlier one", argument)
        call.scope.ellipsis = entries
        call.taken.extend(axis for entry in entries for axis in entry.axes)
    return [Pair(node, dimension, argument) for node, dimension in zip(named, tail, strict=True)]


def _match_entry(call: LayerCall, pair: Pair, open_sizes: list[str]) -> bool:
    """Makes one entry's names known; False where too many of them are still open."""
    scope, assembly = call.scope, call.assembly
    factors = split_axes(pair.node)
    names = [node.name for node in axis_names(pair.node)]
    given = {item.axis.name for item in call.callee.statements if isinstance(item, syntax.AxisStatement)}
    if factors is not None and not any(name in given for name in names) and _take_over(call, pair, factors, open_sizes):
        return True
    unknown = [name for name in dict.fromkeys(names) if name not in scope.axes and name not in scope.sizes and name not in given]
    if any(name in given for name in names):
        return True
    if len(unknown) > 1:
        return False
    trial = Scope(scope.module, dict(scope.axes), dict(scope.sizes), {})
    symbol = length_symbol("?")
    for name in unknown:
        trial.sizes[name] = symbol
    length = integer(pair.node, trial, assembly.reporter)
    checker = ExpressionChecker(scope, assembly)
    if not unknown:
        what = f"`{pair.dimension.text}` in this call"
        require_equal(pair.dimension.length, length, what, pair.argument.span, checker)
    else:
        solved = _solved(call, length, symbol, pair)
        if unknown[0] in open_sizes:
            scope.sizes[unknown[0]] = solved
        else:
            scope.axes[unknown[0]] = assembly.add_axis(scope.prefix + unknown[0], solved)
    for factor in factors or ():
        if factor.name not in scope.axes:
            scope.axes[factor.name] = assembly.add_axis(scope.prefix + factor.name, scope.sizes[factor.name])
    return True


def _take_over(call: LayerCall, pair: Pair, factors: tuple[syntax.AxisName, ...], open_sizes: list[str]) -> bool:
    """Lets the callee's names stand for the caller's axes, where the entry and the dimension split alike."""
    scope, assembly = call.scope, call.assembly
    axes = pair.dimension.axes
    if len(axes) != len(factors) or pair.dimension.identity is None or any(axis in call.taken for axis in axes):
        return False
    if any(factor.name in scope.axes for factor in factors):
        return False
    for factor, axis in zip(factors, axes, strict=True):
        known = scope.sizes.get(factor.name)
        if known is not None and len(factors) > 1 and lengths.equal(known, assembly.axes[axis]) is not True:
            return False
    checker = ExpressionChecker(scope, assembly)
    for factor, axis in zip(factors, axes, strict=True):
        length = assembly.axes[axis]
        if factor.name in scope.sizes:
            what = f"`{pair.dimension.text}` in this call"
            require_equal(length, scope.sizes[factor.name], what, pair.argument.span, checker)
        elif factor.name in open_sizes:
            scope.sizes[factor.name] = length
        scope.axes[factor.name] = AxisSlot(axis, length)
        call.taken.append(axis)
    return True


def _solved(call: LayerCall, length: Length, symbol: sympy.Symbol, pair: Pair) -> Length:
    """The value of the unknown for which an entry has the length of the caller's dimension."""
    found = pair.dimension.length
    if not lengths.solvable_for(length, symbol):
        raise call.mistake("its lengths cannot be solved from this tensor", pair.argument)
    assert not isinstance(length, int)
    coefficient = lengths.simplified(sympy.expand(length).coeff(symbol))
    rest = lengths.subtract(found, lengths.simplified(sympy.expand(length).subs(symbol, 0)))
    remainder = lengths.simplified(sympy.Mod(rest, coefficient))
    text = call.assembly.reporter.excerpt(pair.node.span)
    if isinstance(remainder, int):
        if remainder != 0 or lengths.at_most(rest, -1):
            raise call.mistake(f"a length of {lengths.text_of(found)} does not fit its entry `{text}`", pair.argument)
    else:
        shown = f"{lengths.text_of(rest)} is a multiple of {lengths.text_of(coefficient)}"
        message = f"the length of `{pair.dimension.text}` does not fit the entry `{text}` of layer `{call.callee.name.name}`"
        call.assembly.require(sympy.Eq(remainder, 0), shown, message, call.assembly.reporter.place(pair.argument.span))
        return lengths.divide(rest, coefficient)
    return lengths.divide(rest, coefficient)


def axis_names(node: syntax.Node) -> list[syntax.AxisName]:
    found = [node] if isinstance(node, syntax.AxisName) else []
    return found + [name for child in syntax.children(node) for name in axis_names(child)]


def check_given_axes(call: LayerCall) -> None:
    """Entries whose axis has a statement of its own in the callee: the caller's dimension must have that length."""
    checker = ExpressionChecker(call.scope, call.assembly)
    given = {item.axis.name for item in call.callee.statements if isinstance(item, syntax.AxisStatement)}
    for pairs in call.pairs.values():
        for pair in pairs:
            if any(name.name in given for name in axis_names(pair.node)):
                length = integer(pair.node, call.scope, call.assembly.reporter)
                require_equal(pair.dimension.length, length, f"`{pair.dimension.text}` in this call", pair.argument.span, checker)


# ---------------------------------------------------------------------------------------------- axes of the out


def match_out(call: LayerCall, out: syntax.Out, statement: syntax.Let, open_sizes: list[str]) -> None:
    """Lets the callee's remaining out axes stand for the axes of the let, where both are single names."""
    assert statement.entries is not None
    scope, caller, assembly = call.scope, call.caller, call.assembly
    given = {item.axis.name for item in call.callee.statements if isinstance(item, syntax.AxisStatement)}
    declared = {
        axis.name
        for item in call.callee.statements
        if isinstance(item, syntax.Declaration)
        for entry in item.entries
        for axis in split_axes(entry) or ()
    }
    checker = ExpressionChecker(scope, assembly)
    for node, listed in zip(reversed(out.entries), reversed(statement.entries), strict=False):
        if not isinstance(node, syntax.AxisName) or not isinstance(listed, syntax.AxisName):
            continue
        if node.name in scope.axes or node.name in given or (listed.name in caller.sizes and listed.name not in caller.axes):
            continue
        slot = caller.axes.get(listed.name)
        if slot is None or slot.name in call.taken:
            continue
        length = scope.sizes.get(node.name)
        if slot.length is None and length is None and node.name not in open_sizes and node.name not in declared:
            continue  # a statement of the callee settles its length; the let takes it afterwards
        if slot.length is None:
            assembly.resolve(slot, length if length is not None else length_symbol(slot.name))
        assert slot.length is not None
        if length is not None:
            require_equal(slot.length, length, f"axis `{listed.name}`", call.node.span, checker)
        elif node.name in open_sizes:
            scope.sizes[node.name] = slot.length
        scope.axes[node.name] = slot
        call.taken.append(slot.name)

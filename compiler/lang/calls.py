"""Calls of layers by layers: the callee's statements become the caller's.

In: `let h[..., F] = linear(x, O = 4*D)` and the scope it stands in. Out: the callee's parameters, lets and requirements in the
caller's `Assembly`, under the name of the let (`h.w`), and the let itself.
Holds: the callee is read in a scope of its own. Its axes are the caller's where an input's entry and the callee's declaration of it
are both single axes, and new ones (`h.I`) otherwise; no two of them are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import sympy

from . import checked, lengths, syntax
from .checked import Entry, Read, length_symbol
from .declarations import check_sizes_and_names, declare_axes, declare_tensor, split_axes
from .diagnostics import Failed, nearest
from .expressions import ExpressionChecker
from .functions import DTYPES, KIND_NAMES
from .integers import integer
from .lengths import Length
from .reductions import require_equal
from .scope import Assembly, AxisSlot, Dimension, Readable, Scope, ellipsis_dimension


@dataclass
class _Pair:
    """One entry of a callee's input, and the caller's dimension given for it."""

    node: syntax.Expression
    dimension: Dimension
    argument: syntax.Expression


@dataclass
class _Call:
    """A call on its way: the callee, its scope, and the caller's axes already taken over by an axis of the callee's."""

    callee: syntax.Layer
    node: syntax.Call
    scope: Scope
    caller: Scope
    assembly: Assembly
    taken: list[str] = field(default_factory=list)
    pairs: dict[str, list[_Pair]] = field(default_factory=dict)

    def mistake(self, message: str, place: syntax.Node, expected: str | None = None, found: str | None = None) -> Failed:
        return self.assembly.reporter.error("LAM505", message, place.span, expected, found)


def bind_layer_call(statement: syntax.Let, node: syntax.Call, caller: Scope, assembly: Assembly) -> _Call:
    """The scope of a called layer, with its sizes, axes, inputs and tensors. Raises Failed where the call does not fit it."""
    reporter = assembly.reporter
    found = caller.module.layer(node.function.name)
    assert found is not None
    callee, module = found
    name = callee.name.name
    if statement.entries is None:
        raise reporter.error(
            "LAM503",
            f"the result of layer `{name}` needs its axes",
            statement.name.span,
            f"let {statement.name.name}[...] = {name}(...)",
            f"let {statement.name.name} = {name}(...)",
        )
    if any(callee is layer for layer in assembly.open_layers):
        chain = " -> ".join(f"`{layer.name.name}`" for layer in (*assembly.open_layers, callee))
        raise reporter.error("LAM105", f"layer `{name}` calls itself", node.span, "a call of another layer", chain)
    outs = [item for item in callee.statements if isinstance(item, syntax.Out)]
    if len(outs) != 1:
        raise reporter.error(
            "LAM505", f"layer `{name}` cannot be called", node.span, "a layer with a single `out`", f"{len(outs)} of them"
        )
    scope = Scope(module, prefix=f"{caller.prefix}{statement.name.name}.")
    call = _Call(callee, node, scope, caller, assembly)
    given = _given_sizes(call)
    inputs = [item for item in callee.statements if isinstance(item, syntax.Declaration) and item.role == "in"]
    arguments = _arguments(call, inputs)
    with reporter.inside(name, node.span):
        open_sizes = check_sizes_and_names(callee, given, scope, assembly)
        for name_of_open in open_sizes:
            del scope.sizes[name_of_open]
        _match_inputs(call, inputs, arguments, open_sizes)
        _match_out(call, outs[0], statement, open_sizes)
        for name_of_open in open_sizes:
            scope.sizes.setdefault(name_of_open, length_symbol(scope.prefix + name_of_open))
        if scope.ellipsis is None:
            scope.ellipsis = ()
        declare_axes(callee, scope, assembly)
        _check_given_axes(call)
        for declaration, readable in zip(inputs, arguments, strict=True):
            scope.values[declaration.name.name] = _bound(call, declaration, readable)
        for item in callee.statements:
            if isinstance(item, syntax.Declaration) and item.role != "in":
                declare_tensor(item, scope, assembly)
    return call


def finish_layer_call(
    call: _Call, statement: syntax.Let, out: syntax.Out, value: checked.Expr, entries: tuple[Entry, ...]
) -> tuple[Entry, ...]:
    """Emits the let of a call whose callee has been checked; returns the let's stored dimensions."""
    caller, assembly, reporter = call.caller, call.assembly, call.assembly.reporter
    assert statement.entries is not None
    with reporter.inside(call.callee.name.name, call.node.span):
        listed = _listed_entries(call, statement, entries)
    unique = caller.prefix + statement.name.name
    place = reporter.place(statement.span)
    if listed != entries:
        hidden = call.scope.prefix + out.name.name
        assembly.statements.append(checked.Let(hidden, entries, value, place))
        indices = tuple(assembly.identity(entry.axes) for entry in listed)
        axes = tuple(axis for entry in listed for axis in entry.axes)
        value = Read(axes, value.kind, reporter.place(call.node.span), hidden, indices)
    assembly.statements.append(checked.Let(unique, listed, value, place))
    return listed


# ---------------------------------------------------------------------------------------------- sizes and arguments


def _given_sizes(call: _Call) -> dict[str, Length]:
    node, reporter = call.node, call.assembly.reporter
    name = call.callee.name.name
    if node.axes:
        raise reporter.error("LAM502", f"`{name}` is a layer and takes no axes in brackets", node.axes[0].span)
    known = [size.name for size in call.callee.sizes]
    given: dict[str, Length] = {}
    for size in node.sizes:
        if size.name not in known or size.name in given:
            what = "is given twice" if size.name in given else f"is no size of layer `{name}`"
            listed = ", ".join(f"`{known_name}`" for known_name in known) or "none"
            raise reporter.error(
                "LAM504", f"`{size.name}` {what}", size.span, f"its sizes: {listed}", hint=nearest(size.name, known)
            )
        given[size.name] = integer(size.value, call.caller, reporter)
    return given


def _arguments(call: _Call, inputs: list[syntax.Declaration]) -> list[Readable]:
    """The tensors given for the inputs."""
    node, reporter = call.node, call.assembly.reporter
    name = call.callee.name.name
    if len(node.arguments) != len(inputs):
        wanted = ", ".join(f"`{declaration.name.name}`" for declaration in inputs)
        raise reporter.error(
            "LAM501", f"wrong number of inputs for `{name}`", node.span, f"{len(inputs)}: {wanted}", str(len(node.arguments))
        )
    checker = ExpressionChecker(call.caller, call.assembly)
    readables: list[Readable] = []
    for argument, declaration in zip(node.arguments, inputs, strict=True):
        value = checker.value_of(argument) if isinstance(argument, syntax.Name) else None
        if not isinstance(value, Readable) or not value.order_is_known:
            if value is None and isinstance(argument, syntax.Name):
                checker.expression(argument)
            raise reporter.error(
                "LAM505",
                f"layer `{name}` takes tensors",
                argument.span,
                "a tensor, or a `let` annotated with its axes",
                f"`{reporter.excerpt(argument.span)}`",
                "give the value a name: `let z[...] = ...`",
            )
        wanted_kind = DTYPES.get(declaration.dtype.name, "real") if declaration.dtype else "real"
        if value.kind != wanted_kind:
            raise reporter.error(
                "LAM401",
                f"input `{declaration.name.name}` of `{name}` has another dtype",
                argument.span,
                KIND_NAMES[wanted_kind],
                KIND_NAMES[value.kind],
            )
        readables.append(value)
    return readables


# ---------------------------------------------------------------------------------------------- axes of the inputs


def _match_inputs(call: _Call, inputs: list[syntax.Declaration], arguments: list[Readable], open_sizes: list[str]) -> None:
    """Finds the callee's axes and open sizes from the dimensions of the caller's tensors."""
    pending: list[_Pair] = []
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


def _paired(call: _Call, declaration: syntax.Declaration, readable: Readable, argument: syntax.Expression) -> list[_Pair]:
    """The callee's entries beside the caller's dimensions, from the last backwards; `...` takes those that are left."""
    nodes = list(declaration.entries)
    has_ellipsis = bool(nodes) and isinstance(nodes[0], syntax.Ellipsis)
    named = [node for node in nodes if not isinstance(node, syntax.Ellipsis)]
    leading = len(readable.dimensions) - len(named)
    declared = ", ".join(call.assembly.reporter.excerpt(node.span) if node.span.file else "..." for node in nodes)
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
    return [_Pair(node, dimension, argument) for node, dimension in zip(named, tail, strict=True)]


def _match_entry(call: _Call, pair: _Pair, open_sizes: list[str]) -> bool:
    """Makes one entry's names known; False where too many of them are still open."""
    scope, assembly = call.scope, call.assembly
    factors = split_axes(pair.node)
    names = [node.name for node in _axis_names(pair.node)]
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


def _take_over(call: _Call, pair: _Pair, factors: tuple[syntax.AxisName, ...], open_sizes: list[str]) -> bool:
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


def _solved(call: _Call, length: Length, symbol: sympy.Symbol, pair: _Pair) -> Length:
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


def _axis_names(node: syntax.Node) -> list[syntax.AxisName]:
    found = [node] if isinstance(node, syntax.AxisName) else []
    return found + [name for child in syntax.children(node) for name in _axis_names(child)]


def _check_given_axes(call: _Call) -> None:
    """Entries whose axis has a statement of its own in the callee: the caller's dimension must have that length."""
    checker = ExpressionChecker(call.scope, call.assembly)
    given = {item.axis.name for item in call.callee.statements if isinstance(item, syntax.AxisStatement)}
    for pairs in call.pairs.values():
        for pair in pairs:
            if any(name.name in given for name in _axis_names(pair.node)):
                length = integer(pair.node, call.scope, call.assembly.reporter)
                require_equal(pair.dimension.length, length, f"`{pair.dimension.text}` in this call", pair.argument.span, checker)


def _bound(call: _Call, declaration: syntax.Declaration, readable: Readable) -> Readable:
    """The caller's tensor as the callee declares it."""
    scope, assembly = call.scope, call.assembly
    dimensions: list[Dimension] = []
    if declaration.entries and isinstance(declaration.entries[0], syntax.Ellipsis):
        dimensions.append(ellipsis_dimension(scope, assembly))
    for position, pair in enumerate(call.pairs[declaration.name.name]):
        text = assembly.reporter.excerpt(pair.node.span)
        factors = split_axes(pair.node)
        if factors is not None:
            entry = Entry(tuple(scope.axes[factor.name].name for factor in factors))
            dimensions.append(Dimension((entry,), assembly.entry_length(entry), (assembly.identity(entry.axes),), text))
        else:
            axis = f"{scope.prefix}{declaration.name.name}.{position}"
            length = integer(pair.node, scope, assembly.reporter)
            assembly.add_axis(axis, length)
            dimensions.append(Dimension((Entry((axis,)),), length, None, text))
    return Readable(declaration.name.name, readable.source, readable.kind, tuple(dimensions))


# ---------------------------------------------------------------------------------------------- axes of the out


def _match_out(call: _Call, out: syntax.Out, statement: syntax.Let, open_sizes: list[str]) -> None:
    """Lets the callee's remaining out axes stand for the axes of the let, where both are single names."""
    assert statement.entries is not None
    scope, caller, assembly = call.scope, call.caller, call.assembly
    given = {item.axis.name for item in call.callee.statements if isinstance(item, syntax.AxisStatement)}
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
        if slot.length is None:
            assembly.resolve(slot, length if length is not None else length_symbol(slot.name))
        assert slot.length is not None
        if length is not None:
            require_equal(slot.length, length, f"axis `{listed.name}`", call.node.span, checker)
        elif node.name in open_sizes:
            scope.sizes[node.name] = slot.length
        scope.axes[node.name] = slot
        call.taken.append(slot.name)


def _listed_entries(call: _Call, statement: syntax.Let, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """The stored dimensions of the let, each of the length of the callee's."""
    assert statement.entries is not None
    caller, assembly = call.caller, call.assembly
    checker = ExpressionChecker(caller, assembly)
    count = sum(len(caller.ellipsis or ()) if isinstance(node, syntax.Ellipsis) else 1 for node in statement.entries)
    if count != len(entries):
        raise call.mistake(
            f"its out does not have the axes of `{statement.name.name}`", statement.name, f"{len(entries)} axes", f"{count} axes"
        )
    listed: list[Entry] = []
    for node in statement.entries:
        if isinstance(node, syntax.Ellipsis):
            listed.extend(caller.ellipsis or ())
            continue
        entry = entries[len(listed)]
        factors = split_axes(node) or ()
        for factor in factors:
            slot = caller.axes.get(factor.name)
            if slot is not None and slot.length is None and len(factors) == 1:
                assembly.resolve(slot, assembly.entry_length(entry))
        axes = tuple(checker.axis(factor).name for factor in factors)
        listed.append(Entry(axes))
    for found, wanted in zip(listed, entries, strict=True):
        if found != wanted:
            what = f"`{'*'.join(found.axes)}` in `{statement.name.name}`"
            require_equal(assembly.entry_length(found), assembly.entry_length(wanted), what, statement.span, checker)
    return tuple(listed)

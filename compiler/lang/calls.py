"""Calls of layers by layers: the callee's statements become the caller's.

In: `let h[..., F] = linear(x, O = 4*D)` and the scope it stands in. Out: the callee's parameters, lets and requirements in the
caller's `Assembly`, under the name of the let (`h.w`), and the let itself.
Holds: the callee is read in a scope of its own. Its axes are the caller's where an input's entry and the callee's declaration of it
are both single axes, and new ones (`h.I`) otherwise; no two of them are the same.
"""

from __future__ import annotations

import sympy

from . import checked, lengths, syntax
from .checked import Entry, Read, length_symbol
from .declarations import check_sizes_and_names, declare_axes, declare_tensor, split_axes
from .diagnostics import nearest
from .expressions import ExpressionChecker
from .functions import DTYPES, KIND_NAMES
from .integers import integer
from .lengths import Length
from .matching import LayerCall, check_given_axes, match_inputs, match_out
from .reductions import require_equal
from .scope import Assembly, Dimension, Readable, Scope, ellipsis_dimension


def bind_layer_call(statement: syntax.Let, node: syntax.Call, caller: Scope, assembly: Assembly) -> LayerCall:
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
    call = LayerCall(callee, node, scope, caller, assembly)
    given = _given_sizes(call)
    inputs = [item for item in callee.statements if isinstance(item, syntax.Declaration) and item.role == "in"]
    arguments = _arguments(call, inputs)
    with reporter.inside(name, node.span):
        open_sizes = check_sizes_and_names(callee, given, scope, assembly)
        for name_of_open in open_sizes:
            del scope.sizes[name_of_open]
        match_inputs(call, inputs, arguments, open_sizes)
        match_out(call, outs[0], statement, open_sizes)
        _settle_sizes(call, open_sizes)
        if scope.ellipsis is None:
            scope.ellipsis = ()
        declare_axes(callee, scope, assembly)
        check_given_axes(call)
        for declaration, readable in zip(inputs, arguments, strict=True):
            scope.values[declaration.name.name] = _bound(call, declaration, readable)
        for item in callee.statements:
            if isinstance(item, syntax.Declaration) and item.role != "in":
                declare_tensor(item, scope, assembly)
    return call


def finish_layer_call(
    call: LayerCall, statement: syntax.Let, out: syntax.Out, value: checked.Expr, entries: tuple[Entry, ...]
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


def _given_sizes(call: LayerCall) -> dict[str, Length]:
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


def _settle_sizes(call: LayerCall, open_sizes: list[str]) -> None:
    """Enters the sizes that neither the caller nor a tensor has given, and puts those found into what was derived from them."""
    scope, assembly = call.scope, call.assembly
    found: dict[sympy.Symbol, Length] = {}
    for name in open_sizes:
        symbol = length_symbol(scope.prefix + name)
        if scope.sizes.setdefault(name, symbol) != symbol:
            found[symbol] = scope.sizes[name]
    if not found:
        return
    for name, value in scope.sizes.items():
        scope.sizes[name] = lengths.substituted(value, found)
    for slot in scope.axes.values():
        if slot.length is not None:
            slot.length = assembly.axes[slot.name] = lengths.substituted(slot.length, found)


def _arguments(call: LayerCall, inputs: list[syntax.Declaration]) -> list[Readable]:
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


# ---------------------------------------------------------------------------------------------- inputs and outs


def _bound(call: LayerCall, declaration: syntax.Declaration, readable: Readable) -> Readable:
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


def _listed_entries(call: LayerCall, statement: syntax.Let, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
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

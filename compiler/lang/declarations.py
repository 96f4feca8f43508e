"""Sizes, axes and tensors: the declarations of a layer.

In: a layer's syntax and the values given for its sizes. Out: the names of a `Scope`, and the tensors and axes of an `Assembly`.
Holds: every axis has one length; every length symbol can be solved from the shapes of the layer's tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

import sympy

from . import lengths, syntax
from .checked import ELLIPSIS, Entry, Init, Tensor, length_symbol
from .diagnostics import Failed, nearest
from .functions import DTYPES
from .initials import check_init
from .integers import integer
from .lengths import Length
from .scope import Assembly, AxisSlot, Dimension, Readable, Scope, Unusable, dimension_of, ellipsis_dimension

OUT_HINT = "give the value a name with `let`, and let both read that"


def check_sizes_and_names(layer: syntax.Layer, given: Mapping[str, Length], scope: Scope, assembly: Assembly) -> list[str]:
    """Enters the sizes (the value given, else the default, else a length symbol), and marks the names of lets and outs as not yet
    readable. Returns the sizes that have neither value nor default."""
    open_sizes: list[str] = []
    for size in layer.sizes:
        if size.name in scope.sizes:
            assembly.reporter.error("LAM102", f"size `{size.name}` is declared twice", size.span)
            continue
        if size.name in given:
            scope.sizes[size.name] = given[size.name]
            continue
        scope.sizes[size.name] = length_symbol(scope.prefix + size.name)
        if size.default is None:
            open_sizes.append(size.name)
            continue
        with suppress(Failed):
            value = integer(size.default, scope, assembly.reporter)
            _refuse_negative(value, size.default, assembly)
            scope.sizes[size.name] = value
    for statement in layer.statements:
        if isinstance(statement, (syntax.Declaration, syntax.Let, syntax.Out)):
            assembly.reserve(scope.prefix + statement.name.name)
        if isinstance(statement, syntax.Let):
            name, line = statement.name.name, statement.span.line
            why = f"`{name}` is used before its statement in line {line}"
            scope.values[name] = Unusable("LAM103", why, "move the `let` up")
        elif isinstance(statement, syntax.Out):
            name = statement.name.name
            scope.values[name] = Unusable("LAM103", f"`{name}` is an `out`, which cannot be read", OUT_HINT)
    return open_sizes


def declare_axes(layer: syntax.Layer, scope: Scope, assembly: Assembly) -> None:
    """Enters every axis of the layer: those of tensors, and those of `axis` statements."""
    given = _axis_statements(layer, scope, assembly)
    scope.axes.update((name, AxisSlot(scope.prefix + name, None)) for name in given if name not in scope.axes)
    for declaration in _declarations(layer):
        for entry in declaration.entries:
            if isinstance(entry, syntax.Ellipsis) and scope.ellipsis is None:
                assembly.add_axis(ELLIPSIS, length_symbol(ELLIPSIS))
                scope.ellipsis = (Entry((ELLIPSIS,)),)
            is_product = split_axes(entry) is not None
            for name in _axis_names(entry):
                _enter_axis(name, scope, assembly, is_product, given)
    for statement in layer.statements:
        if isinstance(statement, syntax.AxisStatement) and given.get(statement.axis.name) is statement:
            slot = AxisSlot(scope.prefix + statement.axis.name, None)
            try:
                length = integer(statement.length, scope, assembly.reporter)
                _refuse_negative(length, statement.length, assembly)
                slot = assembly.add_axis(slot.name, length)
            except Failed:
                slot = assembly.add_axis(slot.name, length_symbol(slot.name))
            scope.axes[statement.axis.name] = slot
    for node in _listed_axes(layer):
        if node.name in scope.sizes and node.name not in scope.axes:
            scope.axes[node.name] = assembly.add_axis(scope.prefix + node.name, scope.sizes[node.name])
    for node in _named_axes_of_expressions(layer):
        if node.name not in scope.axes and node.name not in scope.sizes:
            scope.axes[node.name] = AxisSlot(scope.prefix + node.name, None)


def _axis_statements(layer: syntax.Layer, scope: Scope, assembly: Assembly) -> dict[str, syntax.AxisStatement]:
    given: dict[str, syntax.AxisStatement] = {}
    for statement in layer.statements:
        if isinstance(statement, syntax.AxisStatement):
            name = statement.axis.name
            if name in scope.sizes:
                assembly.reporter.error("LAM102", f"`{name}` is already a size of the layer", statement.axis.span)
            elif name in given:
                assembly.reporter.error(
                    "LAM102", f"axis `{name}` is already declared in line {given[name].span.line}", statement.axis.span
                )
            else:
                given[name] = statement
    return given


def _enter_axis(
    node: syntax.AxisName, scope: Scope, assembly: Assembly, is_axis: bool, given: dict[str, syntax.AxisStatement]
) -> None:
    """A name in an entry is an axis if it stands alone or in a product, or else if it is no size (then its length is solved)."""
    name = node.name
    if name in scope.axes or name in given or (name in scope.sizes and not is_axis):
        return
    unique = scope.prefix + name
    scope.axes[name] = assembly.add_axis(unique, scope.sizes.get(name, length_symbol(unique)))


def _declarations(layer: syntax.Layer) -> Iterator[syntax.Declaration]:
    return (statement for statement in layer.statements if isinstance(statement, syntax.Declaration))


def split_axes(entry: syntax.Expression | syntax.Ellipsis) -> tuple[syntax.AxisName, ...] | None:
    """The factors of an entry that is an axis name or a product of axis names, else None."""
    if isinstance(entry, syntax.AxisName):
        return (entry,)
    if isinstance(entry, syntax.Binary) and entry.operator == "mul" and isinstance(entry.right, syntax.AxisName):
        left = split_axes(entry.left)
        return None if left is None else (*left, entry.right)
    return None


def _axis_names(node: syntax.Node) -> Iterator[syntax.AxisName]:
    if isinstance(node, syntax.AxisName):
        yield node
    for child in syntax.children(node):
        yield from _axis_names(child)


def _listed_axes(layer: syntax.Layer) -> Iterator[syntax.AxisName]:
    """The axes that lets and outs list; a size among them is an axis."""
    for statement in layer.statements:
        if isinstance(statement, (syntax.Let, syntax.Out)):
            for entry in statement.entries or ():
                yield from split_axes(entry) or ()


def _named_axes_of_expressions(layer: syntax.Layer) -> Iterator[syntax.AxisName]:
    """Axes that transforms and annotated lets may bring: their lengths are settled there."""
    for statement in layer.statements:
        if isinstance(statement, syntax.Let):
            for entry in statement.entries or ():
                yield from split_axes(entry) or ()
        if isinstance(statement, (syntax.Let, syntax.Out)):
            yield from _transform_targets(statement.value)


def _transform_targets(node: syntax.Node) -> Iterator[syntax.AxisName]:
    if isinstance(node, syntax.Transform):
        yield node.target
    if isinstance(node, syntax.Call):
        yield from node.axes
    for child in syntax.children(node):
        yield from _transform_targets(child)


def _refuse_negative(length: Length, node: syntax.Node, assembly: Assembly) -> None:
    """A negative length is a mistake; one that may be negative is refused at the call, where it is."""
    reporter = assembly.reporter
    if isinstance(length, int):
        if length < 0:
            raise reporter.error("LAM304", "a length cannot be negative", node.span, "0 or more", str(length))
    elif lengths.at_most(0, length) is not True:
        message = f"the length `{reporter.excerpt(node.span)}` is negative"
        assembly.require(sympy.Ge(length, 0), f"0 <= {lengths.text_of(length)}", message, reporter.place(node.span))


# ---------------------------------------------------------------------------------------------- tensors


def declare_tensors(layer: syntax.Layer, scope: Scope, assembly: Assembly) -> None:
    """Enters every tensor of the layer. One with mistakes is entered as unusable."""
    for declaration in _declarations(layer):
        name = declaration.name.name
        if not claim(declaration.name, scope, assembly):
            continue
        try:
            declare_tensor(declaration, scope, assembly)
        except Failed:
            scope.values[name] = Unusable()


def claim(name: syntax.Name, scope: Scope, assembly: Assembly) -> bool:
    """Whether a name of a tensor, let or out is new; if not, that is reported."""
    earlier = scope.values.get(name.name)
    if earlier is None or (isinstance(earlier, Unusable) and earlier.code == "LAM103"):
        return True
    assembly.reporter.error("LAM102", f"`{name.name}` is already declared in this layer", name.span, hint="choose another name")
    return False


def declare_tensor(declaration: syntax.Declaration, scope: Scope, assembly: Assembly) -> None:
    """Enters one tensor. Raises Failed where its axes or its dtype are wrong."""
    reporter = assembly.reporter
    name = declaration.name.name
    unique = scope.prefix + name
    dtype = "float"
    if declaration.dtype is not None:
        dtype = declaration.dtype.name
        if dtype not in DTYPES:
            reporter.error(
                "LAM109",
                f"unknown dtype `{dtype}`",
                declaration.dtype.span,
                ", ".join(DTYPES),
                f"`{dtype}`",
                nearest(dtype, DTYPES),
            )
            dtype = "float"
        elif declaration.role == "param" and DTYPES[dtype] in ("int", "bool"):
            reporter.error(
                "LAM401",
                "a parameter is trained, so it cannot hold integers or truth values",
                declaration.dtype.span,
                "a real or complex dtype",
                f"`{dtype}`",
                "make it a `buffer`",
            )
    dimensions, entries = entries_of(declaration, unique, scope, assembly)
    readable = Readable(name, unique, DTYPES[dtype], dimensions)
    scope.values[name] = readable
    init: Init | None = None
    with suppress(Failed):
        init = check_init(declaration, readable, scope, assembly)
    assembly.tensors.append(Tensor(unique, declaration.role, entries, dtype, init, reporter.place(declaration.span)))


def entries_of(
    declaration: syntax.Declaration, unique: str, scope: Scope, assembly: Assembly
) -> tuple[tuple[Dimension, ...], tuple[Entry, ...]]:
    """The stored dimensions of a declared tensor."""
    dimensions: list[Dimension] = []
    entries: list[Entry] = []
    seen: list[str] = []
    for node in declaration.entries:
        if isinstance(node, syntax.Ellipsis):
            refuse_misplaced_ellipsis(node, dimensions, assembly)
            assert scope.ellipsis is not None
            dimensions.append(ellipsis_dimension(scope, assembly))
            entries.extend(scope.ellipsis)
            continue
        factors = split_axes(node)
        if factors is None:
            length = integer(node, scope, assembly.reporter)
            _refuse_negative(length, node, assembly)
            axis = f"{unique}.{len(entries)}"
            assembly.add_axis(axis, length)
            entries.append(Entry((axis,)))
            dimensions.append(Dimension((Entry((axis,)),), length, None, assembly.reporter.excerpt(node.span)))
            continue
        for factor in factors:
            refuse_repetition(factor, seen, assembly)
        entry = Entry(tuple(scope.axes[factor.name].name for factor in factors))
        entries.append(entry)
        dimensions.append(dimension_of(assembly, entry))
    return tuple(dimensions), tuple(entries)


def refuse_misplaced_ellipsis(node: syntax.Ellipsis, before: list[Dimension], assembly: Assembly) -> None:
    if before:
        raise assembly.reporter.error(
            "LAM207", "`...` stands for leading axes, so it comes first, and once", node.span, "`...` at the front"
        )


def refuse_repetition(node: syntax.AxisName, seen: list[str], assembly: Assembly) -> None:
    if node.name in seen:
        raise assembly.reporter.error(
            "LAM206",
            f"axis `{node.name}` is named twice; one axis cannot be two dimensions",
            node.span,
            hint="give the second one a name of its own",
        )
    seen.append(node.name)


# ---------------------------------------------------------------------------------------------- lengths solved at the call


def check_solvable(layer: syntax.Layer, scope: Scope, assembly: Assembly) -> None:
    """Refuses length symbols that the shapes of the tensors do not determine."""
    stored: list[tuple[Length, Tensor]] = []
    for tensor in assembly.tensors:
        for entry in tensor.entries:
            length = assembly.entry_length(entry)
            if not isinstance(length, int):
                stored.append((length, tensor))
    solved: set[str] = set()
    progress = True
    while progress:
        progress = False
        for length, _ in stored:
            open_symbols = [name for name in lengths.symbols_of(length) if name not in solved]
            if len(open_symbols) == 1 and lengths.solvable_for(length, length_symbol(open_symbols[0])):
                solved.add(open_symbols[0])
                progress = True
    reported: set[str] = set()
    for length, tensor in stored:
        names = [name for name in lengths.symbols_of(length) if name not in solved]
        if names and not reported & set(names):
            reported.update(names)
            listed = " and ".join(f"`{name}`" for name in names)
            assembly.reporter.error(
                "LAM209",
                f"the shape of `{tensor.name}` does not determine {listed}",
                tensor.span,
                "one unknown length in each stored axis, in a product or sum",
                f"`{lengths.text_of(length)}`",
                f"make {names[0]} a size of the layer, or an axis of its own in another tensor",
            )
    for size in layer.sizes:
        value = scope.sizes[size.name]
        names = [name for name in lengths.symbols_of(value) if name not in solved and name not in reported]
        if names:
            reported.update(names)
            assembly.reporter.error(
                "LAM307",
                f"size `{size.name}` has no value, and no tensor of the layer has it for a length",
                size.span,
                hint=f"give it a value: lamina.compile(..., sizes={{'{names[0]}': ...}}), or a default: `{size.name} = 4`",
            )
    used = {name for length in assembly.axes.values() for name in lengths.symbols_of(length)}
    for name in sorted(used - solved - reported):
        assembly.reporter.error(
            "LAM209",
            f"no tensor of the layer determines the length `{name}`",
            layer.name.span,
            hint="make it a size of the layer, or the length of an axis of a tensor",
        )

"""From syntax tree to checked layer: the front end's entry points.

In: a specification (its path, its text, or the name of a library entry), the layer wanted and values for its sizes.
Out: `CheckedLayer`, or a `SpecError` that lists every mistake found.
Holds: whatever the text, no other exception than `SpecError` and `ArgumentError` is raised.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from pathlib import Path

import sympy

from ..errors import ArgumentError, SpecError
from ..spans import Span
from . import lengths, syntax
from .checked import Axis, CheckedLayer
from .declarations import check_sizes_and_names, check_solvable, declare_axes, declare_tensors
from .definitions import Module
from .diagnostics import Failed, Reporter, nearest
from .extrema import seen_extrema
from .library import ResolveUse, Workspace
from .scope import Assembly, Scope
from .statements import check_statements


def load(spec: str | Path, layer: str | None = None, sizes: Mapping[str, int] | None = None) -> CheckedLayer:
    """The checked layer of a specification.

    `spec` is a path to a file, the text itself, or the name of an entry of the layer library. `layer` names the layer wanted where
    a file has several; `sizes` gives compile-time sizes by name. Raises `SpecError` for mistakes in the text, and `ArgumentError`
    for a layer or a size that is not there.
    """
    reporter = Reporter()
    workspace = Workspace(reporter)
    try:
        module, named = workspace.open(spec)
        if reporter.diagnostics:
            _check_all(module, reporter)
            reporter.raise_if_any()
        return _check_one(module, layer or named, sizes or {}, reporter)
    except RecursionError:
        raise _stack_exhausted(str(spec)) from None


def check(
    file: syntax.File, layer: str | None = None, sizes: Mapping[str, int] | None = None, resolve_use: ResolveUse | None = None
) -> CheckedLayer:
    """The checked layer of a parsed file. `resolve_use` finds the files that `use` names; see `library.py`."""
    reporter = Reporter()
    workspace = Workspace(reporter, resolve_use)
    try:
        return _check_one(workspace.module_of(file), layer, sizes or {}, reporter)
    except RecursionError:
        raise _stack_exhausted(file.name) from None


def check_file(file: syntax.File, resolve_use: ResolveUse | None = None) -> tuple[CheckedLayer, ...]:
    """Every layer of a parsed file, checked; raises `SpecError` with the mistakes of all of them.

    Sizes without a default stay open. A layer that needs the value of one cannot be checked to the end without it, and is left out.
    """
    reporter = Reporter()
    workspace = Workspace(reporter, resolve_use)
    try:
        module = workspace.module_of(file)
        layers = _check_all(module, reporter)
    except RecursionError:
        raise _stack_exhausted(file.name) from None
    reporter.raise_if_any()
    return layers


def _check_all(module: Module, reporter: Reporter) -> tuple[CheckedLayer, ...]:
    """Every layer that can be checked with its sizes' defaults; the mistakes of the others go to the reporter."""
    layers = []
    for layer in module.layers:
        if module.file.is_damaged(layer):
            continue
        trial = reporter.branch()
        found = _check_layer(layer, module, {}, trial)
        if reporter.merge(trial, without="LAM307") and found is not None:
            layers.append(found)
    return tuple(layers)


def _stack_exhausted(name: str) -> SpecError:
    reporter = Reporter()
    reporter.error(
        "LAM004", "nested too deeply for this Python's stack", Span(name, 1, 1, 1, 1), hint="give parts names with `let`"
    )
    return SpecError(reporter.diagnostics)


def _check_one(module: Module, wanted: str | None, sizes: Mapping[str, int], reporter: Reporter) -> CheckedLayer:
    layer = _choose(module, wanted, reporter)
    _check_size_arguments(layer, sizes)
    found = _check_layer(layer, module, sizes, reporter)
    if found is None:
        _check_all(module, reporter)
        raise SpecError(reporter.diagnostics)
    return found


def _choose(module: Module, wanted: str | None, reporter: Reporter) -> syntax.Layer:
    """The layer wanted, or the only one there is."""
    layers = module.layers
    listed = ", ".join(f"`{layer.name.name}`" for layer in layers)
    if wanted is not None:
        for layer in layers:
            if layer.name.name == wanted:
                return layer
        reporter.raise_if_any()
        hint = nearest(wanted, [layer.name.name for layer in layers])
        raise ArgumentError(
            f"{module.file.name} has no layer `{wanted}`; expected one of: {listed or 'none'}{f'; {hint}' if hint else ''}"
        )
    if len(layers) == 1:
        return layers[0]
    start = Span(module.file.name, 1, 1, 1, 1)
    if not layers:
        reporter.error("LAM606", "no layer in this file", start, "layer NAME { ... }")
    else:
        second = layers[1].name.span
        reporter.error(
            "LAM606",
            "several layers, and none chosen",
            second,
            f"the name of one: {listed}",
            hint="lamina.compile(..., layer=NAME)",
        )
    raise SpecError(reporter.diagnostics)


def _check_size_arguments(layer: syntax.Layer, sizes: Mapping[str, int]) -> None:
    names = [size.name for size in layer.sizes]
    for name, value in sizes.items():
        if name not in names:
            hint = nearest(name, names)
            listed = ", ".join(f"`{known}`" for known in names) or "none"
            raise ArgumentError(
                f"layer `{layer.name.name}` has no size `{name}`; its sizes are: {listed}{f'; {hint}' if hint else ''}"
            )
        if isinstance(value, bool) or not isinstance(value, Integral) or not 0 <= value <= lengths.LARGEST:
            raise ArgumentError(f"size `{name}` of layer `{layer.name.name}`: expected an integer of 0 or more, found {value!r}")


def _check_layer(layer: syntax.Layer, module: Module, sizes: Mapping[str, int], reporter: Reporter) -> CheckedLayer | None:
    """The checked layer; None where the reporter was told of mistakes."""
    assembly = Assembly(reporter)
    scope = Scope(module)
    before = len(reporter.diagnostics)
    try:
        check_sizes_and_names(layer, {name: int(value) for name, value in sizes.items()}, scope, assembly)
        declare_axes(layer, scope, assembly)
        declare_tensors(layer, scope, assembly)
        with assembly.opened(layer):
            check_statements(layer.statements, scope, assembly)
        if not any(isinstance(statement, syntax.Out) for statement in layer.statements):
            reporter.error("LAM605", f"layer `{layer.name.name}` has no `out`", layer.name.span, "at least one `out`")
        if len(reporter.diagnostics) == before:
            check_solvable(layer, scope, assembly)
    except Failed:
        pass
    if len(reporter.diagnostics) > before:
        return None
    seen = seen_extrema(assembly.statements)
    needed = [requirement for axis, place, requirement in assembly.extrema if (axis, place) in seen]
    values = ((name, value if isinstance(value, int) else None) for name, value in scope.sizes.items())
    return CheckedLayer(
        layer.name.name,
        tuple(values),
        tuple(Axis(name, sympy.sympify(length)) for name, length in assembly.axes.items()),
        tuple(assembly.tensors),
        tuple(assembly.statements),
        tuple(dict.fromkeys((*assembly.requirements, *needed))),
        tuple(assembly.accuracies),
        layer.text,
    )

"""What a file defines and uses: its constants, defs and layers, those it takes from other files, and the prelude's.

In: a parsed file, and how to find the files it uses. Out: `Module`, which finds a definition by name.
Holds: after `check_definitions`, no def or constant that is not in `failed` refers to itself or to an unknown name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Union

from . import functions, syntax
from .diagnostics import Reporter, nearest

Definition = Union[syntax.Const, syntax.Def, syntax.Layer]


@dataclass(eq=False)
class Module:
    """A file's definitions by name. `failed` holds those with mistakes, which are reported already."""

    file: syntax.File
    prelude: Module | None = None
    own: dict[str, Definition] = field(default_factory=dict)
    used: dict[str, Module] = field(default_factory=dict)
    failed: list[Definition] = field(default_factory=list)
    broken: frozenset[str] = frozenset()
    library_names: Callable[[], Iterable[str]] = tuple

    def _find(self, name: str, kind: type) -> tuple[Definition, Module] | None:
        found = self.own.get(name)
        if found is not None:
            return (found, self) if isinstance(found, kind) else None
        if name in self.used:
            return self.used[name]._find(name, kind)
        return self.prelude._find(name, kind) if self.prelude is not None else None

    def constant(self, name: str) -> tuple[syntax.Const, Module] | None:
        return self._find(name, syntax.Const)  # type: ignore[return-value]

    def has_failed(self, definition: Definition) -> bool:
        """Whether a definition has mistakes of its own, which are reported at its place."""
        return any(definition is failed for failed in self.failed)

    def definition(self, name: str) -> tuple[syntax.Def, Module] | None:
        return self._find(name, syntax.Def)  # type: ignore[return-value]

    def layer(self, name: str) -> tuple[syntax.Layer, Module] | None:
        return self._find(name, syntax.Layer)  # type: ignore[return-value]

    def _names(self, kind: type) -> list[str]:
        names = [name for name, definition in self.own.items() if isinstance(definition, kind)]
        names += [name for name, module in self.used.items() if module._find(name, kind)]
        return names + (self.prelude._names(kind) if self.prelude is not None else [])

    def constant_names(self) -> list[str]:
        return self._names(syntax.Const)

    def definition_names(self) -> list[str]:
        return self._names(syntax.Def)

    def layer_names(self) -> list[str]:
        return self._names(syntax.Layer)

    def is_library_entry(self, name: str) -> bool:
        return name in self.library_names()

    @property
    def layers(self) -> tuple[syntax.Layer, ...]:
        return tuple(item for item in self.file.items if isinstance(item, syntax.Layer))


def collect(module: Module, reporter: Reporter) -> None:
    """Enters the items of the module's file under their names."""
    for item in module.file.items:
        if isinstance(item, syntax.Use):
            continue
        name = item.name.name
        if (
            name in functions.FUNCTIONS
            or name in functions.REDUCTIONS
            or (isinstance(item, syntax.Def) and name in ("len", "index", "normal", "uniform", "fit"))
        ):
            reporter.error("LAM106", f"`{name}` is built in and cannot be redefined", item.name.span, hint="choose another name")
            continue
        earlier = module.own.get(name)
        if earlier is not None or name in module.used:
            where = f" in line {earlier.span.line}" if earlier is not None else " by `use`"
            reporter.error("LAM102", f"`{name}` is already defined{where}", item.name.span, hint="choose another name")
            continue
        module.own[name] = item


def check_definitions(module: Module, reporter: Reporter) -> None:
    """Checks the names in every def and constant of the module, whether used or not."""
    for item in module.file.items:
        if isinstance(item, (syntax.Const, syntax.Def)):
            checker = _NameChecker(module, item, reporter)
            checker.check()
            if checker.has_failed:
                module.failed.append(item)
    _check_recursion(module, reporter)


class _NameChecker:
    """Looks up every name in one def or constant."""

    def __init__(self, module: Module, item: syntax.Const | syntax.Def, reporter: Reporter) -> None:
        self._module = module
        self._item = item
        self._reporter = reporter
        self._axes = frozenset(axis.name for axis in item.axes) if isinstance(item, syntax.Def) else frozenset()
        self.has_failed = False

    def check(self) -> None:
        if isinstance(self._item, syntax.Const):
            self._walk(self._item.value, frozenset())
            return
        for names in (self._item.axes, self._item.parameters):
            seen: list[str] = []
            for name in names:
                if name.name in seen:
                    self._error("LAM102", f"`{name.name}` is named twice", name)
                seen.append(name.name)
        self._walk(self._item.body, frozenset(parameter.name for parameter in self._item.parameters))

    def _error(self, code: str, message: str, node: syntax.Node, hint: str | None = None, expected: str | None = None) -> None:
        self._reporter.error(code, message, node.span, expected, hint=hint)
        self.has_failed = True

    def _walk(self, node: syntax.Node, bound: frozenset[str]) -> None:
        if isinstance(node, syntax.Reduction):
            for item in node.over:
                self._walk(item, bound)
            self._walk(node.body, bound | {item.name for item in node.over if isinstance(item, syntax.Range)})
            return
        if isinstance(node, (syntax.Scan, syntax.Iterate)):
            bindings = (node.binding,) if isinstance(node, syntax.Scan) else node.bindings
            bodies = (node.body,) if isinstance(node, syntax.Scan) else node.bodies
            self._walk(node.axis if isinstance(node, syntax.Scan) else node.count, bound)
            for binding in bindings:
                self._walk(binding.initial, bound)
            for body in bodies:
                self._walk(body, bound | {binding.name for binding in bindings})
            return
        if isinstance(node, syntax.Name):
            self._name(node, bound)
        elif isinstance(node, syntax.AxisName):
            self._axis(node)
        elif isinstance(node, syntax.Read):
            self._error(
                "LAM110",
                "the body of a `def` or `const` cannot index a tensor",
                node,
                "index it in the layer, and pass the value",
            )
            return
        for child in syntax.children(node):
            if not (isinstance(node, syntax.Call) and child is node.function):
                self._walk(child, bound)
        if isinstance(node, syntax.Call):
            self._function(node)

    def _name(self, node: syntax.Name, bound: frozenset[str]) -> None:
        module = self._module
        if node.name in bound or module.constant(node.name) or node.name in functions.CONSTANTS or node.name in module.broken:
            return
        if node.name in functions.FUNCTIONS or module.definition(node.name):
            self._error("LAM110", f"`{node.name}` is a function", node, f"call it: `{node.name}(...)`")
            return
        known = [*sorted(bound), *module.constant_names(), *functions.CONSTANTS]
        hint = nearest(node.name, known) or "pass what the body needs as a parameter"
        self._error("LAM101", f"unknown name `{node.name}`", node, hint)

    def _axis(self, node: syntax.AxisName) -> None:
        if node.name in self._axes:
            return
        if isinstance(self._item, syntax.Const):
            self._error("LAM201", f"a constant cannot use the axis or size `{node.name}`", node, expected="numbers and constants")
            return
        hint = nearest(node.name, self._axes) or f"make it an axis parameter: `def {self._item.name.name}[{node.name}](...)`"
        self._error("LAM201", f"unknown axis `{node.name}`", node, hint)

    def _function(self, node: syntax.Call) -> None:
        name = node.function.name
        if name in functions.FUNCTIONS or self._module.definition(name) or name in self._module.broken:
            return
        if self._module.layer(name):
            self._error("LAM503", f"`{name}` is a layer; a def cannot call it", node, "call it in a layer, alone after a `let`")
            return
        hint = nearest(name, [*functions.FUNCTIONS, *functions.REDUCTIONS, *self._module.definition_names()])
        if self._module.is_library_entry(name):
            hint = f"it is in the library: write `use {name}` first"
        if name in functions.REDUCTIONS:
            hint = f"name the axis: `{name}[AXIS](...)`"
        self._error("LAM107", f"unknown function `{name}`", node.function, hint)


def _check_recursion(module: Module, reporter: Reporter) -> None:
    """Refuses every def and constant of the module that comes back to itself."""
    state: dict[str, str] = {}

    def visit(name: str, path: tuple[str, ...]) -> bool:
        """Whether the definition is free of recursion."""
        item = module.own.get(name)
        if not isinstance(item, (syntax.Const, syntax.Def)) or state.get(name) == "good":
            return True
        if state.get(name) == "open":
            cycle = [*path[path.index(name) :], name]
            chain = " -> ".join(f"`{step}`" for step in cycle)
            reporter.error(
                "LAM105", f"`{name}` is defined in terms of itself", item.name.span, "a definition without recursion", chain
            )
            return False
        if state.get(name) == "bad":
            return False
        state[name] = "open"
        good = True
        for used in _names_in(item.value if isinstance(item, syntax.Const) else item.body):
            if not visit(used, (*path, name)):
                good = False
                break
        state[name] = "good" if good else "bad"
        if not good:
            module.failed.append(item)
        return good

    for name in module.own:
        visit(name, ())


def _names_in(node: syntax.Node) -> list[str]:
    """Every lower-case name in an expression, in order."""
    names: list[str] = []
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, syntax.Name):
            names.append(current.name)
        stack.extend(reversed(syntax.children(current)))
    return list(dict.fromkeys(names))

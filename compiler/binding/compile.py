"""From a specification to a layer.

In: a specification's path, text or library name. Out: `Layer`. Holds: the text is read and checked at once; graphs of derivatives,
programs and shared objects come when a call needs them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import ArgumentError, TargetError
from ..ir.fingerprint import fingerprint
from ..ir.graph import Graph
from ..lang.check import load
from ..lang.checked import CheckedLayer
from . import graphs
from .functions import Functions
from .initial import initialisers
from .interface import Interface, conditions
from .layer import Layer, from_functions
from .source import CompiledSource

TARGETS = ("auto", "cpp", "reference")
PLANNED_TARGETS = ("triton", "cuda")


def compile(
    spec: str | os.PathLike[str], layer: str | None = None, target: str = "auto", sizes: Mapping[str, int] | None = None
) -> Layer:
    """The layer of a specification.

    `spec`: a path, the text itself, or the name of a library entry; `layer`: which, where there are several; `target`: "auto"
    (by the tensors' device), "cpp", or "reference" (the interpreter, for debugging); `sizes`: compile-time sizes by name.
    Errors: SpecError (the text), ArgumentError (a layer, target or size that there is not).
    """
    if target in PLANNED_TARGETS:
        raise TargetError(f"target {target}: expected one of {', '.join(TARGETS)}; {target} is not generated yet")
    if target not in TARGETS:
        raise ArgumentError(f"target: expected one of {', '.join(TARGETS)}, found {target!r}")
    found = spec if isinstance(spec, str | Path) else Path(os.fspath(spec))
    checked = load(found, layer, dict(sizes or {}))
    given = dict(sizes or {})

    def resized(changed: Mapping[str, int]) -> Layer:
        return compile(found, layer, target, {**given, **changed})

    return from_checked(checked, target, (compile, (found, layer, target, given)), resized)


def from_checked(
    checked: CheckedLayer,
    target: str,
    recipe: tuple[Callable[..., Layer], tuple[Any, ...]],
    resized: Callable[[Mapping[str, int]], Layer],
) -> Layer:
    """The layer of a checked specification; see `from_functions`."""
    # inputs first, whatever the order of the declarations: so they are called
    ordered = sorted(checked.tensors, key=lambda tensor: tensor.role != "in")
    checked = replace(checked, tensors=tuple(ordered))
    graph = graphs.layer_graph(checked)
    interface = Interface(graph, conditions(checked))
    kind = "reference" if target == "reference" else "cpp"
    name = operator_name(checked, graph, kind)
    functions = Functions(interface, CompiledSource(graph, kind))
    return from_functions(functions, name, initialisers(checked), checked.text, recipe, dict(checked.sizes), target, resized)


def operator_name(checked: CheckedLayer, graph: Graph, kind: str) -> str:
    """NAME_HASH: the same for the same layer, sizes and licences in every process, and for no other."""
    parts = [fingerprint(graph), checked.text, repr(checked.sizes), repr(checked.accuracies), kind]
    parts += [f"{each.text}: {each.message}" for each in checked.requirements]
    return f"{checked.name}_{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:12]}"

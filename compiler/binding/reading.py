"""What the front end finds in a specification, as far as a layer needs it.

In: a specification's path, text or library name. Out: `Reading`. Holds: this module brings the whole front end in, and is imported
only where a layer is not known from the cache, or something is asked that the cache does not hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ..ir.fingerprint import fingerprint
from ..ir.graph import Graph
from ..lang.check import load
from ..lang.checked import CheckedLayer
from . import graphs
from .initial import Initialiser, initialisers
from .interface import Interface
from .solving import conditions, interface_of


@dataclass(frozen=True)
class Reading:
    """A checked layer and its graph as written; `operator`: the name of its operators."""

    checked: CheckedLayer
    graph: Graph
    operator: str

    @cached_property
    def interface(self) -> Interface:
        return interface_of(self.graph, conditions(self.checked))

    @cached_property
    def initial(self) -> tuple[Initialiser, ...]:
        return initialisers(self.checked)


def read(spec: str | Path, layer: str | None, sizes: Mapping[str, int], target: str) -> Reading:
    """The layer of a specification, for a target. Errors: SpecError, ArgumentError."""
    checked = load(spec, layer, sizes)
    # inputs first, whatever the order of the declarations: so they are called
    checked = replace(checked, tensors=tuple(sorted(checked.tensors, key=lambda tensor: tensor.role != "in")))
    graph = graphs.layer_graph(checked)
    return Reading(checked, graph, operator_name(checked, graph, target))


def operator_name(checked: CheckedLayer, graph: Graph, target: str) -> str:
    """NAME_HASH: the same for the same layer, sizes and licences in every process, and for no other."""
    parts = [fingerprint(graph), checked.text, repr(checked.sizes), repr(checked.accuracies), target]
    parts += [f"{each.text}: {each.message}" for each in checked.requirements]
    return f"{checked.name}_{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:12]}"

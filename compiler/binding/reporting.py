"""The report of a layer: that of `lamina inspect FILE report`, of the programs made so far.

In: a layer. Out: `Report`. Holds: nothing is compiled for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..report import CompiledProgram, Fit, Report, build_report, licences_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .initial import Initialiser
    from .layer import Layer


def report(layer: Layer) -> Report:
    """What was decided for the layer, and for the programs that its calls have needed."""
    functions = layer._functions
    root = functions.root
    every = [root, *root.known(), *(each for _, pair in root.known_training() for each in pair)]
    known = {function.path: function for function in every}
    made = []
    for each in functions.source.made:
        function = known.get(each.path)  # a saved program's need not have been asked for
        graph, plan = (None, None) if function is None else functions.source.stages(function, each.signature, each.program.target)
        made.append(CompiledProgram(each.program, each.signature, graph, plan))
    return build_report(
        layer._interface.graph,
        layer.text,
        made,
        sizes=layer.sizes,
        requirements=[condition.text for condition in layer._interface.conditions],
        licences=licences_of(layer.text),
        fit=fit_of(layer._initial),
    )


def fit_of(initialisers: Sequence[Initialiser]) -> Fit | None:
    """What the parameters that are fitted together reach; None where none is fitted."""
    fitted = [each for each in initialisers if each.fit is not None]
    if not fitted or fitted[0].fit is None:
        return None
    solution = fitted[0].fit.solution
    names = tuple(each.name for each in fitted)
    return Fit(names, solution["function"], solution["low"], solution["high"], solution["error"], solution.get("divisor"))

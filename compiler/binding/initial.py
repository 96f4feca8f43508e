"""The first values of parameters and buffers.

In: the initial values of a checked layer, and lengths. Out: tensors filled. Holds: what is computed from lengths and running
indices is computed by the interpreter, in float64, and rounded once; random values come from torch's generator, in the order of
declaration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..ir.build import build
from ..ir.graph import Graph
from ..ir.interpret import interpret
from ..lang.checked import (
    CheckedLayer,
    Entry,
    Expr,
    ExpressionInit,
    FitInit,
    NormalInit,
    Out,
    UniformInit,
    ValuesInit,
)
from ..lang.checked import Tensor as Declared
from .fit import Fit, fit_problem


@dataclass(frozen=True)
class Initialiser:
    """How one tensor starts. `graphs` give numbers from lengths alone: the deviation; the bounds; the values, in stored shape."""

    name: str
    kind: str  # "normal", "uniform", "values", "expression" or "fit"
    graphs: tuple[Graph, ...] = ()
    values: tuple[float, ...] = ()
    fit: Fit | None = None

    def fill(self, tensor: Tensor, lengths: Mapping[str, int]) -> None:
        """Fills a tensor of the stored shape; `lengths` has every length that its shape and its values need."""
        with torch.no_grad():
            if self.kind == "normal":
                tensor.normal_(0.0, self._number(0, lengths))
            elif self.kind == "uniform":
                low, high = self._number(0, lengths), self._number(1, lengths)
                # of an empty interval, low is the only value
                tensor.uniform_(low, high) if low < high else tensor.fill_(low)
            elif self.kind == "values":
                tensor.copy_(torch.tensor(self.values, dtype=torch.float64).expand(tensor.shape))
            elif self.kind == "expression":
                tensor.copy_(torch.from_numpy(self._evaluate(0, lengths)).reshape(tensor.shape))
            else:
                assert self.fit is not None
                tensor.copy_(torch.from_numpy(self.fit.stored(self.name, lengths)).reshape(tensor.shape))

    def _evaluate(self, number: int, lengths: Mapping[str, int]) -> Any:
        return interpret(self.graphs[number], {}, lengths)["value"]

    def _number(self, number: int, lengths: Mapping[str, int]) -> float:
        return float(self._evaluate(number, lengths))


def initialisers(checked: CheckedLayer) -> tuple[Initialiser, ...]:
    """One for each parameter and buffer, in declared order."""
    fits = any(isinstance(tensor.init, FitInit) for tensor in checked.tensors)
    fit = fit_problem(checked, fixed_values(checked)) if fits else None
    return tuple(_initialiser(checked, tensor, fit) for tensor in checked.tensors if tensor.role != "in")


def _initialiser(checked: CheckedLayer, tensor: Declared, fit: Fit | None) -> Initialiser:
    init = tensor.init
    if isinstance(init, NormalInit):
        return Initialiser(tensor.name, "normal", (expression_graph(checked, (), init.deviation),))
    if isinstance(init, UniformInit):
        bounds = (expression_graph(checked, (), init.low), expression_graph(checked, (), init.high))
        return Initialiser(tensor.name, "uniform", bounds)
    if isinstance(init, ValuesInit):
        return Initialiser(tensor.name, "values", values=init.values)
    if isinstance(init, ExpressionInit):
        return Initialiser(tensor.name, "expression", (expression_graph(checked, tensor.entries, init.value),))
    return Initialiser(tensor.name, "fit", fit=fit)


def fixed_values(checked: CheckedLayer) -> dict[str, Initialiser]:
    """The initialisers of the tensors that start from given values, neither fitted nor random."""
    return {
        tensor.name: _initialiser(checked, tensor, None)
        for tensor in checked.tensors
        if isinstance(tensor.init, ValuesInit | ExpressionInit)
    }


def expression_graph(checked: CheckedLayer, entries: Sequence[Entry], value: Expr) -> Graph:
    """The graph of an expression of lengths and running indices, without inputs; its output is "value"."""
    named = {axis for entry in entries for axis in entry.axes} | set(value.axes)
    alone = replace(
        checked,
        axes=tuple(axis for axis in checked.axes if axis.name in named),
        tensors=(),
        statements=(Out("value", tuple(entries), value, value.span),),
        requirements=(),
    )
    return build(alone)

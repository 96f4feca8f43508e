"""Arguments for trials of a layer: lengths that it allows, and random tensors of them.

In: a layer. Out: `Problem`s, and tensors in the layer's order. Holds: the same on every run for the same seed; parameters lie
around their initial values, inputs in [-2, 2]; every shape meets the layer's requirements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import ArgumentError
from ..ir.graph import TensorSpec
from ..ir.lengths import evaluate, symbols
from ..lang.checked import ELLIPSIS
from ..runtime.execute import TORCH_DTYPES, Bound

if TYPE_CHECKING:
    from ..binding.layer import Layer

_SMALL = (2, 3, 4, 5, 6, 8)
_PRIME = (7, 11, 5, 13, 17, 3)
_LARGEST_SEARCH = 4000
_INPUT_RANGE = 2.0
# Parameters are moved off their initial values, which are often special: zeros, ones, all rows equal.
_SHARE, _LEAST = 0.1, 0.05


@dataclass(frozen=True)
class Problem:
    """Values for the lengths that a layer leaves open; `leading` stands for `...`."""

    title: str
    lengths: Mapping[str, int]
    leading: tuple[int, ...]

    def __str__(self) -> str:
        named = ", ".join(f"{name}={length}" for name, length in self.lengths.items() if name != ELLIPSIS)
        shape = "x".join(map(str, self.leading)) or "scalar"
        return ", ".join(part for part in (f"...={shape}" if ELLIPSIS in self.lengths else "", named) if part) or "fixed lengths"


def problems(layer: Layer) -> tuple[Problem, ...]:
    """A small problem, one of odd prime lengths, one of length 1; those that the layer's requirements allow.

    Where they forbid a set of lengths, others near it are tried. Errors: ArgumentError where none is found at all.
    """
    names = open_lengths(layer)
    wanted = (("small", _SMALL, (2, 3)), ("odd", _PRIME, (5,)), ("length 1", (1,) * len(_SMALL), (1,)))
    found: dict[tuple[object, ...], Problem] = {}
    for title, values, leading in wanted:
        problem = _nearest(layer, title, names, values, leading)
        if problem is not None:
            found.setdefault((tuple(problem.lengths.items()), problem.leading), problem)
    if not found:
        conditions = "; ".join(condition.text for condition in layer._interface.conditions)
        raise ArgumentError(f"layer {layer.name}: no small lengths were found that its requirements allow: {conditions}")
    return tuple(found.values())


def open_lengths(layer: Layer) -> tuple[str, ...]:
    """The names of the lengths that a call decides, `...` among them."""
    graph = layer._interface.graph
    return tuple(dict.fromkeys(symbol.name for axis in graph.axes for symbol in symbols(axis.length)))


def _nearest(layer: Layer, title: str, names: Sequence[str], values: Sequence[int], leading: tuple[int, ...]) -> Problem | None:
    others = [name for name in names if name != ELLIPSIS]
    first = [values[number % len(values)] for number in range(len(others))]
    choices = [dict.fromkeys([start, *_SMALL, *_PRIME, 16, 12, 1]) for start in first]
    for lengths in islice(product(*choices), _LARGEST_SEARCH):
        problem = Problem(title, dict(zip(others, lengths, strict=True)) | ({ELLIPSIS: 0} if ELLIPSIS in names else {}), leading)
        if allows(layer, problem):
            return problem
    return None


def allows(layer: Layer, problem: Problem) -> bool:
    """Whether the layer takes tensors of these lengths."""
    try:
        layer._interface.bind([shape(layer, spec, problem) for spec in layer._interface.inputs])
    except (ArgumentError, ValueError, KeyError):
        return False
    return True


def bound(layer: Layer, problem: Problem) -> Bound:
    """Every length of a problem. Errors: ValueError where one is no whole number."""
    count = 1
    for length in problem.leading:
        count *= length
    values = {**problem.lengths, ELLIPSIS: count}
    graph = layer._interface.graph
    known = {name: values[name] for name in open_lengths(layer)}
    every = {axis.name: evaluate(axis.length, known) for axis in graph.axes}
    return Bound({**known, **every}, problem.leading if ELLIPSIS in known else ())


def shape(layer: Layer, spec: TensorSpec, problem: Problem) -> tuple[int, ...]:
    """The stored shape of one of the layer's tensors."""
    return tuple(layer._interface.shape(spec, bound(layer, problem)))


def draw(layer: Layer, problem: Problem, dtype: str, seed: int = 0) -> list[Tensor]:
    """All tensors in the layer's order, those declared float of `dtype`: drawn in float64, then rounded."""
    lengths = bound(layer, problem).values
    drawn = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for spec in layer._interface.inputs:
            size = shape(layer, spec, problem)
            kind = spec.dtype
            if kind == "bool":
                drawn.append(torch.rand(size) < 0.5)
            elif kind in ("i64", "i32"):
                # as an index it fits every axis
                drawn.append(torch.randint(0, max(1, min(lengths.values())), size, dtype=TORCH_DTYPES[kind]))
            else:
                drawn.append(_floating(layer, spec, size, lengths).to(storage(kind, dtype)))
    return drawn


def storage(declared: str, dtype: str) -> torch.dtype:
    """The dtype that a tensor declared so is stored as, where the call's is `dtype`."""
    named = {"float": dtype, "complex": "c128" if dtype == "f64" else "c64"}
    return TORCH_DTYPES[named.get(declared, declared)]


def _floating(layer: Layer, spec: TensorSpec, size: tuple[int, ...], lengths: Mapping[str, int]) -> Tensor:
    kind = torch.complex128 if spec.dtype in ("complex", "c64", "c128") else torch.float64
    initialiser = next((each for each in layer._initial if each.name == spec.name), None)
    if initialiser is None:
        values = (2 * torch.rand(size, dtype=torch.float64) - 1) * _INPUT_RANGE
        if kind.is_complex:
            values = torch.complex(values, (2 * torch.rand(size, dtype=torch.float64) - 1) * _INPUT_RANGE)
        return values
    values = torch.empty(size, dtype=kind)
    initialiser.fill(values, lengths)
    return values + (_SHARE * values.abs() + _LEAST) * torch.randn(size, dtype=kind)

"""Compiled results against the reference: values, gradients, second derivatives.

In: a layer compiled, and its graphs, run by the interpreter in float64. Out: `Comparison`s, one for each result and problem.
Holds: both are given the same numbers; the reference's own gradients are held against difference quotients of its values.

How large an error may be: a result r is compared at the scale |r| + s. Here s is how far r moves, to first order and measured on
a few random draws, when every argument t moves by max(|t|, 1) and every value rounded on the way by its own magnitude (Monte Carlo
arithmetic; Parker, Pierce, Eggert, Computing in Science and Engineering 2(4), 2000). An error of one eps at that scale is that of
rounding everything once; cancellation in the layer itself counts against no one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import TargetError
from ..lang.checked import CheckedLayer
from ..report.stages import DIRECTIONS, refused
from ..runtime.execute import TORCH_DTYPES
from .arguments import Arguments, Results, wide
from .draw import Problem, problems
from .reference import Reference

if TYPE_CHECKING:
    from ..binding.layer import Layer

ORDERS = ("value", "gradients", "second derivatives")
# Allowed errors in eps at the scale of the result. The half precisions are computed in float32 and rounded once, at the store.
LIMITS = {"f32": 8.0, "f64": 8.0, "bf16": 1.0, "f16": 1.0}
_DRAWS = 4
_STEP = 2.0**-20
_DIFFERENCE_STEP = 1e-6
_DIFFERENCE_LIMIT = 1e-5
# A result whose scale happens to vanish is compared at this share of the largest scale in its tensor.
_LEAST_SHARE = 0.01


@dataclass(frozen=True)
class Comparison:
    """One result of one problem.

    `error`: in units of `unit` ("eps": of the dtype, at the result's scale; "relative"), and the `limit`; `note` says why there is
    no number where there is none.
    """

    problem: str
    target: str
    dtype: str
    order: str
    tensor: str
    error: float | None
    limit: float
    unit: str = "eps"
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the error is within the limit; what the target cannot compile is not held against it."""
        return self.error <= self.limit if self.error is not None else not self.note.startswith("FAILED")


def compare(layer: Layer, checked: CheckedLayer, dtypes: Sequence[str] = ("f32", "f64"), order: int = 2) -> list[Comparison]:
    """Every problem in every dtype up to derivatives of `order`. Errors: TargetError where the value itself cannot be compiled.

    `checked`: the same layer before compilation, whose graphs are the reference.
    """
    found: list[Comparison] = []
    reference = Reference(checked)
    for number, problem in enumerate(problems(layer)):
        for dtype in dtypes:
            found += _compare_one(layer, reference, problem, dtype, order, seed=number)
        found += _differences(layer, reference, problem, order, seed=number)
    return found


def _compare_one(layer: Layer, reference: Reference, problem: Problem, dtype: str, order: int, seed: int) -> list[Comparison]:
    found: list[Comparison] = []
    limit = LIMITS[dtype]
    arguments = Arguments.drawn(layer, problem, dtype, seed)
    for step in range(order + 1):
        if step and not arguments.differentiable():
            break
        try:
            results = _run(layer, reference.file, arguments, step)
        except TargetError as refusal:
            if step == 0:
                raise
            found.append(
                Comparison(str(problem), layer.target, dtype, ORDERS[step], "", None, limit, note=str(refusal).splitlines()[0])
            )
            break
        except Exception as problem_found:  # a mistake of the compiler, which a check is there to find
            text = f"FAILED: {type(problem_found).__name__}: {problem_found}"
            found.append(Comparison(str(problem), layer.target, dtype, ORDERS[step], "", None, limit, note=text))
            break
        exact = arguments.exact()
        expected = reference.results(exact, step)
        scales = _scales(reference, exact, step, expected)
        for name, result in results.items():
            error = _largest(result, expected[name], scales[name], dtype)
            found.append(Comparison(str(problem), layer.target, dtype, ORDERS[step], name, error, limit))
    return found


def _run(layer: Layer, file: str, arguments: Arguments, step: int) -> Results:
    return refused(file, layer.name, DIRECTIONS[step], lambda: _results(layer, arguments, step))


def _results(layer: Layer, arguments: Arguments, step: int) -> Results:
    """The outs, the gradients, or the gradients of the gradients, by name."""
    leaves = [tensor.detach().clone().requires_grad_(step > 0 and second is not None) for tensor, second in arguments.paired()]
    outs = layer(*leaves)
    outs = outs if isinstance(outs, tuple) else (outs,)
    if step == 0:
        return {spec.name: out.detach() for spec, out in zip(layer._interface.outputs, outs, strict=True)}
    given = [(out, cotangent) for out, cotangent in zip(outs, arguments.cotangents, strict=True) if cotangent is not None]
    weights = [cotangent.detach().clone().requires_grad_(step > 1) for _, cotangent in given]
    wanted = [(name, leaf) for name, leaf in zip(arguments.names, leaves, strict=True) if leaf.requires_grad]
    gradients = _gradients([out for out, _ in given], [leaf for _, leaf in wanted], weights, step > 1)
    if step == 1:
        return {f"grad_{name}": gradient for (name, _), gradient in zip(wanted, gradients, strict=True)}
    seconds = [second for second in arguments.seconds if second is not None]
    varying = [(gradient, second) for gradient, second in zip(gradients, seconds, strict=True) if gradient.requires_grad]
    sources = [*(leaf for _, leaf in wanted), *weights]
    names = [
        *(f"second_{name}" for name, _ in wanted),
        *(
            f"second_grad_{spec.name}"
            for spec, cotangent in zip(layer._interface.outputs, arguments.cotangents, strict=True)
            if cotangent is not None
        ),
    ]
    found = _gradients([gradient for gradient, _ in varying], sources, [second for _, second in varying], False)
    return dict(zip(names, found, strict=True))


def _gradients(outs: list[Tensor], leaves: list[Tensor], weights: list[Tensor], again: bool) -> list[Tensor]:
    outs_weights = [(out, weight) for out, weight in zip(outs, weights, strict=True) if out.requires_grad]
    if not outs_weights:
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad(
        [out for out, _ in outs_weights],
        leaves,
        [weight for _, weight in outs_weights],
        create_graph=again,
        allow_unused=True,
    )
    return [
        torch.zeros_like(leaf) if gradient is None else gradient if again else gradient.detach()
        for leaf, gradient in zip(leaves, found, strict=True)
    ]


def _scales(reference: Reference, exact: Arguments, step: int, expected: Results) -> Results:
    """|r| + s for every element of every result."""
    moves = {name: torch.zeros(result.shape, dtype=torch.float64) for name, result in expected.items()}
    for number in range(_DRAWS):
        moved = reference.results(exact.moved(_STEP, seed=number), step, noise=(_STEP, number))
        for name, result in expected.items():
            change = ((moved[name] - result).abs() / _STEP).nan_to_num(0.0, 0.0, 0.0)
            moves[name] = torch.maximum(moves[name], change.to(torch.float64))
    scales = {}
    for name, result in expected.items():
        scale = result.abs().to(torch.float64).nan_to_num(0.0, 0.0, 0.0) + moves[name]
        scales[name] = scale.clamp(min=_LEAST_SHARE * float(scale.max())) if scale.numel() else scale
    return scales


def _largest(found: Tensor, expected: Tensor, scale: Tensor, dtype: str) -> float:
    """The largest error in eps at the scale; infinite where shapes or what is not finite differ."""
    if found.shape != expected.shape:
        return float("inf")
    if not found.numel():
        return 0.0
    if not (found.is_floating_point() or found.is_complex()):
        return 0.0 if torch.equal(found, expected.to(found.dtype)) else float("inf")
    kind = torch.finfo(TORCH_DTYPES[dtype])
    found = wide(found)
    finite = torch.isfinite(expected) & (expected.abs() <= kind.max)
    if bool((torch.isfinite(found) & ~torch.isfinite(expected)).any()) or not bool(torch.isfinite(found[finite]).all()):
        return float("inf")
    error = (found - expected)[finite].abs()
    if not error.numel():
        return 0.0
    return float((error / (kind.eps * scale[finite] + kind.smallest_normal * kind.eps)).max())


def _differences(layer: Layer, reference: Reference, problem: Problem, order: int, seed: int) -> list[Comparison]:
    """The reference's derivatives along a random direction against difference quotients of what they are the derivatives of."""
    found: list[Comparison] = []
    if not Arguments.drawn(layer, problem, "f64", seed).differentiable():
        return found
    for step in range(min(order, 2)):
        try:
            error = _least_quotient_error(layer, reference, problem, step, seed)
        except TargetError:
            break  # said by the comparison of the compiled layer
        what = ORDERS[step + 1]
        found.append(Comparison(str(problem), "reference", "f64", what, "by differences", error, _DIFFERENCE_LIMIT, "relative"))
    return found


def _least_quotient_error(layer: Layer, reference: Reference, problem: Problem, step: int, seed: int) -> float:
    """The least error over a few draws: a kink between the two points spoils one quotient, a wrong derivative all of them."""
    least = float("inf")
    for attempt in range(_DRAWS):
        least = min(least, _quotient_error(reference, Arguments.drawn(layer, problem, "f64", seed + 100 * attempt), step, seed))
        if least <= _DIFFERENCE_LIMIT:
            break
    return least


def _quotient_error(reference: Reference, exact: Arguments, step: int, seed: int) -> float:
    """|quotient - derivative| over the sum of the magnitudes that make it up; 0 where the derivative is not finite."""

    def total(arguments: Arguments) -> tuple[float, float]:
        results = reference.results(arguments, step)
        weights = exact.cotangents if step == 0 else [each for each in exact.seconds if each is not None]
        terms = [
            (result * weight.conj()).real if result.is_complex() else result * weight
            for result, weight in zip(results.values(), weights, strict=True)
            if weight is not None
        ]
        return float(sum(term.sum() for term in terms)), float(sum(term.abs().sum() for term in terms))

    ahead, back = (exact.moved(sign * _DIFFERENCE_STEP, seed, everything=False) for sign in (1.0, -1.0))
    (high, size), (low, _) = total(ahead), total(back)
    quotient = (high - low) / (2 * _DIFFERENCE_STEP)
    derivatives = reference.results(exact, step + 1)
    prefix = "grad_" if step == 0 else "second_"
    terms = []
    for name, one, other in zip(exact.names, ahead.tensors, back.tensors, strict=True):
        if f"{prefix}{name}" in derivatives:
            move = (one - other) / (2 * _DIFFERENCE_STEP)
            gradient = derivatives[f"{prefix}{name}"]
            terms.append((gradient.conj() * move).real if gradient.is_complex() else gradient * move)
    derivative = float(sum(term.sum() for term in terms))
    scale = float(sum(term.abs().sum() for term in terms)) + size
    return abs(quotient - derivative) / max(scale, 1e-300) if abs(quotient) + abs(derivative) < float("inf") else 0.0


def worst(comparisons: Sequence[Comparison]) -> Mapping[tuple[str, str, str, str, str], Comparison]:
    """For each (target, dtype, order, tensor, unit) the comparison of the largest error over all problems, failures first."""
    largest: dict[tuple[str, str, str, str, str], Comparison] = {}

    def rank(each: Comparison) -> tuple[bool, float]:
        return (not each.passed, float("inf") if each.error is None else each.error)

    for each in comparisons:
        key = (each.target, each.dtype, each.order, each.tensor, each.unit)
        if key not in largest or rank(each) > rank(largest[key]):
            largest[key] = each
    return largest

"""What the library's tests share: compiled layers, arguments, results with gradients, and the error bound they are held to."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import lamina
import torch
from lamina.ops.references import REFERENCES, Case, Reference
from torch import Tensor

Function = Callable[..., Tensor]
EVERY_CASE = [(name, number) for name, reference in REFERENCES.items() for number in range(len(reference.cases))]
CASE_NAMES = [f"{name}-{REFERENCES[name].cases[number]}" for name, number in EVERY_CASE]


@cache
def compiled(name: str, sizes: tuple[tuple[str, int], ...] = ()):
    """The library entry compiled with the given sizes, once a process."""
    return lamina.compile(name, sizes=dict(sizes) or None)


def layer_of(name: str, case: Case):
    return compiled(name, tuple(case.sizes.items()))


def module_of(name: str, case: Case, dtype: torch.dtype | None = None) -> torch.nn.Module:
    """A module of the entry, with the lengths that its parameters need."""
    lengths = {axis: length for axis, length in case.lengths.items() if axis in ("C", "I")}
    return layer_of(name, case).module(**lengths, dtype=dtype)


def drawn(reference: Reference, case: Case, dtype: torch.dtype, seed: int = 0) -> tuple[Tensor, ...]:
    return reference.draw(case, dtype, torch.Generator().manual_seed(seed))


def requiring_grad(arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(argument.detach().clone().requires_grad_() for argument in arguments)


def value_and_gradients(function: Function, arguments: tuple[Tensor, ...], cotangent: Tensor) -> tuple[Tensor, ...]:
    """The value, then the gradient of <value, cotangent> in each argument."""
    leaves = requiring_grad(arguments)
    value = function(*leaves)
    return (value.detach(), *torch.autograd.grad(value, leaves, cotangent))


def bound_scales(function: Function, arguments: tuple[Tensor, ...], cotangent: Tensor) -> tuple[Tensor, ...]:
    """The scale of a fair rounding error for the value and for each gradient, elementwise, in float64.

    For each result r of the arguments t: |r| + sum over t of |dr/dt| max(|t|, 1). Perturbing every number that goes in by one
    eps (of itself, or of 1 where it is smaller: layers hold constants of order 1 against which small inputs are rounded)
    moves r by at most eps times this. An error within 4 eps of it is that of an exact evaluation on arguments that differ by 4 eps.
    """

    def results(*tensors: Tensor) -> tuple[Tensor, ...]:
        *inner, weight = tensors
        value, pull = torch.func.vjp(function, *inner)
        return (value, *pull(weight))

    tensors = (*(argument.double() for argument in arguments), cotangent.double())
    values = results(*tensors)
    jacobians = torch.func.jacrev(results, argnums=tuple(range(len(tensors))))(*tensors)
    scales = []
    for value, row in zip(values, jacobians, strict=True):
        scale = value.detach().abs()
        for jacobian, tensor in zip(row, tensors, strict=True):
            weights = tensor.abs().clamp(min=1).reshape(-1)
            scale = scale + (jacobian.detach().abs().reshape(*value.shape, -1) @ weights)
        scales.append(scale)
    return tuple(scales)


def assert_within(found: Tensor, expected: Tensor, tolerance: Tensor, what: str) -> None:
    """|found - expected| <= tolerance everywhere, shapes equal, nothing NaN."""
    assert found.shape == expected.shape, f"{what}: shape {tuple(found.shape)}, expected {tuple(expected.shape)}"
    error = (found.double() - expected.double()).abs()
    excess = (error / tolerance.clamp(min=torch.finfo(torch.float64).tiny)).max() if error.numel() else torch.tensor(0.0)
    assert bool((error <= tolerance).all()), f"{what}: error up to {excess:.3g} times the bound, {error.max():.3g} absolute"

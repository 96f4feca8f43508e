"""The same layer by several hands: Lamina, eager PyTorch, torch.compile and JAX, as steps of forward and backward.

In: a library entry's name and case. Out: `Problem`: arguments, float64 results, and a candidate step for each peer. Holds: every
step computes the value and the gradient of every argument for the same cotangent, through the peer's own differentiation.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import lamina
import torch
from lamina.ops.references import REFERENCES, Case
from measure import Step
from torch import Tensor


@dataclass(frozen=True)
class Problem:
    """One layer at one size, arguments in declared order. `byte_count`: the least that forward and backward must move."""

    name: str
    case: Case
    arguments: tuple[Tensor, ...]
    cotangent: Tensor
    expected: tuple[Tensor, ...]
    byte_count: int

    def eager(self, *arguments: Tensor) -> Tensor:
        """The layer as PyTorch does it best without compiling."""
        return REFERENCES[self.name].fastest(self.case, *arguments)


def step_of(function: Callable[..., Tensor], arguments: Sequence[Tensor], cotangent: Tensor) -> Step:
    """Value and gradients through torch.autograd."""
    leaves = [argument.detach().clone().requires_grad_() for argument in arguments]

    def step() -> tuple[Tensor, ...]:
        value = function(*leaves)
        return (value.detach(), *torch.autograd.grad(value, leaves, cotangent))

    return step


def problem(name: str, case: Case, dtype: torch.dtype = torch.float32, seed: int | None = None) -> Problem:
    """Random arguments, fresh ones unless a seed is given, and their float64 results by the eager reference."""
    reference = REFERENCES[name]
    generator = torch.Generator()
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    arguments = reference.draw(case, dtype, generator)
    doubled = [argument.double() for argument in arguments]
    shape = torch.empty_like(reference.evaluate(case, *doubled)).shape
    cotangent = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    expected = tuple(step_of(lambda *tensors: reference.evaluate(case, *tensors), doubled, cotangent.double())())
    # Forward: arguments in, value out. Backward: arguments and the value's gradient in, a gradient for each argument out.
    inputs = sum(argument.nbytes for argument in arguments)
    return Problem(name, case, arguments, cotangent, expected, 3 * inputs + 2 * cotangent.nbytes)


def lamina_step(given: Problem) -> Step:
    layer = lamina.compile(given.name, sizes=dict(given.case.sizes) or None)
    return step_of(layer, given.arguments, given.cotangent)


def eager_step(given: Problem) -> Step:
    return step_of(given.eager, given.arguments, given.cotangent)


def torch_compile_step(given: Problem) -> Step:
    return step_of(torch.compile(given.eager, dynamic=False), given.arguments, given.cotangent)


def jax_step(given: Problem) -> Step | None:
    """group_rational_b by jax.jit; None where JAX is not installed."""
    if importlib.util.find_spec("jax") is None:
        return None
    import jax
    import numpy
    from jax import Array
    from jax import numpy as jnp

    def horner(coefficients: Array, x: Array) -> Array:
        value = jnp.broadcast_to(coefficients[:, -1, None], x.shape)
        for i in range(coefficients.shape[1] - 2, -1, -1):
            value = value * x + coefficients[:, i, None]
        return value

    def layer(x: Array, a: Array, b: Array) -> Array:
        z = x.reshape(*x.shape[:-1], a.shape[0], -1)
        return (horner(a, z) / (1 + jnp.abs(horner(b, z) * z))).reshape(x.shape)

    def value_and_gradients(cotangent: Array, *arguments: Array) -> tuple[Array, ...]:
        value, pull = jax.vjp(layer, *arguments)
        return (value, *pull(cotangent))

    compiled = jax.jit(value_and_gradients)
    tensors = [jnp.asarray(tensor.numpy()) for tensor in (given.cotangent, *given.arguments)]

    def step() -> tuple[Tensor, ...]:
        results = jax.block_until_ready(compiled(*tensors))
        # Shares memory with JAX's result: nothing is copied inside the time measured.
        return tuple(torch.from_numpy(numpy.asarray(result)) for result in results)

    return step


PEERS: Mapping[str, Callable[[Problem], Step | None]] = {
    "lamina": lamina_step,
    "eager": eager_step,
    "torch.compile": torch_compile_step,
    "jax": jax_step,
}

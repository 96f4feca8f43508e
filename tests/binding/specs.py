"""Layers that the binding's tests share, each with arguments and the same computation in eager PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import lamina
import torch
from torch import Tensor


@dataclass(frozen=True)
class Example:
    text: str
    shapes: tuple[tuple[int, ...], ...]
    eager: Callable[..., Any]
    layer: str | None = None


def _row_norm(x: Tensor, g: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / torch.sqrt((centred * centred).mean(-1, keepdim=True) + 1e-3) * g


EXAMPLES = {
    "pointwise": Example(
        "layer swish { in x[..., C]  param b[C] = 1  out y[..., C] = x / (1 + exp(-b * x)) }",
        ((3, 4), (4,)),
        lambda x, b: x / (1 + torch.exp(-b * x)),
    ),
    "row norm": Example(
        """layer row_norm { in x[..., C]  param g[C] = 1
             let d = x - mean[C](x)
             out y[..., C] = d / sqrt(mean[C](d * d) + 1e-3) * g }""",
        ((2, 3, 5), (5,)),
        _row_norm,
    ),
    "several outs": Example(
        "layer both { in x[..., C]  in u[..., C]  param a[] = 2  out s[..., C] = x + a * u  out m[...] = sum[C](x * u) }",
        ((3, 4), (3, 4), ()),
        lambda x, u, a: (x + a * u, (x * u).sum(-1)),
    ),
    "matrix product": Example(
        """layer affine(O) { in x[..., I]  param w[O, I] = uniform(-1/sqrt(I), 1/sqrt(I))  param b[O] = 0
             out y[..., O] = sum[I](x * w) + b }""",
        ((2, 3, 5), (4, 5), (4,)),
        lambda x, w, b: x @ w.t() + b,
    ),
    "buffer": Example(
        "layer masked { in x[..., C]  buffer m[C] = index(C)  param a[C] = 0.5  out y[..., C] = sin(x * a) * m }",
        ((3, 4), (4,), (4,)),
        lambda x, m, a: torch.sin(x * a) * m,
    ),
    "layer call": Example(
        """layer inner(O) { in x[..., I]  param w[O, I] = normal(1/sqrt(I))  out y[..., O] = sum[I](x * w) }
           layer outer(D) { in x[..., C]  param a[D] = 1
             let h[..., D] = inner(x, O = D)
             out y[..., D] = tanh(h) * a }""",
        ((3, 5), (4,), (4, 5)),
        lambda x, a, w: torch.tanh(x @ w.t()) * a,
        "outer",
    ),
}


def can_generate() -> bool:
    """Whether the C++ generator is there."""
    try:
        from lamina.codegen import generate
    except ImportError:
        return False
    return callable(generate)


TARGETS = ("reference", "cpp") if can_generate() else ("reference",)


@cache
def layer_of(name: str, target: str = "reference") -> Any:
    example = EXAMPLES[name]
    return lamina.compile(example.text, example.layer, target)


def arguments(name: str, dtype: torch.dtype = torch.float64, seed: int = 0, grad: bool = False) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in EXAMPLES[name].shapes]
    return tuple(tensor.requires_grad_() if grad else tensor for tensor in drawn)


def listed(result: Any) -> tuple[Tensor, ...]:
    return result if isinstance(result, tuple) else (result,)


def gradients(function: Callable[..., Any], tensors: tuple[Tensor, ...], seed: int = 9) -> tuple[Tensor, ...]:
    """The results, then the gradient in every tensor of their sum weighted at random."""
    leaves = tuple(tensor.detach().clone().requires_grad_() for tensor in tensors)
    results = listed(function(*leaves))
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.randn(r.shape, generator=generator, dtype=torch.float64).to(r.dtype) for r in results]
    total = sum((result * weight).sum() for result, weight in zip(results, weights, strict=True))
    return (*(result.detach() for result in results), *torch.autograd.grad(total, leaves))


def assert_same(found: tuple[Tensor, ...], expected: tuple[Tensor, ...], **tolerance: float) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, **tolerance)

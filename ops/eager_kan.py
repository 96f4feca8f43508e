"""Eager PyTorch references of the Kolmogorov-Arnold layers: the basis at every input, then one matrix product.

In: x (..., I) and weights, any floating dtype. Out: y (..., O). Holds: the same function as the library entry of the same
name; the basis (..., I, K) is stored, as in the usual implementations.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def combine(basis: Tensor, w: Tensor) -> Tensor:
    """basis (..., I, K) and w (O, I, K) -> (..., O), as one matrix product."""
    return basis.flatten(-2) @ w.flatten(1).t()


def cheby_kan(x: Tensor, w: Tensor) -> Tensor:
    """w (O, I, D+1)."""
    t = torch.tanh(x)
    basis = [torch.ones_like(t), t]
    while len(basis) < w.shape[-1]:
        basis.append(2 * t * basis[-1] - basis[-2])
    return combine(torch.stack(basis[: w.shape[-1]], -1), w)


def legendre_kan(x: Tensor, w: Tensor) -> Tensor:
    """w (O, I, D+1)."""
    t = torch.tanh(x)
    basis = [torch.ones_like(t), t]
    while len(basis) < w.shape[-1]:
        n = len(basis)
        basis.append(((2 * n - 1) * t * basis[-1] - (n - 1) * basis[-2]) / n)
    return combine(torch.stack(basis[: w.shape[-1]], -1), w)


def spline_kan(x: Tensor, w: Tensor, s: Tensor, *, P: int = 3) -> Tensor:
    """w (O, I, G+P), s (O, I). The Cox-de Boor recurrence on equally spaced knots, G intervals over [-1, 1]."""
    intervals = w.shape[-1] - P
    knots = torch.arange(-P, intervals + P + 1, dtype=x.dtype, device=x.device)
    t = ((x + 1) * (intervals / 2)).unsqueeze(-1)
    basis = ((t >= knots[:-1]) & (t < knots[1:])).to(x.dtype)
    for p in range(1, P + 1):
        rising = (t - knots[: -(p + 1)]) / p
        falling = (knots[p + 1 :] - t) / p
        basis = rising * basis[..., :-1] + falling * basis[..., 1:]
    return combine(basis, w) + functional.silu(x) @ s.t()


def rbf_kan(x: Tensor, w: Tensor, s: Tensor, b: Tensor) -> Tensor:
    """w (O, I, K), s (O, I), b (O,)."""
    count = w.shape[-1]
    t = (x + 2) * ((count - 1) / 4)
    centres = torch.arange(count, dtype=x.dtype, device=x.device)
    basis = torch.exp(-((t.unsqueeze(-1) - centres) ** 2))
    return combine(basis, w) + functional.linear(functional.silu(x), s, b)


def fourier_kan(x: Tensor, w: Tensor, v: Tensor, b: Tensor) -> Tensor:
    """w and v (O, I, G), b (O,)."""
    multiples = torch.arange(1, w.shape[-1] + 1, dtype=x.dtype, device=x.device)
    angles = x.unsqueeze(-1) * multiples
    return combine(torch.cos(angles), w) + combine(torch.sin(angles), v) + b

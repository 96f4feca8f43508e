"""Eager PyTorch references of the rational activations.

In: x and the coefficients, any floating dtype. Out: y, shaped as x, differentiable to any order. Holds: the same function as
the entry of the same name in the library, written in ordinary torch operations, with the same gradients where it has a kink.
"""

from __future__ import annotations

from torch import Tensor, where


def magnitude(z: Tensor) -> Tensor:
    """The absolute value with gradient 1 at 0 (torch.abs has 0 there, which would freeze a coefficient that starts at 0)."""
    return where(z < 0, -z, z)


def polynomial(coefficients: Tensor, x: Tensor) -> Tensor:
    """Sum of coefficients[..., i] x^i by Horner's scheme; coefficients (G, K) or (K,), x (..., G, C)."""
    columns = [column.unsqueeze(-1) for column in coefficients.unbind(-1)]
    value = columns[-1].expand_as(x)
    for column in reversed(columns[:-1]):
        value = value * x + column
    return value


def rational(x: Tensor, a: Tensor, b: Tensor, groups: int, form: str) -> Tensor:
    """P(x) / Q(x), one function for each of `groups` runs of channels in the last axis; forms as in presets.py."""
    z = x.unflatten(-1, (groups, -1))
    p = polynomial(a, z)
    if form == "A":
        q = 1 + polynomial(magnitude(b), z.abs()) * z.abs()
    elif form == "C":
        q = 0.1 + magnitude(polynomial(b, z))
    elif form == "N":
        q = 1 + polynomial(b, z) * z
    else:
        t = polynomial(b, z) * z
        q = 1 + (t.abs() if form == "B, abs" else magnitude(t))
    return (p / q).flatten(-2)


def group_rational(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """x (..., G*C), a (G, M+1), b (G, N)."""
    return rational(x, a, b, b.shape[0], "B, abs")


def group_rational_a(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """x (..., G*C), a (G, M+1) or (M+1,), b (G, N)."""
    return rational(x, a, b, b.shape[0], "A")


def group_rational_b(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """x (..., G*C), a (G, M+1) or (M+1,), b (G, N)."""
    return rational(x, a, b, b.shape[0], "B")


def group_rational_c(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """x (..., G*C), a (G, M+1), b (G, N+1)."""
    return rational(x, a, b, b.shape[0], "C")


def group_rational_n(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """x (..., G*C), a (G, M+1), b (G, N)."""
    return rational(x, a, b, b.shape[0], "N")


def group_rational_2d(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """x (B, G*C, H, W), a (G, M+1), b (G, N)."""
    channels_last = x.permute(0, 2, 3, 1)
    return rational(channels_last, a, b, b.shape[0], "B").permute(0, 3, 1, 2)

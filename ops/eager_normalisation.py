"""Eager PyTorch references of the normalisations and of the row reductions.

In: x and parameters, any floating dtype. Out: y. Holds: the same function as the library entry of the same name.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def softmax(x: Tensor) -> Tensor:
    return functional.softmax(x, -1)


def log_softmax(x: Tensor) -> Tensor:
    return functional.log_softmax(x, -1)


def logsumexp(x: Tensor) -> Tensor:
    """x (..., C) -> (...)."""
    return torch.logsumexp(x, -1)


def layer_norm(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """x (..., C), w and b (C,)."""
    return functional.layer_norm(x, x.shape[-1:], w, b, 1e-5)


def rms_norm(x: Tensor, w: Tensor) -> Tensor:
    """x (..., C), w (C,)."""
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * w


def poly_norm(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """x (..., C), w (M,), ascending from x, b ()."""
    y = b
    for i, weight in enumerate(w.unbind()):
        power = x ** (i + 1)
        y = y + weight * (power * torch.rsqrt((power * power).mean(-1, keepdim=True) + 1e-6))
    return y


def evonorm_s0(x: Tensor, v: Tensor, g: Tensor, b: Tensor, *, G: int = 8) -> Tensor:
    """x (B, G*C, H, W); v, g and b (G*C,)."""
    v, g, b = (parameter.view(1, -1, 1, 1) for parameter in (v, g, b))
    grouped = x.unflatten(1, (G, -1))
    variance = grouped.var((2, 3, 4), correction=0, keepdim=True)
    deviation = torch.sqrt(variance + 1e-5).expand_as(grouped).flatten(1, 2)
    return x * torch.sigmoid(v * x) / deviation * g + b


def evonorm_b0(x: Tensor, v: Tensor, g: Tensor, b: Tensor) -> Tensor:
    """x (B, C, H, W); v, g and b (C,). Batch statistics, as in training."""
    v, g, b = (parameter.view(1, -1, 1, 1) for parameter in (v, g, b))
    batch = torch.sqrt(x.var((0, 2, 3), correction=0, keepdim=True) + 1e-3)
    instance = torch.sqrt(x.var((2, 3), correction=0, keepdim=True) + 1e-3)
    return x / torch.maximum(batch, v * x + instance) * g + b

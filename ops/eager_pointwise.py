"""Eager PyTorch references of the activations and of the linear map.

In: x (any shape) and parameters, any floating dtype. Out: y. Holds: the same function as the library entry of the same name.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def linear(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """x (..., I), w (O, I), b (O,) -> (..., O)."""
    return functional.linear(x, w, b)


def relu(x: Tensor) -> Tensor:
    return functional.relu(x)


def leaky_relu(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, 0.01)


def squared_relu(x: Tensor) -> Tensor:
    return functional.relu(x) ** 2


def elu(x: Tensor) -> Tensor:
    return functional.elu(x)


def gelu(x: Tensor) -> Tensor:
    """With erfc, exact to the last digits for negative x too (functional.gelu loses them: 1 + erf cancels)."""
    return x * torch.special.erfc(-x * 0.5**0.5) * 0.5


def gelu_tanh(x: Tensor) -> Tensor:
    """With sigmoid, exact to the last digits for negative x too (functional.gelu loses them: 1 + tanh cancels)."""
    return x * torch.sigmoid(2 * (2 / math.pi) ** 0.5 * (x + 0.044715 * x**3))


def silu(x: Tensor) -> Tensor:
    return functional.silu(x)


def mish(x: Tensor) -> Tensor:
    """functional.mish has no second derivative."""
    return x * functional.softplus(x).tanh()


def poly_relu(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """w (M,), ascending from relu(x); b ()."""
    r = functional.relu(x)
    return sum((weight * r ** (i + 1) for i, weight in enumerate(w.unbind())), b)

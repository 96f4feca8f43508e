"""Eager PyTorch references of the convolutions.

In: x and parameters, any floating dtype. Out: y. Holds: the same function as the library entry of the same name.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def conv1d(x: Tensor, w: Tensor, b: Tensor, S: int = 1) -> Tensor:
    """x (B, C, L), w (O, C, K), b (O,) -> (B, O, P)."""
    return functional.conv1d(x, w, b, stride=S, padding=w.shape[-1] // 2)


def conv2d(x: Tensor, w: Tensor, b: Tensor, S: int = 1) -> Tensor:
    """x (B, C, H, W), w (O, C, I, J), b (O,) -> (B, O, P, Q)."""
    return functional.conv2d(x, w, b, stride=S, padding=(w.shape[-2] // 2, w.shape[-1] // 2))


def depthwise_conv2d(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """x (B, C, H, W), w (C, I, J), b (C,) -> (B, C, P, Q)."""
    return functional.conv2d(x, w[:, None], b, padding=(w.shape[-2] // 2, w.shape[-1] // 2), groups=x.shape[1])


def long_conv(x: Tensor, k: Tensor, d: Tensor) -> Tensor:
    """x (B, C, L), k (C, K), d (C,) -> (B, C, L)."""
    past = functional.pad(x, (k.shape[-1] - 1, 0))
    return functional.conv1d(past, k.flip(-1)[:, None], groups=k.shape[0]) + d[:, None] * x


def long_conv_by_fft(x: Tensor, k: Tensor, d: Tensor) -> Tensor:
    """The same by Fourier transforms."""
    length = x.shape[-1] + k.shape[-1]
    past = torch.fft.irfft(torch.fft.rfft(x, length) * torch.fft.rfft(k, length), length)[..., : x.shape[-1]]
    return past + d[:, None] * x

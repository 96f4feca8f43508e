"""Eager PyTorch references of attention: the scores of every pair of positions, then their softmax, then the weighted sum.

In: q (..., L, D), k (..., J, D), v (..., J, E), any floating dtype. Out: (..., L, E). Holds: the same function as the library entry
of the same name; the scores (..., L, J) are stored, as when the formula is written with matrix products.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def attention(q: Tensor, k: Tensor, v: Tensor, *, CAUSAL: int = 0) -> Tensor:
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if CAUSAL:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(later, -math.inf)
    return scores.softmax(-1) @ v


def fused_attention(q: Tensor, k: Tensor, v: Tensor, *, CAUSAL: int = 0) -> Tensor:
    """PyTorch's own, which does not store the scores either."""
    return functional.scaled_dot_product_attention(q, k, v, is_causal=bool(CAUSAL))

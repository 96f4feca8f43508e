"""What is NaN, and what is tied, has torch's values and gradients in compiled layers."""

from __future__ import annotations

from collections.abc import Callable

import lamina
import pytest
import torch
from specs import TARGETS
from torch import Tensor

CASES: dict[str, tuple[int, Callable[..., Tensor]]] = {
    "max(a, b)": (2, torch.maximum),
    "min(a, b)": (2, torch.minimum),
    "clamp(a, b, c)": (3, torch.clamp),
    "max(a, 2)": (1, lambda a: torch.maximum(a, torch.full_like(a, 2.0))),
    "min(2, a)": (1, lambda a: torch.minimum(torch.full_like(a, 2.0), a)),
    "clamp(a, 1, 2)": (1, lambda a: torch.clamp(a, 1.0, 2.0)),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("formula", CASES)
def test_extrema_and_clamp(formula: str, dtype: torch.dtype, target: str) -> None:
    count, function = CASES[formula]
    inputs = "  ".join(f"in {name}[N]" for name in "abc"[:count])
    layer = lamina.compile(f"layer f {{ {inputs}  out y[N] = {formula} }}", target=target)
    points = torch.tensor([1.0, 2.0, 3.0, torch.nan], dtype=dtype)
    tensors = [grid.flatten().requires_grad_() for grid in torch.meshgrid(*[points] * count, indexing="ij")]
    found, expected = layer(*tensors), function(*tensors)
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
    cotangent = torch.full_like(expected, 1.5)
    for one, other in zip(
        torch.autograd.grad(found, tensors, cotangent), torch.autograd.grad(expected, tensors, cotangent), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)

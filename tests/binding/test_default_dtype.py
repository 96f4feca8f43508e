"""A layer without floating tensors gives torch's default dtype, the one in force at each call."""

from __future__ import annotations

import lamina
import torch


def test_result_follows_the_default_dtype() -> None:
    layer = lamina.compile("layer halves { in x[B]: i64  out y[B] = x * 0.5 }")
    x = torch.arange(4)
    before = torch.get_default_dtype()
    try:
        for dtype in (torch.float32, torch.float64, torch.float32):
            torch.set_default_dtype(dtype)
            torch.testing.assert_close(layer(x), x * 0.5)
    finally:
        torch.set_default_dtype(before)

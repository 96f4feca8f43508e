"""The matrix products handed to programs: torch's own BLAS and the callback, against torch."""

from __future__ import annotations

import pytest
import torch
from lamina.runtime import gemm

EVERY_DTYPE = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def column_major(matrix: torch.Tensor, padding: int) -> torch.Tensor:
    """The same matrix with strides (1, rows + padding)."""
    rows, columns = matrix.shape
    memory = torch.full((columns, rows + padding), 7.0, dtype=matrix.dtype)
    memory[:, :rows] = matrix.t()
    return memory.t()[:rows]


@EVERY_DTYPE
@pytest.mark.parametrize("letters", ["NN", "NT", "TN", "TT"])
@pytest.mark.parametrize("beta", [0.0, 0.5])
@pytest.mark.parametrize("way", ["chosen", "through torch"])
def test_product(dtype: torch.dtype, letters: str, beta: float, way: str) -> None:
    position = 0 if dtype == torch.float32 else 1
    function = gemm.services().functions[position] if way == "chosen" else gemm.through_torch(dtype)
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(5, 7, dtype=dtype, generator=generator)
    b = torch.randn(7, 3, dtype=dtype, generator=generator)
    c = torch.full((5, 3), float("nan"), dtype=dtype) if beta == 0 else torch.randn(5, 3, dtype=dtype, generator=generator)
    expected = 1.5 * a @ b + (beta * c if beta else 0)
    stored = column_major(c, 2)
    stored_a = column_major(a if letters[0] == "N" else a.t(), 1)
    stored_b = column_major(b if letters[1] == "N" else b.t(), 3)
    gemm.call(function, letters, 1.5, stored_a, stored_b, beta, stored)
    torch.testing.assert_close(stored, expected)


@EVERY_DTYPE
@pytest.mark.parametrize("way", ["chosen", "through torch"])
def test_empty_inner_dimension_gives_zero(dtype: torch.dtype, way: str) -> None:
    position = 0 if dtype == torch.float32 else 1
    function = gemm.services().functions[position] if way == "chosen" else gemm.through_torch(dtype)
    a, b = torch.empty(0, 4, dtype=dtype).t().as_strided((4, 0), (1, 4)), torch.empty(0, 2, dtype=dtype).as_strided((0, 2), (1, 1))
    c = torch.full((2, 4), float("nan"), dtype=dtype).t()
    gemm.call(function, "NN", 1.0, a, b, 0.0, c)
    assert torch.equal(c, torch.zeros(4, 2, dtype=dtype))


def test_a_function_of_another_interface_is_not_taken() -> None:
    wrong = gemm.through_torch(torch.float64)
    assert gemm.multiplies(wrong, torch.float64)
    assert not gemm.multiplies(gemm._PROTOTYPE(lambda *pointers: None), torch.float64)


def test_without_exported_symbols_torch_does_the_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gemm, "_NAMES", dict.fromkeys(gemm._ORDER, ("no_such_symbol",)))
    found = gemm.services.__wrapped__()
    assert gemm.multiplies(found.functions[0], torch.float32) and gemm.multiplies(found.functions[1], torch.float64)

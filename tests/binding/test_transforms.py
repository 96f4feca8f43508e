"""Transforms through torch: values against torch.fft and scipy.fft at many lengths, gradients, spectral layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from pathlib import Path

import lamina
import pytest
import scipy.fft
import torch
from lamina.binding.layer import Layer
from torch import Tensor

# every small length; powers; primes, small and large; products of both
LENGTHS = (*range(1, 41), 49, 64, 97, 121, 128, 169, 221, 360, 1009, 2018, 4096)
FUNCTIONS = ("fft", "ifft", "rfft", "irfft", "dct", "idct")
SPECS = Path(__file__).parents[2] / "examples" / "specs"


@cache
def layer_of(function: str) -> Layer:
    if function == "irfft":
        text = "in x[B, F]: complex in like[L] require F == L/2 + 1 out y[B, L] = irfft[F -> L](x)"
    else:
        kind = ": complex" if function in ("fft", "ifft") else ""
        text = f"in x[B, L]{kind} axis F = {'L/2 + 1' if function == 'rfft' else 'L'} out y[B, F] = {function}[L -> F](x)"
    return lamina.compile(f"layer transform_{function} {{ {text} }}")


def drawn(function: str, lines: int, n: int, dtype: torch.dtype) -> Tensor:
    torch.manual_seed(n)
    is_complex = function in ("fft", "ifft", "irfft")
    length = n // 2 + 1 if function == "irfft" else n
    return torch.randn(lines, length, dtype=torch.complex128 if is_complex else torch.float64).to(
        {torch.float32: torch.complex64, torch.float64: torch.complex128}[dtype] if is_complex else dtype
    )


def applied(function: str, x: Tensor, n: int) -> Tensor:
    if function != "irfft":
        return layer_of(function)(x)
    return layer_of(function)(x, torch.zeros(n, dtype=x.real.dtype))


def expected(function: str, x: Tensor, n: int) -> Tensor:
    wide = x.to(torch.complex128) if x.is_complex() else x.double()
    if function in ("dct", "idct"):
        return torch.from_numpy(getattr(scipy.fft, function)(wide.numpy(), axis=-1))
    return torch.fft.irfft(wide, n=n) if function == "irfft" else getattr(torch.fft, function)(wide)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_errors_grow_as_the_logarithm_of_the_length(function: str, dtype: torch.dtype) -> None:
    for n in LENGTHS:
        x = drawn(function, 3, n, dtype)
        exact = expected(function, x, n)
        error = float((applied(function, x, n) - exact).norm() / exact.norm())
        # a chirp is three transforms of more than twice the length
        assert error <= 0.7 * (1 + math.log2(n)) * torch.finfo(dtype).eps, (n, error)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_line_is_its_own(function: str) -> None:
    """A line of huge values leaves no trace in the others, and the number of threads none in any."""
    x = drawn(function, 70, 24, torch.float32)
    alone = applied(function, x[1:2], 24)
    x[0] *= 1e30
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            torch.testing.assert_close(applied(function, x, 24)[1:2], alone, rtol=1e-6, atol=1e-6)
    finally:
        torch.set_num_threads(before)


GRADIENTS: dict[str, tuple[str, tuple[tuple[int, ...], ...], Callable[..., Tensor]]] = {
    "padded": (
        "in z[L, B]: complex axis F = 7 out y[F, B] = fft[L -> F, n = 7](z * z)",
        ((5, 2),),
        lambda z: torch.fft.fft(z * z, n=7, dim=0),
    ),
    "cut": ("in z[B, L] axis F = 2 out y[B, F] = rfft[L -> F, n = 3](z)", ((2, 5),), lambda z: torch.fft.rfft(z, n=3)),
    "inverse, padded": (
        "in z[B, F]: complex axis L = 9 out y[B, L] = irfft[F -> L](z)",
        ((2, 3),),
        lambda z: torch.fft.irfft(z, n=9),
    ),
    "two axes": (
        "in x[L, M] axis F = L axis G = M out y[F, G] = abs(fft[M -> G](fft[L -> F](x)))",
        ((4, 3),),
        lambda x: torch.fft.fft2(x).abs(),
    ),
    "long convolution": (
        """in x[B, L] in k[L] axis F = L + 1 axis T = 2*L let s = rfft[L -> F, n = 2*L](x) let q = rfft[L -> F, n = 2*L](k)
           let y[B, T] = irfft[F -> T](s * q) out o[B, L] = y[B, L]""",
        ((2, 5), (5,)),
        lambda x, k: torch.fft.irfft(torch.fft.rfft(x, n=10) * torch.fft.rfft(k, n=10), n=10)[:, :5],
    ),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name: str) -> None:
    text, shapes, eager = GRADIENTS[name]
    layer = lamina.compile(f"layer f {{ {text} }}")
    torch.manual_seed(1)
    first = torch.complex128 if ": complex" in text else torch.float64
    given = [torch.randn(shape, dtype=first, requires_grad=True) for shape in shapes]
    torch.testing.assert_close(layer(*given), eager(*given))
    cotangent = torch.randn_like(eager(*given))
    torch.testing.assert_close(
        torch.autograd.grad(layer(*given), given, cotangent), torch.autograd.grad(eager(*given), given, cotangent)
    )
    assert torch.autograd.gradcheck(layer, given)
    assert torch.autograd.gradgradcheck(layer, given)


def spectral(u: Tensor, w: Tensor) -> Tensor:
    z = torch.fft.rfft(u)[..., : w.shape[-1]]
    return torch.fft.irfft(torch.einsum("bif,oif->bof", z, w), n=u.shape[-1])


def test_a_spectral_layer_trains() -> None:
    """One step of the spectral convolution of the examples is that of the same layer in torch."""
    torch.manual_seed(0)
    module = lamina.compile(SPECS / "spectral_conv.lam", sizes={"O": 6, "M": 5}).module(I=3)
    u = torch.randn(4, 3, 32)
    torch.testing.assert_close(module(u), spectral(u, module.w), rtol=1e-4, atol=1e-5)
    weight = module.w.detach().clone().requires_grad_()
    optimizers = [torch.optim.SGD(module.parameters(), 0.1), torch.optim.SGD([weight], 0.1)]
    for _ in range(3):
        for optimizer, loss in zip(optimizers, (module(u).square().mean(), spectral(u, weight).square().mean()), strict=True):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    torch.testing.assert_close(module.w, weight, rtol=1e-4, atol=1e-5)


def test_operators_are_whole() -> None:
    layer = layer_of("rfft")
    derived = layer._root.derivative((True,), layer._root.differentiable)
    for grad in (False, True):
        x = torch.randn(3, 6, dtype=torch.float64, requires_grad=grad)
        torch.library.opcheck(layer._forward, (x,))
        cotangent = torch.randn(3, 4, dtype=torch.complex128, requires_grad=grad)
        torch.library.opcheck(layer._operators.backward, ([x, cotangent], derived.path))

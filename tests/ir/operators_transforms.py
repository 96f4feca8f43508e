"""Fourier and cosine transforms, and what is made of them. See `operators`."""

from __future__ import annotations

import numpy
import scipy.fft
import torch
from operators import Operator
from torch import Tensor


def _cosine(kind: int):  # type: ignore[no-untyped-def]
    """scipy's cosine transform of a kind along dimension 1, as a matrix product, so that torch can differentiate it."""

    def transform(x: Tensor) -> Tensor:
        matrix = scipy.fft.dct(numpy.eye(x.shape[1]), type=kind, axis=0)
        return x @ torch.from_numpy(matrix).T

    return transform


def _inverse_cosine(x: Tensor) -> Tensor:
    return x @ torch.from_numpy(scipy.fft.idct(numpy.eye(x.shape[1]), axis=0)).T


def _analytic(x: Tensor) -> Tensor:
    z = torch.fft.fft(x)
    weight = torch.tensor([1.0, 2, 2, 2, 1, 0, 0, 0], dtype=torch.float64)
    return torch.fft.ifft(z * weight)


def _spectral(u: Tensor, w: Tensor) -> Tensor:
    z = torch.fft.rfft(u)
    s = torch.zeros(u.shape[0], w.shape[0], z.shape[-1], dtype=z.dtype)
    s[..., : w.shape[2]] = torch.einsum("bim,oim->bom", z[..., : w.shape[2]], w)
    return torch.fft.irfft(s, n=u.shape[-1])


TABLE = {
    "fft": Operator("layer f { in z[B, X]: complex  out y[B, F] = fft[X -> F](z) }", {"z": (3, 7)}, torch.fft.fft, complex=("z",)),
    "fft of reals": Operator("layer f { in x[B, X]  out y[B, F] = fft[X -> F](x) }", {"x": (3, 6)}, torch.fft.fft),
    "ifft": Operator(
        "layer f { in z[B, F]: complex  out y[B, X] = ifft[F -> X](z) }", {"z": (3, 6)}, torch.fft.ifft, complex=("z",)
    ),
    "rfft": Operator("layer f { in x[B, X]  out y[B, F] = rfft[X -> F](x) }", {"x": (3, 7)}, torch.fft.rfft),
    "rfft of even length": Operator("layer f { in x[B, X]  out y[B, F] = rfft[X -> F](x) }", {"x": (3, 8)}, torch.fft.rfft),
    "rfft with padding": Operator(
        "layer f { in x[B, X, C]  out y[B, F, C] = rfft[X -> F, n = 2*X](x) }",
        {"x": (2, 5, 3)},
        lambda x: torch.fft.rfft(x, n=10, dim=1),
    ),
    "rfft of the first points": Operator(
        "layer f { in x[B, X]  out y[B, F] = rfft[X -> F, n = 5](x) }", {"x": (2, 8)}, lambda x: torch.fft.rfft(x, n=5)
    ),
    "irfft": Operator(
        "layer f { in z[B, F]: complex  axis X = 2*F - 2  out y[B, X] = irfft[F -> X](z) }",
        {"z": (3, 5)},
        torch.fft.irfft,
        complex=("z",),
    ),
    "irfft of odd length": Operator(
        "layer f { in z[B, F]: complex  axis X = 2*F - 1  out y[B, X] = irfft[F -> X](z) }",
        {"z": (3, 5)},
        lambda z: torch.fft.irfft(z, n=9),
        complex=("z",),
    ),
    "fft2": Operator("layer f { in x[B, H, W]  out y[B, U, V] = fft[H -> U](fft[W -> V](x)) }", {"x": (2, 4, 5)}, torch.fft.fft2),
    "rfft2 and back": Operator(
        """layer f { in x[B, H, W]
          let z = fft[H -> U](rfft[W -> V](x))
          out y[B, H, W] = irfft[V -> W](ifft[U -> H](z / (1 + index(U) + index(V)))) }""",
        {"x": (2, 4, 6)},
        lambda x: torch.fft.irfft2(torch.fft.rfft2(x) / (1 + torch.arange(4)[:, None] + torch.arange(4)), s=(4, 6)),
    ),
    "fftshift": Operator(
        "layer f { in x[B, X]  out y[B, X] = wrap(x)[B, X - len(X)/2] }", {"x": (2, 7)}, lambda x: torch.fft.fftshift(x, dim=1)
    ),
    "dct-II": Operator("layer f { in x[B, X]  out y[B, F] = dct[X -> F](x) }", {"x": (3, 7)}, _cosine(2)),
    "idct": Operator("layer f { in x[B, F]  out y[B, X] = idct[F -> X](x) }", {"x": (3, 6)}, _inverse_cosine),
    "dct-I": Operator(
        """layer f { in x[B, N]  axis F = N
          out y[B, F] = 2*sum[N](x * cos(pi*index(N)*index(F)/(N - 1))) - x[B, 0] - cos(pi*index(F)) * x[B, len(N) - 1] }""",
        {"x": (3, 6)},
        _cosine(1),
    ),
    "dct-III": Operator(
        """layer f { in x[B, N]  axis F = N
          out y[B, F] = 2*sum[N](x * cos(pi*index(N)*(index(F) + 0.5)/N)) - x[B, 0] }""",
        {"x": (3, 6)},
        _cosine(3),
    ),
    "dct-IV": Operator(
        "layer f { in x[B, N]  axis F = N  out y[B, F] = 2*sum[N](x * cos(pi*(index(N) + 0.5)*(index(F) + 0.5)/N)) }",
        {"x": (3, 6)},
        _cosine(4),
    ),
    "dct in two dimensions": Operator(
        "layer f { in x[H, W]  out y[U, V] = dct[H -> U](dct[W -> V](x)) }",
        {"x": (4, 5)},
        lambda x: _cosine(2)(_cosine(2)(x).T).T,
    ),
    "power spectrum": Operator(
        "layer f { in x[B, X]  let z = rfft[X -> F](x)  out y[B, F] = re(z)^2 + im(z)^2 }",
        {"x": (3, 8)},
        lambda x: torch.fft.rfft(x).abs() ** 2,
    ),
    "short-time spectrum": Operator(
        """layer f { in x[B, L]  axis T = (L - 8)/4 + 1  axis W = 8
          let h = 0.5 - 0.5*cos(2*pi*index(W)/W)
          out y[B, F, T] = rfft[W -> F](h * x[B, 4*T + W]) }""",
        {"x": (2, 20)},
        lambda x: torch.stft(x, 8, 4, window=torch.hann_window(8, dtype=torch.float64), center=False, return_complex=True),
    ),
    "circular convolution by the convolution theorem": Operator(
        "layer f { in x[B, X]  param w[X] = 1  out y[B, X] = irfft[F -> X](rfft[X -> F](x) * rfft[X -> F](w)) }",
        {"x": (3, 7), "w": (7,)},
        lambda x, w: torch.stack([(w * x.flip(1).roll(k + 1, 1)).sum(1) for k in range(7)], 1),
    ),
    "analytic signal": Operator(
        """layer f { in x[B, X]  let z = fft[X -> F](x)
          let k = index(F)
          out y[B, X] = ifft[F -> X](z * select(k == 0 or 2*k == X, 1, select(2*k < X, 2, 0))) }""",
        {"x": (3, 8)},
        _analytic,
    ),
    "low-pass filter": Operator(
        "layer f(M = 3) { in x[B, L]  let z = rfft[L -> F](x)  out y[B, L] = irfft[F -> L](select(index(F) < M, z, 0)) }",
        {"x": (3, 9)},
        lambda x: torch.fft.irfft(torch.fft.rfft(x) * (torch.arange(5) < 3), n=9),
    ),
    "spectral convolution": Operator(
        """layer f { in u[B, I, X]  param w[O, I, M]: complex = 1
          let z = rfft[X -> F](u)  let s = sum[I](select(index(F) < M, z * clamp(w)[O, I, F], 0))
          out y[B, O, X] = irfft[F -> X](s) }""",
        {"u": (2, 3, 9), "w": (4, 3, 3)},
        _spectral,
        complex=("w",),
    ),
    "complex product and parts": Operator(
        """layer f { in a[B]: complex  in b[B]: complex
          out p[B] = a * conj(b)  out r[B] = re(a / b)  out s[B] = abs(a)  out t[B] = arg(b)  out u[B] = a + im(b) }""",
        {"a": (5,), "b": (5,)},
        lambda a, b: (a * b.conj(), (a / b).real, a.abs(), b.angle(), a + b.imag),
        complex=("a", "b"),
    ),
    "phase rotation": Operator(
        "layer f { in z[B, D]: complex  param t[D] = 0  out y[B, D] = z * cis(t) }",
        {"z": (3, 4), "t": (4,)},
        lambda z, t: z * torch.polar(torch.ones_like(t), t),
        complex=("z",),
    ),
    "complex linear map": Operator(
        "layer f { in z[B, I]: complex  param w[O, I]: complex = 1  out y[B, O] = sum[I](z * w) }",
        {"z": (3, 4), "w": (5, 4)},
        lambda z, w: z @ w.T,
        complex=("z", "w"),
    ),
}

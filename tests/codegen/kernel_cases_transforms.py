"""Small layers with Fourier and cosine transforms, for the tests of generated kernels."""

from __future__ import annotations

from kernel_harness import Case


def _padded(function: str, kind: str, length: int, points: int, target: str) -> Case:
    text = f"layer f {{ in x[B, L]{kind} axis F = {target} out y[B, F] = {function}[L -> F, n = {points}](x) }}"
    return Case(text, {"x": (3, length)})


_KINDS = (("fft", ": complex"), ("ifft", ": complex"), ("rfft", ""), ("dct", ""), ("idct", ""))

TRANSFORMS = {
    **{
        f"{function} of {length} as {points}": _padded(
            function, kind, length, points, f"{points}/2 + 1" if function == "rfft" else f"{points}"
        )
        for function, kind in _KINDS
        for length, points in ((5, 5), (6, 6), (5, 8), (9, 4), (3, 17), (1, 1))
    },
    **{
        f"irfft of {length} as {points}": Case(
            f"layer f {{ in x[B, F]: complex axis L = {points} out y[B, L] = irfft[F -> L](x) }}", {"x": (3, length)}
        )
        for length, points in ((3, 4), (3, 5), (2, 8), (7, 5), (4, 34), (1, 1), (2, 2))
    },
    "real operands": Case(
        """layer f { in x[B, L] axis F = L out y[B, F] = fft[L -> F](x) out z[B, F] = ifft[L -> F](x)
             out w[B, F] = irfft[L -> F](x) }""",
        {"x": (3, 6)},
    ),
    "first axis": Case("layer f { in x[L, B] axis F = L/2 + 1 out y[F, B] = rfft[L -> F](x * x) }", {"x": (6, 5)}),
    "middle axis": Case("layer f { in x[A, L, B]: complex axis F = L out y[A, F, B] = fft[L -> F](x) }", {"x": (2, 6, 3)}),
    "axis moved": Case("layer f { in x[A, L, B] axis F = L out y[F, A, B] = dct[L -> F](x) }", {"x": (2, 5, 3)}),
    "of one name": Case("layer f { in x[B, L] out y[B, L] = abs(fft[L -> L](x))^2 }", {"x": (2, 5)}),
    "two axes": Case(
        """layer f { in x[L, M] axis F = L axis G = M/2 + 1 let z = fft[L -> F](rfft[M -> G](x))
             out y[F, G] = re(z) * im(z) }""",
        {"x": (4, 6)},
        growth=4096,
    ),
    "strided": Case(
        "layer f { in x[B, L]: complex in u[B, L] axis F = L out y[B, F] = fft[L -> F](x) out z[B, F] = dct[L -> F](u) }",
        {"x": (4, 6), "u": (4, 6)},
        strided={"x": "transposed", "u": "sliced", "grad_y": "column"},
    ),
    "spectral convolution": Case(
        """layer f { in u[B, I, X] param w[O, I, M]: complex = 1 axis F = X/2 + 1 let z = rfft[X -> F](u)
             let s = sum[I](select(index(F) < M, z * clamp(w)[O, I, F], 0)) out y[B, O, X] = irfft[F -> X](s) }""",
        {"u": (2, 3, 8), "w": (4, 3, 3)},
        growth=4096,
    ),
    "long convolution": Case(
        """layer f { in x[B, L] in k[L] axis F = L + 1 axis T = 2*L
             let s = rfft[L -> F, n = 2*L](x) let q = rfft[L -> F, n = 2*L](k) let y[B, T] = irfft[F -> T](s * q)
             out o[B, L] = y[B, L] }""",
        {"x": (2, 5), "k": (5,)},
        growth=4096,
    ),
    "low pass": Case(
        "layer f { in x[B, L] let z = rfft[L -> F](x) out y[B, L] = irfft[F -> L](select(index(F) < 3, z, 0)) }", {"x": (3, 9)}
    ),
    "within a sum": Case(
        "layer f { in x[B, L] param k[L] = 1 axis F = L out y[B] = sum[F](dct[L -> F](x * k)^2) }",
        {"x": (3, 7), "k": (7,)},
        growth=4096,
    ),
    "constant along the axis": Case("layer f { in x[B] in y[L] out z[B, L] = dct[L -> L](x + 0 * y) }", {"x": (3,), "y": (4,)}),
    "no lines": Case("layer f { in x[B, L] axis F = L/2 + 1 out y[B, F] = rfft[L -> F](x) }", {"x": (0, 6)}),
    "read elsewhere": Case(
        "layer f { in x[B, L] axis F = L let z[B, F] = fft[L -> F](x) out y[B, F] = re(z * wrap(z)[B, F + 1]) }", {"x": (2, 6)}
    ),
    "in low precision": Case(
        "layer f { in x[B, L] axis F = L out y[B, F] = dct[L -> F](x) }", {"x": (2, 8)}, dtypes=("bf16", "f16")
    ),
    "many lines": Case("layer f { in x[B, L]: complex axis F = L out y[B, F] = fft[L -> F](x) }", {"x": (150, 12)}),
    "many adjacent lines": Case("layer f { in x[L, B] axis F = L/2 + 1 out y[F, B] = rfft[L -> F](x) }", {"x": (12, 150)}),
}

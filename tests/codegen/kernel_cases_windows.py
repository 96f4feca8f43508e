"""Layers that sum products over windows: convolutions of all kinds, written as index maps."""

from __future__ import annotations

from kernel_harness import Case

WINDOWS = {
    "convolution": Case(
        """layer conv { in x[B, C, H, W] param w[O, C, I, J] = 1 axis P = H - I + 1 axis Q = W - J + 1
             out y[B, O, P, Q] = sum[C, I, J](w * x[B, C, P + I, Q + J]) }""",
        {"x": (2, 5, 9, 8), "w": (6, 5, 3, 2)},
        wanted=("w",),
    ),
    "grouped": Case(
        """layer conv { in x[B, G*C, H, W] param w[G*O, C, I, J] = 1 axis P = H - I + 1 axis Q = W - J + 1
             out y[B, G*O, P, Q] = sum[C, I, J](w * x[B, G*C, P + I, Q + J]) }""",
        {"x": (2, 8, 7, 9), "w": (10, 4, 2, 3)},
        wanted=("w",),
    ),
    "strided and dilated": Case(
        """layer conv { in x[B, C, H, W] param w[O, C, I, J] = 1 axis P = (H - 2*I + 1) / 2 axis Q = (W - 3*J + 2) / 3
             out y[B, O, P, Q] = sum[C, I, J](w * x[B, C, 2*P + 2*I, 3*Q + 3*J]) }""",
        {"x": (2, 5, 11, 13), "w": (6, 5, 3, 2)},
        wanted=("w",),
    ),
    "one dimension, backwards": Case(
        """layer conv { in x[B, L, C] param w[K, C, O] = 1 axis P = L - K + 1
             out y[B, P, O] = sum[C, K](w * x[B, P + len(K) - 1 - K, C]) }""",
        {"x": (3, 9, 5), "w": (4, 5, 7)},
        wanted=("w",),
    ),
    "three dimensions": Case(
        """layer conv { in x[B, C, D, H, W] param w[O, C, I, J, K] = 1
             axis P = D - I + 1 axis Q = H - J + 1 axis R = W - K + 1
             out y[B, O, P, Q, R] = sum[C, I, J, K](w * x[B, C, P + I, Q + J, R + K]) }""",
        {"x": (2, 4, 4, 5, 6), "w": (5, 4, 2, 3, 2)},
        wanted=("w",),
    ),
    "of a computed value": Case(
        """layer conv { in x[B, C, L] param w[O, C, K] = 1 axis P = L - K + 1 let s[B, C, L] = tanh(x)
             out y[B, O, P] = sum[C, K](w * s[B, C, P + K]) }""",
        {"x": (3, 5, 11), "w": (6, 5, 4)},
        wanted=("w",),
    ),
    "no window": Case(
        """layer conv { in x[B, C, L] param w[O, C, K] = 1 axis P = L - K + 1
             out y[B, O, P] = sum[C, K](w * x[B, C, P + K]) }""",
        {"x": (3, 5, 4), "w": (6, 5, 5)},
        wanted=("w",),
    ),
    "padded": Case(
        """layer conv { in x[B, C, H, W] param w[O, C, 3, 5] = 1
             out y[B, O, H, W] = sum[C, i < 3, j < 5](w[O, C, i, j] * zero(x)[B, C, H + i - 1, W + j - 2]) }""",
        {"x": (2, 5, 7, 6), "w": (6, 5, 3, 5)},
        wanted=("w",),
    ),
    "padded, strided, dilated": Case(
        """layer conv { in x[B, C, H, W] param w[O, C, I, J] = 1 axis P = (H + 1) / 2 axis Q = (W + 2) / 3
             out y[B, O, P, Q] = sum[C, I, J](w * zero(x)[B, C, 2*P + 2*I - 3, 3*Q + J - 1]) }""",
        {"x": (2, 5, 7, 8), "w": (6, 5, 3, 2)},
        wanted=("w",),
    ),
    "around": Case(
        """layer conv { in x[B, C, L] param w[O, C, K] = 1
             out y[B, O, L] = sum[C, K](w * wrap(x)[B, C, L - K]) }""",
        {"x": (2, 5, 7), "w": (6, 5, 4)},
        wanted=("w",),
    ),
    "clamped": Case(
        """layer conv { in x[B, C, L] param w[O, C, K] = 1
             out y[B, O, L] = sum[C, K](w * clamp(x)[B, C, L + 2*K - 3]) }""",
        {"x": (2, 5, 7), "w": (6, 5, 4)},
        wanted=("w",),
    ),
    "reflected, of a computed value": Case(
        """layer conv { in x[B, C, L] param w[O, C, K] = 1 let s[B, C, L] = x * x
             out y[B, O, L] = sum[C, K](w * reflect(s)[B, C, L + K - 2]) }""",
        {"x": (2, 5, 7), "w": (6, 5, 4)},
        wanted=("w",),
    ),
    "nothing to pad": Case(
        """layer conv { in x[B, C, L] param w[O, C, K] = 1
             out y[B, O, L] = sum[C, K](w * wrap(x)[B, C, L - K]) }""",
        {"x": (2, 5, 0), "w": (6, 5, 4)},
        wanted=("w",),
    ),
}

"""Convolutions, poolings, foldings and paddings. See `operators`."""

from __future__ import annotations

import torch
from operators import Operator, uniform
from torch.nn import functional

_CONV1D = "in x[B, C, L]  param w[O, C, K] = 1"
_MODES = {"zero": "constant", "wrap": "circular", "clamp": "replicate", "reflect": "reflect"}

TABLE = {
    "conv1d": Operator(
        f"""layer f {{ {_CONV1D}  param b[O] = 0  axis T = L - K + 1
          out y[B, O, T] = sum[C, k < K](w[O, C, k] * x[B, C, T + k]) + b }}""",
        {"x": (2, 3, 11), "w": (4, 3, 3), "b": (4,)},
        functional.conv1d,
    ),
    "conv1d with stride, padding and dilation": Operator(
        f"""layer f {{ {_CONV1D}  axis T = (L + 4 - 3*(K - 1) - 1)/2 + 1
          out y[B, O, T] = sum[C, k < K](w[O, C, k] * zero(x)[B, C, 2*T + 3*k - 2]) }}""",
        {"x": (2, 3, 17), "w": (4, 3, 4)},
        lambda x, w: functional.conv1d(x, w, stride=2, padding=2, dilation=3),
    ),
    "conv1d in groups": Operator(
        """layer f(G = 3) { in x[B, G*C, L]  param w[G*O, C, K] = 1  axis T = L - K + 1
          out y[B, G*O, T] = sum[C, k < K](w[G*O, C, k] * x[B, G*C, T + k]) }""",
        {"x": (2, 6, 9), "w": (12, 2, 3)},
        lambda x, w: functional.conv1d(x, w, groups=3),
    ),
    "causal depthwise conv1d": Operator(
        "layer f { in x[B, C, L]  param w[C, K] = 1  out y[B, C, L] = sum[k < K](w[C, k] * zero(x)[B, C, L - k]) }",
        {"x": (2, 3, 9), "w": (3, 4)},
        lambda x, w: functional.conv1d(functional.pad(x, (3, 0)), w.flip(1)[:, None], groups=3),
    ),
    "long convolution": Operator(
        "layer f { in x[C, L]  param w[C, K] = 1  out y[C, L] = sum[k < K](w[C, k] * zero(x)[C, L - k]) }",
        {"x": (3, 40), "w": (3, 40)},
        lambda x, w: torch.fft.irfft(torch.fft.rfft(x, n=80) * torch.fft.rfft(w, n=80), n=80)[:, :40],
    ),
    **{
        f"conv1d padded through {boundary}": Operator(
            f"layer f {{ {_CONV1D}  out y[B, O, L] = sum[C, k < K](w[O, C, k] * {boundary}(x)[B, C, L + k - 2]) }}",
            {"x": (2, 3, 7), "w": (4, 3, 5)},
            lambda x, w, mode=mode: functional.conv1d(functional.pad(x, (2, 2), mode=mode), w),
        )
        for boundary, mode in _MODES.items()
    },
    "conv2d": Operator(
        """layer f { in x[B, C, H, W]  param w[O, C, I, J] = 1  axis P = H - I + 1  axis Q = W - J + 1
          out y[B, O, P, Q] = sum[C, i < I, j < J](w[O, C, i, j] * x[B, C, P + i, Q + j]) }""",
        {"x": (2, 3, 6, 7), "w": (4, 3, 3, 2)},
        functional.conv2d,
    ),
    "conv2d with stride, padding and dilation": Operator(
        """layer f { in x[B, C, H, W]  param w[O, C, I, J] = 1  axis P = (H + 2 - I)/2 + 1  axis Q = W + 4 - 2*(J - 1)
          out y[B, O, P, Q] = sum[C, i < I, j < J](w[O, C, i, j] * zero(x)[B, C, 2*P + i - 1, Q + 2*j - 2]) }""",
        {"x": (2, 3, 9, 8), "w": (4, 3, 3, 3)},
        lambda x, w: functional.conv2d(x, w, stride=(2, 1), padding=(1, 2), dilation=(1, 2)),
    ),
    "conv2d in groups, padded circularly": Operator(
        """layer f(G = 2) { in x[B, G*C, H, W]  param w[G*O, C, I, J] = 1
          out y[B, G*O, H, W] = sum[C, i < I, j < J](w[G*O, C, i, j] * wrap(x)[B, G*C, H + i - 1, W + j - 1]) }""",
        {"x": (2, 4, 5, 6), "w": (6, 2, 3, 3)},
        lambda x, w: functional.conv2d(functional.pad(x, (1, 1, 1, 1), mode="circular"), w, groups=2),
    ),
    "depthwise conv2d": Operator(
        """layer f { in x[B, C, H, W]  param w[C, I, J] = 1
          out y[B, C, H, W] = sum[i < I, j < J](w[C, i, j] * zero(x)[B, C, H + i - 1, W + j - 1]) }""",
        {"x": (2, 3, 5, 6), "w": (3, 3, 3)},
        lambda x, w: functional.conv2d(x, w[:, None], padding=1, groups=3),
    ),
    "pointwise conv2d": Operator(
        "layer f { in x[B, C, H, W]  param w[O, C] = 1  out y[B, O, H, W] = sum[C](w * x) }",
        {"x": (2, 5, 4, 3), "w": (6, 5)},
        lambda x, w: functional.conv2d(x, w[:, :, None, None]),
    ),
    "conv3d": Operator(
        """layer f { in x[B, C, D, H, W]  param w[O, C, I, J, K] = 1
          axis P = D - I + 1  axis Q = (H - J)/2 + 1  axis R = W + 2 - K + 1
          out y[B, O, P, Q, R] = sum[C, i < I, j < J, k < K](w[O, C, i, j, k] * zero(x)[B, C, P + i, 2*Q + j, R + k - 1]) }""",
        {"x": (2, 2, 4, 5, 4), "w": (3, 2, 2, 3, 3)},
        lambda x, w: functional.conv3d(x, w, stride=(1, 2, 1), padding=(0, 0, 1)),
    ),
    "transposed conv1d": Operator(
        """layer f { in x[B, C, L]  param w[C, O, K] = 1  axis T = L + K - 1
          out y[B, O, T] = sum[C, k < K](w[C, O, k] * zero(x)[B, C, T - k]) }""",
        {"x": (2, 3, 6), "w": (3, 4, 3)},
        functional.conv_transpose1d,
    ),
    "transposed conv1d with stride and padding": Operator(
        """layer f { in x[B, C, L]  param w[C, O, 4] = 1  axis R = 2
          out y[B, O, L*R] = sum[C, j < 2](zero(x)[B, C, L + R - j] * zero(w)[C, O, 2*j + 1 - R]) }""",
        {"x": (2, 3, 6), "w": (3, 4, 4)},
        lambda x, w: functional.conv_transpose1d(x, w, stride=2, padding=1),
    ),
    "transposed conv2d with stride": Operator(
        """layer f { in x[B, C, H, W]  param w[C, O, 2, 2] = 1  axis R = 2  axis S = 2
          out y[B, O, H*R, W*S] = sum[C](x * w[C, O, R, S]) }""",
        {"x": (2, 3, 4, 5), "w": (3, 4, 2, 2)},
        lambda x, w: functional.conv_transpose2d(x, w, stride=2),
    ),
    "max_pool1d": Operator(
        "layer f { in x[B, C, L]  axis T = (L - 3)/2 + 1  out y[B, C, T] = max[k < 3](x[B, C, 2*T + k]) }",
        {"x": (2, 3, 10)},
        lambda x: functional.max_pool1d(x, 3, 2),
    ),
    "max_pool2d": Operator(
        "layer f { in x[B, C, 2*P, 2*Q]  out y[B, C, P, Q] = max[i < 2, j < 2](x[B, C, 2*P + i, 2*Q + j]) }",
        {"x": (2, 3, 6, 8)},
        lambda x: functional.max_pool2d(x, 2),
    ),
    "max_pool2d of positive values with padding": Operator(
        """layer f { in x[B, C, H, W]  axis P = (H - 1)/2 + 1  axis Q = (W - 1)/2 + 1
          out y[B, C, P, Q] = max[i < 3, j < 3](zero(x)[B, C, 2*P + i - 1, 2*Q + j - 1]) }""",
        {"x": (2, 3, 7, 6)},
        lambda x: functional.max_pool2d(x, 3, 2, 1),
        {"x": uniform(0.1, 2.0)},
    ),
    "avg_pool1d": Operator(
        "layer f { in x[B, C, L]  axis T = (L + 2 - 4)/2 + 1  out y[B, C, T] = mean[k < 4](zero(x)[B, C, 2*T + k - 1]) }",
        {"x": (2, 3, 11)},
        lambda x: functional.avg_pool1d(x, 4, 2, 1),
    ),
    "avg_pool2d without the padding": Operator(
        """layer f { in x[B, C, H, W]  buffer o[H, W] = 1
          out y[B, C, H, W] = sum[i < 3, j < 3](zero(x)[B, C, H + i - 1, W + j - 1])
                            / sum[i < 3, j < 3](zero(o)[H + i - 1, W + j - 1]) }""",
        {"x": (2, 3, 5, 4), "o": (5, 4)},
        lambda x, o: functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False) + 0 * o,
        {"o": lambda generator, shape: 0 * generator.standard_normal(shape) + 1},
        has_gradient=False,
    ),
    "global average pooling": Operator(
        "layer f { in x[B, C, H, W]  out y[B, C] = mean[H, W](x) }",
        {"x": (2, 3, 5, 4)},
        lambda x: functional.adaptive_avg_pool2d(x, 1)[..., 0, 0],
    ),
    "lp_pool1d": Operator(
        "layer f { in x[B, C, L]  axis T = (L - 3)/2 + 1  out y[B, C, T] = pow(sum[k < 3](x[B, C, 2*T + k]^3), 1/3) }",
        {"x": (2, 3, 9)},
        lambda x: functional.lp_pool1d(x, 3.0, 3, 2),
        {"x": uniform(0.2, 2.0)},
    ),
    "unfold": Operator(
        """layer f { in x[B, C, H, W]  axis I = 3  axis J = 2  axis P = (H - 3)/2 + 1  axis Q = W + 2 - 2 + 1
          out y[B, C*I*J, P*Q] = zero(x)[B, C, 2*P + I, Q + J - 1] }""",
        {"x": (2, 3, 7, 5)},
        lambda x: functional.unfold(x, (3, 2), stride=(2, 1), padding=(0, 1)),
    ),
    "fold": Operator(
        """layer f { in u[B, C, I, J, P, Q]  axis H = P + I - 1  axis W = Q + J - 1
          out y[B, C, H, W] = sum[i < I, j < J](zero(u)[B, C, i, j, H - i, W - j]) }""",
        {"u": (2, 3, 3, 2, 4, 5)},
        lambda u: functional.fold(u.reshape(2, 18, 20), (6, 6), (3, 2)),
    ),
    **{
        f"pad1d through {boundary}": Operator(
            f"layer f {{ in x[B, C, L]  axis T = L + 5  out y[B, C, T] = {boundary}(x)[B, C, T - 2] }}",
            {"x": (2, 3, 6)},
            lambda x, mode=mode: functional.pad(x, (2, 3), mode=mode),
        )
        for boundary, mode in _MODES.items()
    },
    **{
        f"pad2d through {boundary}": Operator(
            f"""layer f {{ in x[B, C, H, W]  axis P = H + 3  axis Q = W + 4
              out y[B, C, P, Q] = {boundary}(x)[B, C, P - 1, Q - 3] }}""",
            {"x": (2, 3, 5, 6)},
            lambda x, mode=mode: functional.pad(x, (3, 1, 1, 2), mode=mode),
        )
        for boundary, mode in _MODES.items()
    },
}

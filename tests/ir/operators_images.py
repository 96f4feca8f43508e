"""Rearrangements, interpolation, sampling and filters. See `operators`."""

from __future__ import annotations

import torch
from operators import Operator, integers, uniform
from torch import Tensor
from torch.nn import functional


def _sampled(x: Tensor, i: Tensor, j: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """torch's grid_sample at rows i + u and columns j + v of an image."""
    height, width = x.shape[2:]
    rows = (2 * (i + u) + 1) / height - 1
    columns = (2 * (j + v) + 1) / width - 1
    return functional.grid_sample(x, torch.stack([columns, rows], -1), align_corners=False, padding_mode="zeros")


def _haar(x: Tensor) -> tuple[Tensor, ...]:
    a, b, c, d = x[..., ::2, ::2], x[..., ::2, 1::2], x[..., 1::2, ::2], x[..., 1::2, 1::2]
    return (a + b + c + d) / 2, (a - b + c - d) / 2, (a + b - c - d) / 2, (a - b - c + d) / 2


_SOBEL = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], dtype=torch.float64)

TABLE = {
    "pixel_shuffle": Operator(
        "layer f(R = 2, S = 2) { in x[B, C*R*S, H, W]  out y[B, C, H*R, W*S] = x }",
        {"x": (2, 12, 3, 4)},
        lambda x: functional.pixel_shuffle(x, 2),
    ),
    "pixel_unshuffle": Operator(
        "layer f(R = 2, S = 2) { in x[B, C, H*R, W*S]  out y[B, C*R*S, H, W] = x }",
        {"x": (2, 3, 6, 4)},
        lambda x: functional.pixel_unshuffle(x, 2),
    ),
    "channel_shuffle": Operator(
        "layer f(G = 3) { in x[B, G*C, H, W]  out y[B, C*G, H, W] = x }",
        {"x": (2, 6, 3, 4)},
        lambda x: torch.channel_shuffle(x, 3),
    ),
    "patches of an image": Operator(
        "layer f(R = 2, S = 3) { in x[B, C, H*R, W*S]  out y[B, H*W, R*S*C] = x }",
        {"x": (2, 3, 4, 9)},
        lambda x: x.reshape(2, 3, 2, 2, 3, 3).permute(0, 2, 4, 3, 5, 1).reshape(2, 6, 18),
    ),
    "roll": Operator("layer f { in x[B, L]  out y[B, L] = wrap(x)[B, L - 2] }", {"x": (2, 7)}, lambda x: torch.roll(x, 2, 1)),
    "roll in two dimensions": Operator(
        "layer f { in x[H, W]  out y[H, W] = wrap(x)[H + 1, W - 3] }", {"x": (4, 7)}, lambda x: torch.roll(x, (-1, 3), (0, 1))
    ),
    "flip": Operator("layer f { in x[B, L]  out y[B, L] = x[B, len(L) - 1 - L] }", {"x": (2, 7)}, lambda x: x.flip(1)),
    "rot90": Operator("layer f { in x[H, W]  out y[W, H] = x[H, len(W) - 1 - W] }", {"x": (4, 7)}, torch.rot90),
    "narrow": Operator("layer f { in x[B, L]  axis T = L - 3  out y[B, T] = x[B, T + 2] }", {"x": (2, 7)}, lambda x: x[:, 2:6]),
    "every second element": Operator(
        "layer f { in x[B, L]  axis T = (L + 1)/2  out y[B, T] = x[B, 2*T] }", {"x": (2, 7)}, lambda x: x[:, ::2]
    ),
    "repeat": Operator("layer f { in x[B, L]  axis R = 3  out y[B, R*L] = x }", {"x": (2, 4)}, lambda x: x.repeat(1, 3)),
    "repeat_interleave": Operator(
        "layer f { in x[B, L]  axis R = 3  out y[B, L*R] = x }", {"x": (2, 4)}, lambda x: x.repeat_interleave(3, 1)
    ),
    "cat": Operator(
        """layer f { in a[B, M]  in b[B, N]  axis T = M + N
          out y[B, T] = select(index(T) < M, zero(a)[B, T], zero(b)[B, T - len(M)]) }""",
        {"a": (2, 3), "b": (2, 4)},
        lambda a, b: torch.cat([a, b], 1),
    ),
    "tril": Operator("layer f { in x[H, W]  out y[H, W] = select(index(W) <= index(H), x, 0) }", {"x": (5, 4)}, torch.tril),
    "triu of a diagonal": Operator(
        "layer f { in x[H, W]  out y[H, W] = select(index(W) >= index(H) + 1, x, 0) }", {"x": (5, 6)}, lambda x: torch.triu(x, 1)
    ),
    "diagonal": Operator(
        "layer f { in x[B, H, W]  axis D = H  require W >= H + 1  out y[B, D] = x[B, D, D + 1] }",
        {"x": (2, 3, 5)},
        lambda x: torch.diagonal(x, 1, 1, 2),
    ),
    "trace": Operator("layer f { in x[H, W]  require H == W  out y[] = sum[h < H](x[h, h]) }", {"x": (4, 4)}, torch.trace),
    "diag_embed": Operator(
        "layer f { in x[B, L]  axis M = L  out y[B, L, M] = select(index(L) == index(M), x, 0) }", {"x": (2, 4)}, torch.diag_embed
    ),
    "interpolate nearest": Operator(
        "layer f { in x[B, C, H, W]  axis R = 2  axis S = 3  out y[B, C, H*R, W*S] = x }",
        {"x": (2, 3, 4, 3)},
        lambda x: functional.interpolate(x, scale_factor=(2, 3), mode="nearest"),
    ),
    "interpolate linear": Operator(
        "layer f { in x[B, C, L]  axis R = 2  out y[B, C, L*R] = 0.75*x + 0.25*clamp(x)[B, C, L + 2*R - 1] }",
        {"x": (2, 3, 5)},
        lambda x: functional.interpolate(x, scale_factor=2, mode="linear", align_corners=False),
    ),
    "interpolate bilinear": Operator(
        """layer f { in x[B, C, H, W]  axis R = 2  axis S = 2
          let u[B, C, H, R, W] = 0.75*x + 0.25*clamp(x)[B, C, H + 2*R - 1, W]
          out y[B, C, H*R, W*S] = 0.75*u + 0.25*clamp(u)[B, C, H, R, W + 2*S - 1] }""",
        {"x": (2, 3, 4, 5)},
        lambda x: functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False),
    ),
    "grid_sample": Operator(
        """layer f { in x[B, C, H, W]  in i[B, P, Q]: i64  in j[B, P, Q]: i64  in u[B, P, Q]  in v[B, P, Q]
          out y[B, C, P, Q] = (1 - u) * ((1 - v) * zero(x)[B, C, i, j] + v * zero(x)[B, C, i, j + 1])
                            + u * ((1 - v) * zero(x)[B, C, i + 1, j] + v * zero(x)[B, C, i + 1, j + 1]) }""",
        {"x": (2, 3, 4, 5), "i": (2, 3, 2), "j": (2, 3, 2), "u": (2, 3, 2), "v": (2, 3, 2)},
        _sampled,
        {"i": integers(-1, 4), "j": integers(-1, 5), "u": uniform(0.1, 0.9), "v": uniform(0.1, 0.9)},
    ),
    "haar": Operator(
        """layer f { in x[B, C, 2*P, 2*Q]
          let a = x[B, C, 2*P, 2*Q]    let b = x[B, C, 2*P, 2*Q+1]  let c = x[B, C, 2*P+1, 2*Q]  let d = x[B, C, 2*P+1, 2*Q+1]
          out ll[B, C, P, Q] = (a+b+c+d)/2  out lh[B, C, P, Q] = (a-b+c-d)/2
          out hl[B, C, P, Q] = (a+b-c-d)/2  out hh[B, C, P, Q] = (a-b-c+d)/2 }""",
        {"x": (2, 3, 4, 6)},
        _haar,
    ),
    "sobel": Operator(
        """layer f { in x[H, W]
          let s[H, W] = zero(x)[H - 1, W] + 2*x + zero(x)[H + 1, W]
          out y[H, W] = zero(s)[H, W + 1] - zero(s)[H, W - 1] }""",
        {"x": (5, 6)},
        lambda x: functional.conv2d(x[None, None], _SOBEL[None, None], padding=1)[0, 0],
    ),
    "laplacian": Operator(
        """layer f { in x[H, W]
          out y[H, W] = wrap(x)[H - 1, W] + wrap(x)[H + 1, W] + wrap(x)[H, W - 1] + wrap(x)[H, W + 1] - 4*x }""",
        {"x": (5, 6)},
        lambda x: x.roll(1, 0) + x.roll(-1, 0) + x.roll(1, 1) + x.roll(-1, 1) - 4 * x,
    ),
    "total variation": Operator(
        """layer f { in x[B, H, W]  axis P = H - 1  axis Q = W - 1
          out y[B] = sum[P, W](abs(x[B, P + 1, W] - x[B, P, W])) + sum[H, Q](abs(x[B, H, Q + 1] - x[B, H, Q])) }""",
        {"x": (2, 4, 5)},
        lambda x: x.diff(dim=1).abs().sum((1, 2)) + x.diff(dim=2).abs().sum((1, 2)),
    ),
}

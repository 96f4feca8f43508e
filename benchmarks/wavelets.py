"""The row of strided reads: one level of the two-dimensional Haar transform.

In: `quick`, a smaller problem and fewer repeats. Out: a `Row`: the forward and the backward kernel in turn, with outputs allocated
beforehand, beside a copy of as many bytes. Forward, four reads at 2*P and 2*P + 1; backward, their transposes, stores in one nest.
"""

from __future__ import annotations

from pathlib import Path

import lamina
import torch
from measure import Goal, Row, bandwidth_alarms, copier, interleaved, summary, verify

SPECIFICATION = Path(__file__).parents[1] / "examples" / "specs" / "haar2.lam"


def haar_kernels(quick: bool) -> Row:
    """(8, 64, 224, 224) f32, a batch of 1 when quick."""
    layer = lamina.compile(SPECIFICATION.read_text(encoding="utf-8"))
    x = torch.randn(1 if quick else 8, 64, 224, 224)
    cotangents = [torch.randn(*x.shape[:2], 112, 112) for _ in range(4)]
    forward, values = layer.launcher("forward", (x,))
    backward, gradients = layer.launcher("backward", (x,), cotangents)

    def both() -> None:
        forward()
        backward()

    def poison() -> None:
        for output in (*values, *gradients):
            output.fill_(torch.nan)

    exact = x.double().requires_grad_()
    a, b, c, d = (exact[..., i::2, j::2] for i in (0, 1) for j in (0, 1))
    wanted = ((a + b + c + d) / 2, (a - b + c - d) / 2, (a + b - c - d) / 2, (a - b - c + d) / 2)
    (gradient,) = torch.autograd.grad(wanted, exact, [cotangent.double() for cotangent in cotangents])
    poison()
    both()
    error = verify("lamina", (*values, *gradients), [*(each.detach() for each in wanted), gradient])
    byte_count = 4 * x.nbytes  # each direction reads and writes as much as there is of x
    candidates = {"lamina": both, "copy": copier(byte_count)}
    seconds, spread = summary(interleaved(candidates, repeats=5 if quick else 30, poison=poison))
    return Row(
        "haar_kernels",
        f"haar2 {tuple(x.shape)} f32, forward and backward kernels alone",
        seconds,
        spread,
        {"lamina": error},
        goals=(Goal("of copy bandwidth", seconds["copy"] / seconds["lamina"], 0.7),),
        alarms=bandwidth_alarms(seconds, byte_count),
    )

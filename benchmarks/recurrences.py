"""The row of the CPU benchmark for a diagonal linear recurrence.

In: `quick`, a smaller problem and fewer repeats. Out: a `Row`. Peers: a loop over the steps, and an associative scan by recursive
doubling (Hillis and Steele, 1986, on pairs (a, b) composed as in Blelloch, 1990), both in eager PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable

import lamina
import torch
from measure import Goal, Row, interleaved, summary, verify
from torch import Tensor

TEXT = "layer lti { in x[B, L, D]  param a[D] = uniform(0.9, 0.99)  out h[B, L, D] = scan[L](s = 0 : a*s + x) }"


def stepped(x: Tensor, a: Tensor) -> Tensor:
    """One step after the other."""
    state, states = torch.zeros_like(x[:, 0]), []
    for row in x.unbind(1):
        state = a * state + row
        states.append(state)
    return torch.stack(states, 1)


def doubled(x: Tensor, a: Tensor) -> Tensor:
    """log2(L) rounds over all steps at once."""
    factor, state, reach = a.expand_as(x), x, 1
    while reach < x.shape[1]:
        state = torch.cat([state[:, :reach], state[:, reach:] + factor[:, reach:] * state[:, :-reach]], 1)
        factor = torch.cat([factor[:, :reach], factor[:, reach:] * factor[:, :-reach]], 1)
        reach *= 2
    return state


def lti_training(quick: bool) -> Row:
    """h_t = a h_(t-1) + x_t, (8, 4096, 256) f32, forward and backward."""
    shape = (2, 512, 256) if quick else (8, 4096, 256)
    x = torch.randn(shape, requires_grad=True)
    a = torch.empty(shape[2]).uniform_(0.9, 0.99).requires_grad_()
    cotangent = torch.randn(shape)

    def results(function: Callable[[Tensor, Tensor], Tensor], *arguments: Tensor) -> list[Tensor]:
        value = function(*arguments)
        return [value.detach(), *torch.autograd.grad(value, arguments, cotangent.to(value.dtype))]

    layer = lamina.compile(TEXT)
    peers = {"lamina": layer, "doubling in eager": doubled, "loop in eager": stepped}
    wanted = [part.detach() for part in results(stepped, *(each.detach().double().requires_grad_() for each in (x, a)))]
    errors = {name: verify(name, results(peer, x, a), wanted) for name, peer in peers.items()}
    candidates = {name: lambda peer=peer: results(peer, x, a) for name, peer in peers.items()}
    seconds, spread = summary(interleaved(candidates, repeats=3 if quick else 5))
    goals = (
        Goal("times loop in eager", seconds["loop in eager"] / seconds["lamina"], 20.0),
        Goal("times doubling in eager", seconds["doubling in eager"] / seconds["lamina"], 2.0),
    )
    return Row("lti_training", f"linear recurrence {shape} f32, forward and backward", seconds, spread, errors, goals=goals)

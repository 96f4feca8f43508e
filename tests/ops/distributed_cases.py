"""The work of one process of the distributed test, in a module of its own: a spawned process imports it by name."""

from __future__ import annotations

import torch
from lamina.ops.references import REFERENCES, Case, Reference
from library_cases import drawn, module_of
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel

PROCESSES = 2


def expected_gradients(reference: Reference, case: Case, parameters: list[Tensor]) -> list[Tensor]:
    """The mean over the processes of the eager gradients of sum(y^2) on each one's own input."""
    totals = [torch.zeros_like(parameter) for parameter in parameters]
    for rank in range(PROCESSES):
        x = drawn(reference, case, torch.float64, seed=rank)[0]
        leaves = [parameter.detach().clone().requires_grad_() for parameter in parameters]
        gradients = torch.autograd.grad(reference.evaluate(case, x, *leaves).square().sum(), leaves)
        totals = [total + gradient / PROCESSES for total, gradient in zip(totals, gradients, strict=True)]
    return totals


def check_every_entry(rank: int, rendezvous: str) -> None:
    """Trains one step of every entry that has parameters; AssertionError where a gradient is not the mean over processes."""
    distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=PROCESSES)
    torch.set_num_threads(1)
    try:
        for name, reference in REFERENCES.items():
            case = reference.cases[0]
            if len(reference.draws(case)) == reference.inputs:
                continue  # no parameters, nothing to distribute
            torch.manual_seed(0)
            module = module_of(name, case, dtype=torch.float64)
            model = DistributedDataParallel(module)
            model(drawn(reference, case, torch.float64, seed=rank)[0]).square().sum().backward()
            expected = expected_gradients(reference, case, list(module.parameters()))
            for found, wanted in zip(module.parameters(), expected, strict=True):
                torch.testing.assert_close(found.grad, wanted, rtol=1e-9, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}")
    finally:
        distributed.destroy_process_group()

"""The torch operators of a layer.

In: the functions derived from a layer, and a name. Out: `lamina::NAME_fwd(tensors) -> results` and `lamina::NAME_bwd(tensors,
path) -> gradients`, which serves every order: its path says which derivative (see `functions.py`). Holds: both have fakes that
give shapes symbolically, autograd formulas in terms of `_bwd`, and rules for vmap; so they are whole under torch.compile,
torch.export and torch.func.
"""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..runtime.execute import TORCH_DTYPES, storage_dtype
from ..schedule.program import Signature
from .arguments import call_dtype, check
from .batching import batch
from .functions import Function, Functions

_NAMESPACE = "lamina"


class Operators:
    """Registers the two operators; `forward` and `backward` are their overloads. One instance for each NAME in a process."""

    def __init__(self, functions: Functions, name: str) -> None:
        self.functions = functions
        self.name = name
        # register_fake asks inspect which module called it; unless it is told, it goes through all that are loaded (0.02 s)
        getattr(inspect, "modulesbyfile", {}).setdefault(__file__, __name__)
        self._library = torch.library.Library(_NAMESPACE, "FRAGMENT")
        results = ", ".join(["Tensor"] * len(functions.root.outputs))
        results = results if len(functions.root.outputs) == 1 else f"({results})"
        self._define(f"{name}_fwd", f"({', '.join(operator_parameters(functions.interface.names))}) -> {results}")
        self._define(f"{name}_bwd", "(Tensor[] tensors, str path) -> Tensor[]")
        namespace = getattr(torch.ops, _NAMESPACE)
        self.forward = getattr(namespace, f"{name}_fwd").default
        self.backward = getattr(namespace, f"{name}_bwd").default
        self._register_forward()
        self._register_backward()

    def _define(self, name: str, schema: str) -> None:
        # pt2_compliant: every test of opcheck holds for it
        self._library.define(name + schema, tags=(torch.Tag.pt2_compliant_tag,))

    def _register(self, name: str, kernel: Any, fake: Any, backward: Any, context: Any, vmap: Any) -> None:
        qualified = f"{_NAMESPACE}::{name}"
        self._library.impl(name, kernel, "CompositeExplicitAutograd")
        torch.library.register_fake(qualified, fake, lib=self._library)
        torch.library.register_autograd(qualified, backward, setup_context=context, lib=self._library)
        torch.library.register_vmap(qualified, vmap, lib=self._library)

    def apply(self, function: Function, tensors: Sequence[Tensor]) -> list[Tensor]:
        """A function through the dispatcher."""
        if function.path:
            return list(self.backward(list(tensors), function.path))
        results = self.forward(*tensors)
        return [results] if isinstance(results, Tensor) else list(results)

    # ------------------------------------------------------------------------------------------ forward

    def _register_forward(self) -> None:
        functions = self.functions
        root, interface = functions.root, functions.interface
        single = len(root.outputs) == 1

        def given(results: Sequence[Any]) -> Any:
            return results[0] if single else tuple(results)

        def kernel(*tensors: Tensor) -> Any:
            check(interface, tensors)
            functions.kind(tensors)
            return given(root.call(tensors))

        def fake(*tensors: Tensor) -> Any:
            check(interface, tensors)
            bound = interface.bind_symbolic([tensor.shape for tensor in tensors])
            device = tensors[0].device if tensors else torch.device("cpu")
            nothing = Signature((), call_dtype(interface.inputs, [tensor.dtype for tensor in tensors]))
            return given(
                [
                    torch.empty(interface.shape(spec, bound), dtype=TORCH_DTYPES[storage_dtype(spec.dtype, nothing)], device=device)
                    for spec in interface.outputs
                ]
            )

        def context(ctx: Any, inputs: tuple[Tensor, ...], output: Any) -> None:
            ctx.save_for_backward(*inputs)
            ctx.set_materialize_grads(False)
            results = (output,) if single else output
            fixed = [result for result, can in zip(results, root.differentiable, strict=True) if not can]
            ctx.mark_non_differentiable(*fixed)

        def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
            return tuple(self._gradients(root, ctx.saved_tensors, tuple(ctx.needs_input_grad), cotangents))

        def vmap(info: Any, dimensions: tuple[int | None, ...], *tensors: Tensor) -> Any:
            results = batch(self.apply, root, list(tensors), list(dimensions), info.batch_size)
            return given(results), given([0] * len(results))

        self._register(f"{self.name}_fwd", kernel, fake, backward, context, vmap)

    # ------------------------------------------------------------------------------------------ gradients of any order

    def _gradients(
        self, function: Function, tensors: Sequence[Tensor], wanted: tuple[bool, ...], cotangents: Sequence[Tensor | None]
    ) -> list[Tensor | None]:
        given = tuple(cotangent is not None and can for cotangent, can in zip(cotangents, function.differentiable, strict=True))
        if not any(given) or not any(wanted):
            return [None] * len(tensors)
        derived = function.derivative(wanted, given)
        taken = [cotangent for cotangent, is_given in zip(cotangents, given, strict=True) if is_given]
        return derived.placed(self.backward([*tensors, *taken], derived.path), len(tensors))

    def _register_backward(self) -> None:
        functions = self.functions

        def kernel(tensors: Sequence[Tensor], path: str) -> list[Tensor]:
            functions.kind(tensors)
            return functions.function(path).call(tensors)

        def fake(tensors: Sequence[Tensor], path: str) -> list[Tensor]:
            like = functions.function(path).like or ()
            return [tensors[k].new_empty(tensors[k].shape) for k in like]

        def context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            tensors, ctx.path = inputs
            ctx.save_for_backward(*tensors)
            ctx.set_materialize_grads(False)

        def backward(ctx: Any, cotangents: Sequence[Tensor | None]) -> tuple[list[Tensor | None], None]:
            wanted = tuple(ctx.needs_input_grad[0])
            return self._gradients(functions.function(ctx.path), ctx.saved_tensors, wanted, cotangents), None

        def vmap(info: Any, dimensions: tuple[Any, ...], tensors: Sequence[Tensor], path: str) -> tuple[list[Tensor], list[int]]:
            results = batch(self.apply, functions.function(path), list(tensors), list(dimensions[0]), info.batch_size)
            return results, [0] * len(results)

        self._register(f"{self.name}_bwd", kernel, fake, backward, context, vmap)


def operator_parameters(names: Sequence[str]) -> list[str]:
    """The parameters of an operator's schema: the tensors' names made legal and distinct."""
    used: list[str] = []
    for name in names:
        legal = name.replace(".", "_")
        while legal in used or keyword.iskeyword(legal) or legal in ("self", "out", "further", "named"):
            legal += "_"
        used.append(legal)
    return [f"Tensor {legal}" for legal in used]

"""The layer a user holds: callable, inspectable, and the maker of modules.

In: a specification (`compile`), or a saved folder (`package.load`). Out: `Layer`. Holds: nothing is generated or built before
the first call that needs it; layers of the same meaning share their operators and executables.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..errors import ArgumentError, TargetError
from ..runtime.execute import to_array
from . import eager
from .arguments import arrange, check, default_signature
from .functions import Function, Functions
from .operators import Operators

if TYPE_CHECKING:
    from ..ir.graph import Graph
    from .initial import Initialiser
    from .module import LayerModule

TARGETS = ("cpp", "triton", "cuda")  # those that `Layer.source` knows
DIRECTIONS = ("forward", "backward", "double_backward")
_is_compiling = torch.compiler.is_compiling
_plain = eager.plain
_run = eager.run

_OPERATORS: dict[str, Operators] = {}
_REGISTERING = threading.Lock()


class Layer:
    """A compiled layer.

    `layer(x, a, b)`: inputs, then parameters and buffers, in declared order (the latter also by name), to the outs (a tuple, if
    several). Errors: ArgumentError where an argument does not fit, TargetError where the target cannot be used.
    """

    def __init__(
        self,
        operators: Operators,
        initial: Callable[[], Sequence[Initialiser]],
        text: str,
        target: str,
        recipe: tuple[Callable[..., Layer], tuple[Any, ...]],
        sizes: Mapping[str, int | None],
        resized: Callable[[Mapping[str, int]], Layer] | None,
    ) -> None:
        self._operators = operators
        self._functions = operators.functions
        self._root = operators.functions.root
        self._interface = operators.functions.interface
        self._forward = operators.forward
        self._single = len(self._root.outputs) == 1
        self._count = len(self._interface.inputs)
        self._make_initial = initial
        self._recipe = recipe
        self._resized = resized
        self.sizes = dict(sizes)
        self.text = text
        self.target = target
        self.name = self._interface.name

    def __call__(self, *tensors: Any, **named: Any) -> Any:
        if named or len(tensors) != self._count:
            tensors = arrange(self._interface, tensors, named)
        if _is_compiling():
            return self._forward(*tensors)
        if not _plain(tensors):
            check(self._interface, tensors)
            if not eager.transformed():
                return self._forward(*tensors)
            results = eager.functional(self._operators, self._root, tensors)
            return results[0] if self._single else tuple(results)
        results = _run(self._operators, self._root, tensors)
        return results[0] if self._single else tuple(results)

    # ------------------------------------------------------------------------------------------ modules

    def module(self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None, **lengths: int) -> LayerModule:
        """A torch.nn.Module with the layer's parameters and buffers, initialised.

        `lengths`: axis or size lengths by name, as far as known; the rest is taken from the tensors of the first call. `dtype`
        is that of the parameters declared float (torch's default unless given). Errors: ArgumentError for a name that the layer
        does not have.
        """
        from .module import make

        return make(self, lengths, device, dtype)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the `in` tensors, which a module's call takes."""
        return tuple(spec.name for spec in self._interface.inputs if spec.role == "in")

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters and buffers."""
        return tuple(spec.name for spec in self._interface.inputs if spec.role != "in")

    @cached_property
    def _initial(self) -> tuple[Initialiser, ...]:
        return tuple(self._make_initial())

    # ------------------------------------------------------------------------------------------ looking inside

    def reference(self, *tensors: Any, **named: Any) -> Any:
        """The same by the interpreter: float64 (complex128, int64, bool) tensors, whatever dtype the arguments have."""
        from ..ir.interpret import interpret

        arguments = [value if isinstance(value, Tensor) else torch.as_tensor(value) for value in _arranged(self, tensors, named)]
        self._interface.bind([tuple(tensor.shape) for tensor in arguments])
        arrays = dict(zip(self._interface.names, map(to_array, arguments), strict=True))
        results = interpret(self._interface.graph, arrays)
        found = tuple(torch.from_numpy(results[spec.name]) for spec in self._interface.outputs)
        return found[0] if self._single else found

    def graph(self, level: str = "math", direction: str = "forward") -> Graph:
        """The graph at a level: "layer" (as written) or "math" (structure recognised; forward and its derivatives)."""
        if level == "layer" and direction == "forward":
            return self._interface.graph
        if level != "math":
            raise ArgumentError(f"level: expected 'layer' or 'math', found {level!r}")
        return self._functions.source.graph(self._derived(direction))

    def source(self, target: str | None = None, direction: str = "forward") -> str:
        """The emitted text for a direction: of the signature called last, or of contiguous float32 tensors before any call."""
        kind = None if target == "auto" else target
        if kind not in (None, *TARGETS):
            raise ArgumentError(f"target: expected one of {', '.join(TARGETS)}, found {target!r}")
        return self._program_source(self._derived(direction), kind)

    def report(self) -> str:
        """The text of `lamina inspect FILE report`, of the programs made so far: sizes, kernels, approximations, errors of fits."""
        from .reporting import report

        return str(report(self))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a folder that `lamina.load` reads without compiler or toolchain.

        It serves the signatures called so far, and contiguous float32 tensors, forward and backward. Errors: TargetError.
        """
        from .package import save

        save(self, Path(path))

    def launcher(
        self, direction: str, inputs: Sequence[Tensor], cotangents: Sequence[Tensor] = ()
    ) -> tuple[Callable[[], None], tuple[Tensor, ...]]:
        """For benchmarks: a function that launches the bare kernel on these tensors, and the outputs that it fills.

        `inputs`: all tensors in declared order. direction "forward", or "backward" with one cotangent for each floating out; the
        outputs then are the gradients of every floating tensor. What training saves is prepared before, not part of the launch.
        """
        tensors = [tensor.detach() for tensor in arrange(self._interface, tuple(inputs), {})]
        check(self._interface, tensors)
        self._functions.kind(tensors)
        function = self._root
        if direction == "backward":
            derived = self._derived(direction)
            if len(cotangents) != sum(self._root.differentiable):
                raise ArgumentError(f"{self.name}: expected {sum(self._root.differentiable)} cotangents, found {len(cotangents)}")
            pair = self._root.training(_floating(self._root, tensors))
            saved = pair[0].call(tensors)[len(self._root.outputs) :] if pair is not None else []
            function = derived if pair is None else pair[1]
            tensors = [*tensors, *(cotangent.detach() for cotangent in cotangents), *saved]
        elif direction != "forward":
            raise ArgumentError(f"direction: expected 'forward' or 'backward', found {direction!r}")
        executable, bound, arranged, _, _ = function.resolve(tensors)
        run, outputs = executable.launcher(arranged, bound)
        return run, tuple(outputs)

    # ------------------------------------------------------------------------------------------ for the package's own use

    def _derived(self, direction: str) -> Function:
        """The function of a direction: all gradients of floating tensors, so many times over."""
        if direction not in DIRECTIONS:
            raise ArgumentError(f"direction: expected one of {', '.join(DIRECTIONS)}, found {direction!r}")
        function = self._root
        for _ in range(DIRECTIONS.index(direction)):
            wanted = tuple(spec.dtype not in ("i64", "i32", "bool") for spec in function.inputs)
            function = function.derivative(wanted, function.differentiable)
        return function

    def _program_source(self, function: Function, kind: str | None) -> str:
        source = self._functions.source
        for made in reversed(source.made):
            if made.path == function.path and kind in (None, made.program.target):
                return made.program.source
        return source.program(function, default_signature(function.inputs), kind).source

    def _with_lengths(self, lengths: Mapping[str, int]) -> tuple[Layer, dict[str, int]]:
        """The layer compiled with those of the lengths that are sizes, and the lengths given. Errors: ArgumentError."""
        axes = {axis.name: axis.length for axis in self._interface.graph.axes if axis.name[:1].isupper() and "." not in axis.name}
        listed = [*self.sizes, *(name for name in axes if name not in self.sizes)]
        for name, length in lengths.items():
            if name not in listed:
                raise ArgumentError(f"{self.name}: no axis or size is called {name}; there are {', '.join(listed) or 'none'}")
            if isinstance(length, bool) or not isinstance(length, int) or length < 0:
                raise ArgumentError(f"{name}: expected an integer of 0 or more, found {length!r}")
            fixed = axes.get(name)
            if name not in self.sizes and fixed is not None and fixed.is_Integer and int(fixed) != length:
                raise ArgumentError(f"{name}: the layer has {name} = {fixed}, found {length}")
        changed = {name: length for name, length in lengths.items() if name in self.sizes and self.sizes[name] != length}
        if not changed:
            return self, dict(lengths)
        if self._resized is None:
            saved = ", ".join(f"{size} = {length}" for size, length in self.sizes.items())
            raise TargetError(f"layer {self.name} was saved with its sizes: {saved}")
        return self._resized(changed), dict(lengths)

    def __repr__(self) -> str:
        results = ", ".join(spec.name for spec in self._interface.outputs)
        return f"<lamina layer {self.name}({', '.join(self._interface.names)}) -> ({results})>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Layer:
        return self  # it never changes

    def __reduce__(self) -> tuple[Callable[..., Layer], tuple[Any, ...]]:
        return self._recipe


def _arranged(layer: Layer, tensors: Sequence[Any], named: Mapping[str, Any]) -> tuple[Any, ...]:
    return arrange(layer._interface, tensors, named)


def _floating(function: Function, tensors: Sequence[Tensor]) -> tuple[bool, ...]:
    return tuple(tensor.dtype.is_floating_point or tensor.dtype.is_complex for tensor in tensors[: len(function.inputs)])


def from_functions(
    functions: Functions,
    name: str,
    initial: Callable[[], Sequence[Initialiser]],
    text: str,
    recipe: tuple[Callable[..., Layer], tuple[Any, ...]],
    sizes: Mapping[str, int | None],
    target: str = "auto",
    resized: Callable[[Mapping[str, int]], Layer] | None = None,
) -> Layer:
    """The layer of some functions; where operators of that name are registered already, theirs are used.

    `initial`: gives the initialisers of parameters and buffers; `recipe`: a function and arguments that make the layer again, for
    pickles; `resized`: makes it with other sizes.
    """
    with _REGISTERING:
        operators = _OPERATORS.get(name)
        if operators is None:
            operators = _OPERATORS[name] = Operators(functions, name)
    return Layer(operators, initial, text, target, recipe, sizes, resized)

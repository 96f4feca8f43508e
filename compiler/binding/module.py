"""Layers as torch.nn.Module.

In: a layer, the lengths known, device and dtype. Out: a module whose parameters and buffers are those that the layer declares,
initialised. Holds: a length that is not known yet is taken from the tensors of the first call, by torch's lazy modules;
state_dict, copies, pickles, `.to` and hooks are torch's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy

from ..errors import ArgumentError
from ..ir.graph import TensorSpec, entry_length
from ..ir.lengths import evaluate, solve_lengths, symbols
from ..lang.checked import ELLIPSIS
from ..runtime.execute import TORCH_DTYPES
from .initial import Initialiser
from .layer import Layer
from .operators import operator_parameters

# Their constructors take these arguments; their type stubs do not.
_lazy_parameter: Any = UninitializedParameter
_lazy_buffer: Any = UninitializedBuffer


class LayerModule(nn.Module):
    """A layer with its parameters. Call it with the layer's `in` tensors; `layer` is the layer, `lengths` those known so far."""

    def __init__(
        self, layer: Layer, lengths: Mapping[str, int], device: torch.device | str | None, dtype: torch.dtype | None
    ) -> None:
        super().__init__()
        self.layer = layer
        self.lengths = dict(lengths)
        # the layer's name for a tensor -> the module's: `h.w`, or one that nn.Module has taken, is no legal parameter name
        self._attributes: dict[str, str] = {}
        for spec in _stored(layer):
            name = spec.name.replace(".", "_")
            while hasattr(self, name):
                name += "_"
            self._attributes[spec.name] = name
            self._declare(name, spec, device, _dtype(spec, dtype))

    def _declare(self, name: str, spec: TensorSpec, device: torch.device | str | None, dtype: torch.dtype) -> None:
        shape = _shape(self.layer, spec, self.lengths)
        trained = spec.role == "param" and (dtype.is_floating_point or dtype.is_complex)
        if shape is None and spec.role == "param":
            self.register_parameter(name, _lazy_parameter(requires_grad=trained, device=device, dtype=dtype))
        elif shape is None:
            self.register_buffer(name, _lazy_buffer(device=device, dtype=dtype))
        else:
            tensor = torch.empty(shape, device=device, dtype=dtype)
            if not tensor.is_meta:
                _initialiser(self.layer, spec.name).fill(tensor, _known(self.layer, self.lengths))
            if spec.role == "param":
                self.register_parameter(name, nn.Parameter(tensor, requires_grad=trained))
            else:
                self.register_buffer(name, tensor)

    def reset_parameters(self) -> None:
        """Gives every parameter and buffer its first values anew. Errors: ArgumentError while a length is not known."""
        lengths = _known(self.layer, self.lengths)
        for name, attribute in self._attributes.items():
            tensor = getattr(self, attribute)
            if is_lazy(tensor):
                raise ArgumentError(f"{name}: its shape is not known before the first call")
            _initialiser(self.layer, name).fill(tensor, lengths)

    def _call(self, inputs: tuple[Any, ...], further: tuple[Any, ...], named: dict[str, Any]) -> Any:
        stored = [getattr(self, attribute) for attribute in self._attributes.values()]
        if further or named or any(each is None for each in inputs):
            given = {name: each for name, each in zip(self.layer.inputs, inputs, strict=True) if each is not None}
            if further:
                found = len(given) + len(further)
                raise ArgumentError(f"{self.layer.name}: expected {', '.join(self.layer.inputs)}, found {found} tensors")
            return self.layer(**given, **named, **dict(zip(self._attributes, stored, strict=True)))
        return self.layer(*inputs, *stored)

    def __reduce__(self) -> tuple[Any, ...]:
        # its class, made for the names of the inputs, cannot be found by name
        return _empty, (self.layer.inputs, isinstance(self, LazyLayerModule)), self.__getstate__()

    def extra_repr(self) -> str:
        lengths = [f"{name}={length}" for name, length in self.lengths.items()]
        return ", ".join([self.layer.name, *lengths])


class LazyLayerModule(LazyModuleMixin, LayerModule):
    """A layer with parameters whose shapes the first call tells; from then on it is a `LayerModule`."""

    def initialize_parameters(self, *inputs: Any, **named: Any) -> None:
        """Shapes and fills what is not initialised yet. Errors: ArgumentError where a length cannot be told from the inputs."""
        interface = self.layer._interface
        tensors = {**dict(zip(self.layer.inputs, inputs, strict=False)), **named}
        for name, tensor in tensors.items():
            if not isinstance(tensor, Tensor):
                raise ArgumentError(f"{name}: expected a torch.Tensor, found {type(tensor).__name__}")
        missing = [name for name in self.layer.inputs if name not in tensors]
        if missing:
            raise ArgumentError(f"{self.layer.name}: expected {', '.join(self.layer.inputs)}; missing: {', '.join(missing)}")
        for name, attribute in self._attributes.items():
            if not is_lazy(getattr(self, attribute)):
                tensors[name] = getattr(self, attribute)
        specs = [spec for spec in interface.inputs if spec.name in tensors]
        shapes = {spec.name: tuple(tensors[spec.name].shape) for spec in specs}
        solved = solve_lengths(specs, interface.graph.axes, shapes, _symbol_values(self.layer, self.lengths))
        fixed = {axis for spec in _stored(self.layer) for entry in spec.entries for axis in entry.axes}
        for axis in interface.graph.axes:
            if axis.name in fixed and axis.length.is_Symbol:
                self.lengths[axis.name] = solved.values[axis.name]
        for spec in _stored(self.layer):
            tensor = getattr(self, self._attributes[spec.name])
            if is_lazy(tensor):
                tensor.materialize(interface.shape(spec, _bound(solved.values)))
                _initialiser(self.layer, spec.name).fill(tensor, solved.values)


def make(layer: Layer, lengths: Mapping[str, int], device: torch.device | str | None, dtype: torch.dtype | None) -> LayerModule:
    """The module of a layer: lazy if a parameter's shape is not known yet. See `Layer.module`."""
    if dtype is not None and not (dtype.is_floating_point and dtype in TORCH_DTYPES.values()):
        raise ArgumentError(f"dtype: expected torch.float32, float64, bfloat16 or float16, found {dtype}")
    layer, given = layer._with_lengths(lengths)
    for length, (name, count) in _listed(layer).items():
        if given.setdefault(length, count) != count:
            raise ArgumentError(
                f"{name}: its list of initial values has {count} numbers, so {length} = {count}; found {given[length]}"
            )
    shapes = [_shape(layer, spec, given) for spec in _stored(layer)]
    lazy = any(shape is None for shape in shapes)
    made: LayerModule = _class(layer.inputs, lazy)(layer, given, device, dtype)
    return made


@cache
def _class(inputs: tuple[str, ...], lazy: bool) -> Any:
    """The module class whose `forward` has the layer's inputs by name, as torch.export and readers of signatures expect."""
    names = [parameter.removeprefix("Tensor ") for parameter in operator_parameters(inputs)]
    text = f"def forward(self, {''.join(f'{name}=None, ' for name in names)}*further, **named):\n"
    text += f"    return self._call(({''.join(f'{name}, ' for name in names)}), further, named)\n"
    scope: dict[str, Any] = {}
    exec(text, scope)
    base = LazyLayerModule if lazy else LayerModule
    body = {"forward": scope["forward"], "__module__": __name__, "__doc__": base.__doc__}
    if lazy:
        body["cls_to_become"] = _class(inputs, False)
    return type(base.__name__, (base,), body)


def _empty(inputs: tuple[str, ...], lazy: bool) -> LayerModule:
    """A module without state, for copies and pickles."""
    kind = _class(inputs, lazy)
    made: LayerModule = kind.__new__(kind)
    return made


def _stored(layer: Layer) -> list[TensorSpec]:
    return [spec for spec in layer._interface.inputs if spec.role != "in"]


def _dtype(spec: TensorSpec, dtype: torch.dtype | None) -> torch.dtype:
    floating = dtype or torch.get_default_dtype()
    if spec.dtype == "float":
        return floating
    if spec.dtype == "complex":
        return torch.complex128 if floating == torch.float64 else torch.complex64
    return TORCH_DTYPES[spec.dtype]


def _initialiser(layer: Layer, name: str) -> Initialiser:
    return next(initialiser for initialiser in layer._initial if initialiser.name == name)


def _listed(layer: Layer) -> dict[str, tuple[str, int]]:
    """The lengths that lists of initial values tell: of each, the tensor's name and how many numbers its list has."""
    lengths = layer._interface.graph.axis_lengths
    told: dict[str, tuple[str, int]] = {}
    for spec in _stored(layer):
        initialiser = _initialiser(layer, spec.name)
        if initialiser.kind == "values":
            length = entry_length(spec.entries[-1], lengths)  # a list runs along the last axis
            if length.is_Symbol:
                told.setdefault(length.name, (spec.name, len(initialiser.values)))
    return told


def _symbol_values(layer: Layer, lengths: Mapping[str, int]) -> dict[str, int]:
    """The lengths given, less those that are numbers already."""
    free = {symbol.name for axis in layer._interface.graph.axes for symbol in symbols(axis.length)}
    return {name: length for name, length in lengths.items() if name in free}


def _known(layer: Layer, lengths: Mapping[str, int]) -> dict[str, int]:
    """The length of every axis that follows from those given."""
    values = _symbol_values(layer, lengths)
    known = dict(values)
    for axis in layer._interface.graph.axes:
        if all(symbol.name in values for symbol in symbols(axis.length)):
            known[axis.name] = evaluate(axis.length, values)
    return known


def _shape(layer: Layer, spec: TensorSpec, lengths: Mapping[str, int]) -> tuple[int, ...] | None:
    """The stored shape of a parameter, or None while a length that it or its first values need is not known."""
    known = _known(layer, lengths)
    needed = {axis for entry in spec.entries for axis in entry.axes}
    for graph in _initialiser(layer, spec.name).graphs:
        for node in graph.nodes:
            if node.op == "length":
                needed |= {symbol.name for symbol in symbols(node.attribute("length"))}
    if ELLIPSIS in needed:
        raise ArgumentError(f"{spec.name}: a parameter with leading dimensions ... has no shape of its own; call the layer with it")
    if not needed <= set(known):
        return None
    return tuple(layer._interface.shape(spec, _bound(known)))


def _bound(values: Mapping[str, int]) -> Any:
    from ..runtime.execute import Bound

    return Bound(values, ())

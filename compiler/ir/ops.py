"""The structural ops and the type rule of every op.

In: an op's name, operands and attributes, inside a builder. Out: the kind and axes of its value; ValueError where they do not fit.

| op | operands | attributes | value |
| --- | --- | --- | --- |
| input | | name | a stored tensor; only `read` takes it |
| const | | value | a number |
| length | | length | a length as an int |
| index | | axis | 0 .. length-1 along the axis |
| read | tensor, index values | indices (Affine or GatherSlot a dimension), boundary | the tensor at those indices |
| scatter | value, index values | indices, boundary, entries, over | adjoint of read: sum over `over` into the entries' axes |
| view | value | entries | a computed value with stored dimensions, so that `read` can index it; broadcast along axes it lacks |
| a scalar op | values | | elementwise, over the union of the operands' axes |
| reduce | value | operation, over | sum prod max min any all over axes |
| contract | value, value | over | sum over axes of the product of both |
| stack | values, one a position | axis | along a new axis of known length |
| slice | value | axis, position | the value at a fixed position of an axis |
| transform | value | function, source, target, n | fft ifft ... of n points; source and target cut or padded |
| carried | | name, kind, axes | the running value inside a scan |
| scan | initials, then bodies, one a running value | axis, names, result, reverse | body number `result` at every step |

The running values of a scan step at once, from the axis' first point to its last or, with `reverse`, from its last to its first.
The value of `result` at a point is the one after that point's step. Scans of the same operands that differ in `result` alone are
one recurrence read at several of its values.
"""

from __future__ import annotations

from typing import Any

from ..lang.checked import Kind
from .graph import Affine, Builder, GatherSlot
from .scalar_ops import SCALAR_OPS
from .tensors import TensorSpec, in_parts

KIND_ORDER: tuple[Kind, ...] = ("bool", "int", "real", "complex")
REDUCTIONS = ("sum", "prod", "max", "min", "any", "all")
TRANSFORMS = ("fft", "ifft", "rfft", "irfft", "dct", "idct")


def widest(kinds: list[Kind], floor: Kind = "bool") -> Kind:
    """The widest of the kinds, at least `floor`."""
    return KIND_ORDER[max([KIND_ORDER.index(kind) for kind in kinds] + [KIND_ORDER.index(floor)])]


def dtype_kind(dtype: str) -> Kind:
    """The kind of a value stored as dtype."""
    if dtype == "bool":
        return "bool"
    if dtype in ("i64", "i32"):
        return "int"
    if dtype in ("c64", "c128", "complex"):
        return "complex"
    return "real"


def stored_kind(spec: TensorSpec) -> Kind:
    """The kind of a tensor's elements: real for a complex tensor that is seen as its parts."""
    return "real" if in_parts(spec) else dtype_kind(spec.dtype)


def result_type(builder: Builder, op: str, operands: tuple[int, ...], attributes: dict[str, Any]) -> tuple[Kind, tuple[str, ...]]:
    """Kind and axes of op(operands; attributes). Raises ValueError where operands or attributes do not fit the op."""
    nodes = [builder.nodes[operand] for operand in operands]
    union: dict[str, None] = {}
    for node in nodes:
        for axis in node.axes:
            union.setdefault(axis)
    axes = tuple(union)
    if op != "read" and any(node.op in ("input", "view") for node in nodes):
        raise ValueError(f"{op} cannot take a stored tensor; read it first")
    if op in SCALAR_OPS:
        return _scalar_type(op, [node.kind for node in nodes]), axes
    if op == "input":
        return stored_kind(builder.inputs[attributes["name"]]), ()
    if op == "const":
        value = attributes["value"]
        return ("bool" if isinstance(value, bool) else "int" if isinstance(value, int) else "real"), ()
    if op == "length":
        return "int", ()
    if op == "index":
        _require_axis(builder, attributes["axis"])
        return "int", (attributes["axis"],)
    if op == "view":
        listed = [axis for entry in attributes["entries"] for axis in entry.axes]
        if len(set(listed)) < len(listed) or not set(axes) <= set(listed):
            raise ValueError(f"view entries {listed} do not cover the axes {axes} once each")
        return nodes[0].kind, tuple(listed)
    if op == "read":
        return nodes[0].kind, _index_axes(builder, attributes["indices"], operands)
    if op == "scatter":
        over = attributes["over"]
        own = [axis for entry in attributes["entries"] for axis in entry.axes]
        return nodes[0].kind, tuple(dict.fromkeys((*own, *(axis for axis in axes if axis not in over))))
    if op == "reduce":
        _require_over(axes, attributes["over"])
        operation = attributes["operation"]
        if operation not in REDUCTIONS:
            raise ValueError(f"no reduction {operation}")
        kind: Kind = "bool" if operation in ("any", "all") else nodes[0].kind
        if operation in ("sum", "prod"):
            kind = widest([kind], "int")
        return kind, tuple(axis for axis in axes if axis not in attributes["over"])
    if op == "contract":
        _require_over(axes, attributes["over"])
        return widest([node.kind for node in nodes], "int"), tuple(axis for axis in axes if axis not in attributes["over"])
    if op == "stack":
        axis = attributes["axis"]
        if builder.lengths[axis] != len(operands) or axis in axes:
            raise ValueError(f"stack of {len(operands)} values along {axis} of length {builder.lengths[axis]}")
        return widest([node.kind for node in nodes]), (*axes, axis)
    if op == "slice":
        if attributes["axis"] not in axes:
            raise ValueError(f"slice along {attributes['axis']}, which the value does not have")
        return nodes[0].kind, tuple(axis for axis in axes if axis != attributes["axis"])
    if op == "transform":
        function, source, target = attributes["function"], attributes["source"], attributes["target"]
        if function not in TRANSFORMS:
            raise ValueError(f"no transform {function}")
        _require_axis(builder, target)
        real = function in ("irfft", "dct", "idct")
        return ("real" if real else "complex"), (*(axis for axis in axes if axis != source), target)
    if op == "carried":
        return attributes["kind"], tuple(attributes["axes"])
    if op == "scan":
        names, result = attributes["names"], attributes["result"]
        if len(operands) != 2 * len(names):
            raise ValueError(f"expected {2 * len(names)} operands, found {len(operands)}")
        if not 0 <= result < len(names):
            raise ValueError(f"there is no running value number {result}")
        _require_axis(builder, attributes["axis"])
        own = [nodes[result], nodes[len(names) + result]]
        return widest([node.kind for node in own]), tuple({axis: None for node in own for axis in (*node.axes, attributes["axis"])})
    raise ValueError(f"no op {op}")


def _scalar_type(op: str, kinds: list[Kind]) -> Kind:
    record = SCALAR_OPS[op]
    if len(kinds) != record.arity:
        raise ValueError(f"{op} takes {record.arity} operands, not {len(kinds)}")
    if op in ("re", "im"):
        return "real"
    if "complex" in kinds and not record.complex_allowed:
        raise ValueError(f"{op} is not defined for complex values")
    if record.kind != "promote":
        return record.kind  # type: ignore[return-value]
    if op == "select":
        kinds = kinds[1:]
    return widest(kinds, record.floor)


def _index_axes(builder: Builder, indices: tuple[Affine | GatherSlot, ...], operands: tuple[int, ...]) -> tuple[str, ...]:
    axes: dict[str, None] = {}
    for index in indices:
        if isinstance(index, GatherSlot):
            for axis in builder.nodes[operands[index.operand]].axes:
                axes.setdefault(axis)
        else:
            for axis in index.axes:
                _require_axis(builder, axis)
                axes.setdefault(axis)
    return tuple(axes)


def _require_axis(builder: Builder, axis: str) -> None:
    if axis not in builder.axes:
        raise ValueError(f"no axis {axis} in the graph")


def _require_over(axes: tuple[str, ...], over: tuple[str, ...]) -> None:
    missing = [axis for axis in over if axis not in axes]
    if missing:
        raise ValueError(f"reduction over {missing}, which the value does not have")

"""The ground that all writers of CUDA kernels stand on: names, loops decoded from a thread's number, the kernel's signature.

In: a step of a schedule and its nest. Out: `DeviceWriter`, which writes values as the C++ target does, one point a thread; and
`Kernel`, a kernel's text with what its launch needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sympy

from ...lang.checked import Length
from ...schedule.nest import Nest
from ...schedule.program import Launch
from ...schedule.steps import KernelStep, ScanStep, Schedule, Store
from ..access import Access, passed_strides, stride_variable
from ..cpp.values import STORAGE_TYPES, ValueWriter
from ..lengths import cpp_length, identifier, python_length
from ..loops import Loop
from ..names import Names
from ..text import Lines

THREADS = 256  # of a block
_RESERVED = """
    threadIdx blockIdx blockDim gridDim warpSize group slot slots group_size active inside column columns own partials part fixed
    column_blocks index output outputs term terms left right value words steps
"""
RESERVED = frozenset(re.findall(r"\w+", _RESERVED))


@dataclass(frozen=True)
class Scratch:
    """A temporary that a kernel asks for: 64-bit words, as Python over `n`."""

    name: str
    words: str


@dataclass(frozen=True)
class Kernel:
    """A kernel's text, how it is launched, what it does in words, and the temporaries that it needs besides buffers."""

    text: str
    launch: Launch
    summary: str
    scratch: tuple[Scratch, ...] = ()


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel, and what the launch gives for it: buffers, or "=" and expressions, one for each 8 bytes."""

    declaration: str
    arguments: tuple[str, ...]


def pointer(declaration: str, buffer: str) -> Parameter:
    return Parameter(declaration, (buffer,))


def integer(name: str, value: str) -> Parameter:
    """A 64-bit integer parameter, from Python over `n` and the launch's constants."""
    return Parameter(f"const int64_t {name}", (f"={value}",))


def divisor(name: str, value: str) -> Parameter:
    """A length that indices are divided by."""
    return Parameter(f"const lamina::divisor {name}", (f"={value}", f"=multiplier({value})", f"=shift({value})"))


def pointers_first(parameters: Iterable[Parameter]) -> list[Parameter]:
    """The parameters in the order that a launch passes them in."""
    return sorted(parameters, key=lambda parameter: parameter.arguments[0].startswith("="))


def arguments_of(parameters: Iterable[Parameter]) -> tuple[str, ...]:
    return tuple(argument for parameter in parameters for argument in parameter.arguments)


class Divisors:
    """The lengths that a kernel divides indices by, under the names of the loops that they belong to."""

    def __init__(self) -> None:
        self.lengths: dict[str, Length] = {}

    def of(self, loop: Loop) -> str:
        """The name of the divisor that is a loop's length."""
        name = f"by_{loop.variable.removeprefix('i_')}"
        known = self.lengths.setdefault(name, loop.length)
        assert known == loop.length, f"{name} has two lengths"
        return name

    def parameters(self) -> list[Parameter]:
        return [divisor(name, python_length(length)) for name, length in self.lengths.items()]

    def decoded(self, loops: Sequence[Loop], number: str) -> list[tuple[Loop, str]]:
        """The loops, each with its variable's value at point `number` of all of them."""
        found = []
        for position, loop in reversed(list(enumerate(loops))):
            if position == 0:
                found.append((loop, number))
                continue
            by = self.of(loop)
            found.append((loop, f"{number} % {by}"))
            number = f"({number} / {by})"
        return found[::-1]


def stride_arguments(schedule: Schedule) -> Mapping[str, str]:
    """The symbols of strides passed at the call -> Python that gives them."""
    return {
        f"stride {stride_variable(buffer.name, dimension)}": f"stride[{buffer.name!r}][{dimension}]"
        for buffer in schedule.buffers.values()
        for dimension in passed_strides(buffer)
    }


def length_parameters(schedule: Schedule, names: Iterable[str]) -> list[Parameter]:
    """The parameters for symbols that a text uses: lengths, and strides."""
    strides = stride_arguments(schedule)
    found = []
    for name in names:
        symbol = sympy.Symbol(name, integer=True, nonnegative=True)
        found.append(integer(cpp_length(symbol), strides.get(name) or python_length(symbol)))
    return found


def buffer_parameters(schedule: Schedule, read: Sequence[str], written: Sequence[str]) -> list[Parameter]:
    """Pointers to buffers; those written are not const. None overlap."""
    found = []
    for name in dict.fromkeys((*read, *written)):
        constant = "" if name in written else "const "
        kind = STORAGE_TYPES[schedule.buffers[name].dtype]
        found.append(pointer(f"{constant}{kind}* __restrict__ at_{identifier(name)}", name))
    return found


# A group of threads: how many, the place of a thread in its group, the group's number and how many a block has.
GROUP = (
    "const int group = int(group_size), lane = int(threadIdx.x % unsigned(group)), slot = int(threadIdx.x / unsigned(group)), "
    "slots = int(blockDim.x / unsigned(group));"
)


def product_of(lengths: Iterable[Length]) -> Length:
    result: Length = sympy.Integer(1)
    for length in lengths:
        result = result * length
    return result


class DeviceWriter(ValueWriter):
    """Values at a point whose loops have all been decoded; `outer` and `inner` only order them."""

    def __init__(self, schedule: Schedule, step: KernelStep | ScanStep, nest: Nest) -> None:
        super().__init__(schedule, step, nest)
        self.names = Names(RESERVED)
        self.divisors = Divisors()

    def set_loops(self, outer: Sequence[Loop], inner: Sequence[Loop]) -> None:
        self.outer, self.inner = tuple(outer), tuple(inner)
        self.outer_axes = {axis for loop in self.outer for axis in loop.axes}

    def count(self, loops: Sequence[Loop]) -> str:
        """The number of points of some loops, in C++."""
        return self.length(product_of(loop.length for loop in loops))

    def decode(self, loops: Sequence[Loop], number: str) -> None:
        """Declares the loops' variables, from the number of a point of all of them."""
        for loop, value in self.divisors.decoded(loops, number):
            self.out.add(f"const int64_t {loop.variable} = {value};")

    def values(self, roots: Sequence[int]) -> None:
        """Defines what the roots need, at the point that is decoded."""
        needed = self._needed(roots)
        for depth in range(max(len(self.inner), 1)):
            self._values_at(needed, depth)

    def scope(self) -> dict[int, str]:
        """Opens a scope of names; `end_scope` closes it."""
        self.names.push()
        return dict(self.text_of)

    def end_scope(self, scope: dict[int, str]) -> None:
        self.names.pop()
        self.text_of = scope

    def store_if(self, condition: str, pairs: Sequence[tuple[Store, Access]]) -> None:
        """Stores values that are defined, where a condition holds ("" for always)."""
        if not pairs:
            return
        if condition:
            self.out.open(f"if ({condition})")
        for store, each in pairs:
            self._store(store, each, self.text_of[store.node])
        if condition:
            self.out.close()


def kernel_around(
    writer: ValueWriter,
    name: str,
    comment: str,
    body: Lines,
    divisors: Divisors,
    further: Sequence[Parameter] = (),
    written: Sequence[str] | None = None,
) -> tuple[str, tuple[str, ...]]:
    """The kernel around a body, and the arguments of its launch: the buffers used, what is further given, lengths.

    `written`: the buffers stored to; by default those of all stores.
    """
    read = [writer.sources[number] for number in writer.nest.cone if number in writer.sources]
    stored = [store.place.buffer for store in writer.step.stores] if written is None else written
    parameters = [*buffer_parameters(writer.schedule, read, stored), *further]
    parameters += [*divisors.parameters(), *length_parameters(writer.schedule, writer.used_lengths)]
    parameters = pointers_first(parameters)
    return head(name, comment, parameters) + body.text() + "}\n", arguments_of(parameters)


def head(name: str, comment: str, parameters: Sequence[Parameter], threads: int = THREADS) -> str:
    """What it does, and the signature, one parameter a line where they are many."""
    declared = ", ".join(parameter.declaration for parameter in parameters)
    if len(declared) > 100:
        declared = ",".join(f"\n        {parameter.declaration}" for parameter in parameters)
    return f'// {comment}\nextern "C" __global__ void __launch_bounds__({threads}, 2) {name}({declared}) {{\n'

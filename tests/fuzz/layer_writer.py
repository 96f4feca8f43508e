"""A layer under construction: its axes, tensors, values and statements, kept well-typed by construction.

In: a random generator. Out: a `RandomLayer`: the text, statement by statement, and what is needed to draw tensors for it.
Holds: every real value lies in about [-3, 3], every integer in [-8, 8], every complex value in a disc of about 5, as long as its
operands do; what a read, a reduction or a transform asks of lengths is recorded, so that lengths can be drawn that meet it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

LEADING = "..."
BASE_AXES = ("A", "B", "C", "D")
_LENGTHS = (0, 1, 1, 2, 3, 3, 4, 5, 5, 6, 7, 8, 9, 11, 13, 16, 17, 23, 32, 37)
_LARGEST_TENSOR = 6000
REAL, INT, BOOL, COMPLEX = "real", "int", "bool", "complex"


@dataclass(frozen=True)
class Value:
    """A tensor or a `let`: `entries` as declared, where it can be indexed; None where the order of its axes is not settled."""

    name: str
    axes: tuple[str, ...]
    kind: str = REAL
    entries: tuple[str, ...] | None = None
    is_input: bool = False
    is_anonymous: bool = False

    @property
    def own_axes(self) -> list[str]:
        """All but the leading ones, of which there may be any number."""
        return [axis for axis in self.axes if axis != LEADING]


@dataclass(frozen=True)
class Statement:
    """`instead`: a declaration that gives the same name from outside, with which a shrinker can replace the statement."""

    text: str
    instead: str = ""


@dataclass(frozen=True)
class RandomLayer:
    """A specification by its parts, and how to draw lengths and tensors for it.

    `sizes`: as they stand after the layer's name. `axes`: each axis's length as an expression of base lengths, `//` for the
    division that rounds down. `conditions`: what lengths have to meet. `dtype`: the call's. `orders`: how often it is
    differentiated. `written`: the whole text, of a layer that was not generated. `tied`: its tensors hold few different values, so
    that many are equal.
    """

    seed: int
    preamble: str
    sizes: str
    statements: tuple[Statement, ...]
    axes: Mapping[str, str]
    conditions: tuple[str, ...]
    dtype: str
    orders: int
    strided: Mapping[str, str] = field(default_factory=dict)
    written: str = ""
    tied: bool = False

    @property
    def text(self) -> str:
        if self.written:
            return self.written
        body = "\n  ".join(statement.text for statement in self.statements)
        return f"{self.preamble}layer random({self.sizes}) {{\n  {body}\n}}\n"

    def without(self, number: int) -> RandomLayer:
        return replace(self, statements=self.statements[:number] + self.statements[number + 1 :])

    def with_input(self, number: int) -> RandomLayer:
        """A statement's value given from outside."""
        given = Statement(self.statements[number].instead)
        return replace(self, statements=(*self.statements[:number], given, *self.statements[number + 1 :]))

    def lengths(self, number: int) -> dict[str, int]:
        """The lengths of a call, by axis. Different for every number, within the conditions and a bound on the work."""
        rng = random.Random(f"{self.seed} lengths {number}")
        base = [name for name, text in self.axes.items() if text == name]
        longest = [4.0] * len(base)
        for attempt in range(4000):
            known = {name: rng.choice(_LENGTHS) for name in base}
            if number == 0 and attempt < 100:  # the first call has something to compute, if it may
                known = {name: max(length, 1) for name, length in known.items()}
            if attempt > 200:
                known = {name: rng.randint(1, int(most)) for name, most in zip(base, longest, strict=True)}
                longest = [min(most + 0.02, 12.0) for most in longest]
            every = {name: int(eval(text, {}, dict(known))) for name, text in self.axes.items() if text}
            product = 1
            for length in known.values():
                product *= max(length, 1)
            if product > _LARGEST_TENSOR or min(every.values()) < 0:
                continue
            if all(eval(condition, {}, every) for condition in self.conditions):
                return every
        raise ValueError(f"seed {self.seed}: no lengths meet {self.conditions}")

    def leading(self, number: int) -> tuple[int, ...]:
        """The dimensions that `...` stands for."""
        return random.Random(f"{self.seed} leading {number}").choice(((), (2,), (3,), (2, 3), (1,), (5,)))


class Writer:
    """Declares and states, and hands out values to build on."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.axes: dict[str, str] = {}
        self.implied: dict[str, str] = {}
        self.conditions: list[str] = []
        self.statements: list[Statement] = []
        self.values: list[Value] = []
        self.used: set[str] = set()
        self.counts: dict[str, int] = {}

    # ------------------------------------------------------------------------------------------ names and axes

    def name(self, stem: str) -> str:
        number = self.counts.get(stem, 0)
        self.counts[stem] = number + 1
        return f"{stem}{number}"

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def base_axis(self) -> str:
        """A length that a call decides."""
        axis = self.random.choice(BASE_AXES)
        self.axes.setdefault(axis, axis)
        return axis

    def known_axes(self) -> list[str]:
        """Those that a tensor or a statement has; a size alone is no axis."""
        stored = {axis for value in self.values for axis in value.axes}
        return [axis for axis, length in self.axes.items() if axis in stored or not length.isdigit()]

    def derived_axis(self, stem: str, text: str) -> str:
        """A further axis; `text` is its length in the words of the language."""
        name = self.name(stem)
        self.axes[name] = self._over_base(text)
        self.statements.append(Statement(f"axis {name} = {self.spelled(text)}"))
        return name

    def implied_axis(self, stem: str, text: str) -> str:
        """An axis whose length a transform or a call tells; no statement is needed."""
        name = self.name(stem)
        self.axes[name] = self._over_base(text)
        self.implied[name] = self.spelled(text)
        return name

    def spelled(self, text: str) -> str:
        """A length without the names of implied axes, which an `axis` statement does not know."""
        return re.sub(r"[A-Z]\w*", lambda name: f"({self.implied[name[0]]})" if name[0] in self.implied else name[0], text)

    def _over_base(self, text: str) -> str:
        """A length as an expression of base lengths."""
        known = self.axes
        return re.sub(r"[A-Z]\w*", lambda name: f"({known[name[0]]})" if name[0] in known else name[0], text.replace("/", "//"))

    def require(self, condition: str) -> None:
        """What a statement asks of lengths, over axis names."""
        if condition not in self.conditions:
            self.conditions.append(condition)

    def require_elements(self, axes: Sequence[str]) -> None:
        for axis in axes:
            if axis != LEADING:
                self.require(f"{axis} >= 1")

    # ------------------------------------------------------------------------------------------ statements

    def declare(self, role: str, entries: Sequence[str], kind: str, dtype: str = "") -> Value:
        name = self.name({"in": "x", "param": "p", "buffer": "c"}[role])
        listed = ", ".join(entries)
        default = {BOOL: "bool", INT: "i64", COMPLEX: "complex"}.get(kind, "")
        typed = f": {dtype or default}" if dtype or default else ""
        initial = "" if role == "in" else " = 1"
        self.statements.append(Statement(f"{role} {name}[{listed}]{typed}{initial}"))
        axes: list[str] = []
        anonymous = False
        for entry in entries:
            parts = entry.split("*")
            if all(part in self.axes or part == LEADING for part in parts):
                axes.extend(parts)
            else:
                anonymous = True
        value = Value(name, tuple(axes), kind, tuple(entries), True, anonymous)
        self.values.append(value)
        return value

    def let(self, text: str, axes: Sequence[str], kind: str = REAL, settled: bool = False) -> Value:
        """A `let`; with a list of its axes where it is to be read at indices."""
        name = self.name("t")
        entries: tuple[str, ...] | None = None
        if settled or self.chance(0.3):
            entries = self.order(axes)
            self.statements.append(Statement(f"let {name}[{', '.join(entries)}] = {text}", self._instead(name, entries, kind)))
        else:
            self.statements.append(Statement(f"let {name} = {text}", self._instead(name, self.order(axes, split=False), kind)))
        value = Value(name, tuple(axes), kind, entries)
        self.values.append(value)
        return value

    def called(self, text: str, entries: tuple[str, ...]) -> Value:
        """A `let` that is the call of a layer."""
        name = self.name("t")
        self.statements.append(Statement(f"let {name}[{', '.join(entries)}] = {text}", self._instead(name, entries, REAL)))
        value = Value(name, entries, REAL, entries)
        self.values.append(value)
        return value

    def out(self, value: Value) -> None:
        entries = self.order(value.axes)
        self.statements.append(Statement(f"out {self.name('y')}[{', '.join(entries)}] = {value.name}"))
        self.used.add(value.name)

    def order(self, axes: Sequence[str], split: bool = True) -> tuple[str, ...]:
        """The axes in some order, `...` first, now and then two of them as one stored dimension."""
        rest = [axis for axis in axes if axis != LEADING]
        self.random.shuffle(rest)
        if split and len(rest) > 1 and self.chance(0.15):
            place = self.random.randrange(len(rest) - 1)
            rest[place : place + 2] = [f"{rest[place]}*{rest[place + 1]}"]
            # at most one length of a product may be unknown to whoever solves it; that of an out is always known
        return ((LEADING,) if LEADING in axes else ()) + tuple(rest)

    def _instead(self, name: str, entries: Sequence[str], kind: str) -> str:
        typed = {BOOL: ": bool", INT: ": i64", COMPLEX: ": complex"}.get(kind, "")
        return f"in {name}[{', '.join(entries)}]{typed}"

    # ------------------------------------------------------------------------------------------ choosing

    def pick(self, kind: str = REAL, having: str | None = None, indexable: bool = False, most: int = 4) -> Value | None:
        """A value of a kind, mostly a late one, so that layers grow deep."""
        found = [
            value
            for value in self.values
            if value.kind == kind
            and (not value.is_anonymous or indexable)
            and (having is None or having in value.axes)
            and (not indexable or value.entries is not None)
            and len(value.axes) <= most
        ]
        if not found:
            return None
        unused = [value for value in found if value.name not in self.used]
        if unused and self.chance(0.5):
            found = unused
        value = self.random.choice(found[-4:] if self.chance(0.6) else found)
        self.used.add(value.name)
        return value

    def beside(self, value: Value, kind: str = REAL, most: int = 4) -> Value | None:
        """A second operand, such that both together have few axes."""
        for _ in range(6):
            other = self.pick(kind)
            if other is not None and len({*value.axes, *other.axes}) <= most:
                return other
        return None


def union(*values: Value | Sequence[str]) -> tuple[str, ...]:
    """The axes of all, `...` first."""
    axes: dict[str, None] = {}
    for value in values:
        for axis in value.axes if isinstance(value, Value) else value:
            axes.setdefault(axis)
    return tuple(sorted(axes, key=lambda axis: axis != LEADING))

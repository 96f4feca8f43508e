"""Productions that read at indices, transform axes and call layers.

In: a `Writer`. Out: the value added, or None. Holds: a read without a boundary mode stays in range for every length that meets the
conditions recorded.
"""

from __future__ import annotations

import re

from layer_writer import COMPLEX, INT, LEADING, REAL, Value, Writer, union
from productions import UNARY

BOUNDARIES = ("zero", "wrap", "clamp", "reflect")


class _Read:
    """One read under construction: index texts, the axes they bring, and the reductions around it."""

    def __init__(self, w: Writer, value: Value) -> None:
        self.w = w
        self.value = value
        self.indices: list[str] = []
        self.axes: list[str] = []
        self.over: list[str] = []

    def own_axes(self) -> list[str]:
        return [axis for axis in self.axes if axis != LEADING]

    def running(self, length: str) -> str:
        """A reduction index 0 .. length-1."""
        name = "ijk"[len(self.over)]
        self.over.append(f"{name} < {length}")
        return name

    def fresh(self, axis: str) -> str:
        """An axis to index `axis` with: another one of its length, or, at times, itself."""
        if axis not in self.axes and self.w.chance(0.6):
            self.axes.append(axis)
            return axis
        new = self.w.derived_axis("R", axis)
        self.axes.append(new)
        return new

    def another(self) -> str:
        """Any axis, for an index that no range binds."""
        candidates = [axis for axis in self.w.known_axes() if axis not in self.axes]
        axis = self.w.random.choice(candidates or self.w.known_axes())
        if axis not in self.axes:
            self.axes.append(axis)
        return axis

    def gathered(self, length: str, bounded: bool) -> str | None:
        """An index by an integer tensor; `bounded`: it has to stay in range by itself."""
        whole = self.w.pick(INT)
        if whole is None or len(union(whole, self.axes)) > 4:
            return None
        self.axes.extend(axis for axis in whole.axes if axis not in self.axes)
        if not bounded:
            return self.w.random.choice(("{0}", "{0} + 1", "2*{0} - 1", "-{0}")).format(whole.name)
        return f"clamp({whole.name}, 0, {length} - 1)"


def _inside(read: _Read, entry: str) -> str | None:
    """An index that stays in its entry."""
    w = read.w
    if "*" in entry:
        parts = entry.split("*")
        if parts[0].isdigit():  # anonymous: 2*P
            axis = read.fresh(parts[1])
            return w.random.choice((f"{entry.replace(parts[1], axis)}", f"{parts[0]}*{axis} + 1"))
        choice = w.random.randrange(4)
        length = "*".join(f"len({part})" for part in parts)
        if choice == 0 and not set(parts) & set(read.axes):
            read.axes.extend(parts)
            return entry
        if choice == 1:
            w.require_elements(parts)
            return w.random.choice(("0", f"{length} - 1"))
        new = w.derived_axis("W", entry.replace("*", " * "))
        read.axes.append(new)
        return new if choice == 2 else f"{length} - 1 - {new}"
    if "+" in entry:  # anonymous: M+1
        size = f"len({entry.split('+')[0]})"
        return w.random.choice((read.running(entry), "0", size)) if len(read.over) < 2 else "0"
    choice = w.random.randrange(9)
    if w.axes[entry].isdigit() and choice in (2, 3, 6):  # a size may be too short for these
        choice = 4
    if choice == 0:
        w.require_elements((entry,))
        return w.random.choice(("0", f"len({entry}) - 1"))
    if choice == 1:
        return f"len({entry}) - 1 - {read.fresh(entry)}"
    if choice == 2 and len(read.over) < 2:
        width = w.random.choice((2, 3))
        w.require(f"{entry} >= {width - 1}")
        new = w.derived_axis("T", f"{entry} - {width - 1}")
        read.axes.append(new)
        return f"{new} + {read.running(str(width))}"
    if choice == 3:
        new = w.derived_axis("H", f"{entry} / 2")
        read.axes.append(new)
        return w.random.choice((f"2*{new}", f"2*{new} + 1", f"{entry} - 1 - 2*{new}".replace(entry, f"len({entry})")))
    if choice == 4 and len(read.over) < 2:
        return read.running(entry)
    if choice == 5:
        w.require_elements((entry,))
        found = read.gathered(f"len({entry})", True)
        if found is not None:
            return found
    if choice == 6 and len(read.over) < 2:
        w.require(f"{entry} >= 1")
        new = w.derived_axis("T", f"({entry} - 1) / 2 + 1")
        read.axes.append(new)
        return f"2*{new} + {read.running('1')}"
    return read.fresh(entry)


def _anywhere(read: _Read, entry: str) -> str | None:
    """An index that may leave its entry, for a read through a boundary mode."""
    w = read.w
    length = re.sub(r"[A-Z]\w*", lambda name: f"len({name[0]})", entry)
    choice = w.random.randrange(10)
    if choice == 0:
        found = read.gathered(length, False)
        if found is not None:
            return found
    if choice == 1:
        return w.random.choice(("-1", "0", "2", length))
    if entry.isalnum() and entry not in read.axes and choice < 6:
        read.axes.append(entry)
        axis = entry
    else:
        axis = read.another()
    if choice in (2, 6) and len(read.over) < 2:
        index = read.running(w.random.choice(("2", "3", axis)))
        return w.random.choice((f"{axis} - {index}", f"{axis} + {index} - 1", f"2*{axis} - 3*{index}", f"{axis} + 2*{index}"))
    texts = ("{0} - 1", "{0} + 2", "2*{0}", "-{0}", "3 - 2*{0}", "{0} - {1}", "{1} - {0}", "{0} + {1}", "{0}")
    return w.random.choice(texts).format(axis, length)


def read_of(w: Writer, value: Value) -> tuple[str, tuple[str, ...], list[str]] | None:
    """A read's text, its axes, and the reductions that have to stand around it."""
    assert value.entries is not None
    bounded = w.chance(0.45)
    boundary = "" if bounded else w.random.choice(BOUNDARIES)
    read = _Read(w, value)
    if LEADING in value.entries:
        read.axes.append(LEADING)
    for entry in value.entries:
        if entry == LEADING:
            index: str | None = LEADING
        elif bounded or (w.chance(0.5) and entry in w.axes and entry not in read.axes):
            index = _inside(read, entry)
        else:
            index = _anywhere(read, entry)
        if index is None:
            return None
        read.indices.append(index)
    if boundary not in ("", "zero"):  # an empty axis has no element to take
        for entry in value.entries:
            if entry != LEADING:
                w.require(f"{entry} >= 1")
    if len(read.axes) > 4:
        return None
    source = f"{boundary}({value.name})" if boundary else value.name
    return f"{source}[{', '.join(read.indices)}]", union(read.axes), read.over


def indexed_read(w: Writer) -> Value | None:
    """A read of a tensor or of a let at explicit indices, mostly within a sum of products."""
    kind = w.random.choice((REAL, REAL, REAL, REAL, COMPLEX, INT))
    value = w.pick(kind, indexable=True)
    if value is None or value.entries == ():
        return None
    marks = len(w.statements), dict(w.axes), list(w.conditions)
    found = read_of(w, value)
    if found is None:
        del w.statements[marks[0] :]
        w.axes, w.conditions = marks[1], marks[2]
        return None
    text, axes, over = found
    if kind == INT:
        return w.let(f"max[{', '.join(over)}]({text})" if over else text, axes, INT) if _nonempty(w, over) else None
    if over:
        other = w.pick() if w.chance(0.6) else None
        if other is not None and len(union(axes, other)) <= 4:
            text, axes = f"{text} * {other.name} / 3", union(axes, other)
        count = " * ".join(f"({each.split(' < ')[1]})" for each in over)
        if kind == REAL and w.chance(0.2) and _nonempty(w, over):
            return w.let(f"{w.random.choice(('max', 'min', 'mean'))}[{', '.join(over)}]({text})", axes)
        return w.let(f"sum[{', '.join(over)}]({text}) / (1 + {count})", axes, kind)
    if kind == REAL and w.chance(0.3):
        text = w.random.choice(UNARY).replace("{0}", text) if text.count("[") == 1 else text
    return w.let(text, axes, kind, settled=w.chance(0.3))


def _nonempty(w: Writer, over: list[str]) -> bool:
    for each in over:
        length = each.split(" < ")[1]
        if length in w.axes:
            w.require(f"{length} >= 1")
    return True


def transform(w: Writer) -> Value | None:
    kind = w.random.choice((REAL, COMPLEX))
    value = w.pick(kind)
    if value is None or not value.own_axes:
        return None
    axes = value.own_axes
    axis = w.random.choice(axes)
    if w.axes[axis].isdigit():
        return None  # along a size with no tensor of its own, there is nothing to transform
    w.require_elements((axis,))
    rest = tuple(each for each in value.axes if each != axis)
    points, given = axis, ""
    if w.chance(0.25):
        points = w.random.choice(("6", "7", f"2 * {axis}", f"{axis} + 3", f"({axis} + 1) / 2"))
        given = f", n = {points}"
    scale = f"/ (1 + {axis})"
    if kind == REAL and w.chance(0.6):
        function = w.random.choice(("rfft", "dct", "idct"))
        length = f"({points}) / 2 + 1" if function == "rfft" else points
        new = w.implied_axis("F", length)
        scale = {"rfft": scale, "dct": f"/ (2 * {axis})", "idct": "/ 2"}[function]
        text = f"{function}[{axis} -> {new}{given}]({value.name}) {scale}"
        return w.let(text, (*rest, new), COMPLEX if function == "rfft" else REAL, settled=w.chance(0.3))
    if kind == COMPLEX and w.chance(0.4):
        target = next(
            (a for a, text in w.axes.items() if a not in value.axes and w.axes[axis] == w._over_base(f"({a}) / 2 + 1")), None
        )
        if target is None or given:
            new = w.implied_axis("F", "9")
            w.require_elements((axis,))
            return w.let(f"irfft[{axis} -> {new}, n = 9]({value.name})", (*rest, new))
        w.require_elements((target,))
        return w.let(f"irfft[{axis} -> {target}]({value.name})", (*rest, target), settled=w.chance(0.3))
    function = w.random.choice(("fft", "ifft"))
    new = axis if not given and w.chance(0.3) else w.implied_axis("F", points)
    scale = scale if function == "fft" else ""
    return w.let(f"{function}[{axis} -> {new}{given}]({value.name}) {scale}".rstrip(), (*rest, new), COMPLEX, settled=w.chance(0.3))


HELPERS = """layer dense(O) { in x[..., I]  param w[O, I] = 1  param b[O] = 0
  out y[..., O] = sum[I](x * w) / (1 + I) + b / 2 }
layer gated { in a[..., C]  in b[..., C]  param s[C] = 1  out y[..., C] = a * sigmoid(b * s) }
layer shifted { in x[..., L]  out y[..., L] = zero(x)[..., L - 1] / 2 + x / 2 }
"""


def layer_call(w: Writer) -> Value | None:
    value = w.pick(indexable=True)
    if value is None or not value.entries or value.is_anonymous or value.entries[-1] == LEADING:
        return None
    last = value.entries[-1]
    if any("*" in entry for entry in value.entries):
        return None
    choice = w.random.randrange(3)
    if choice == 0:
        new = w.implied_axis("O", w.random.choice(("3", f"2 * {last}", "1")))
        return w.called(
            f"dense({value.name}, O = {w.axes[new] if w.axes[new].isdigit() else f'2 * {last}'})", (*value.entries[:-1], new)
        )
    if choice == 1:
        second = next((v for v in reversed(w.values) if v.entries == value.entries and v.kind == REAL and v is not value), value)
        w.used.add(second.name)
        return w.called(f"gated({value.name}, {second.name})", value.entries)
    return w.called(f"shifted({value.name})", value.entries)

"""The runtime functions that a program uses, as text.

In: the names of functions. Out: their source, from `templates/triton`, with all that they use themselves, in the files' order.
Powers and splines of an order known now are written out.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from functools import lru_cache
from importlib import resources

_FILES = ("common.py", "math_special.py", "math_f32.py", "math_f64.py")
_INTERPRETED = "INTERPRETED = tl.constexpr(bool(triton.knobs.runtime.interpret))\n"
_NAME = re.compile(r"\blamina_\w+")


def runtime_text(wanted: Iterable[str], double: bool) -> str:
    """The source of these functions, in one precision."""
    known = _functions(double)
    made: dict[str, str] = {}
    needed: set[str] = set()
    pending = list(wanted)
    while pending:
        name = pending.pop()
        if name in needed:
            continue
        needed.add(name)
        text = known.get(name)
        if text is None:
            text = made[name] = _made(name)
        pending.extend(_NAME.findall(text))
    texts = [text for name, text in known.items() if name in needed]
    texts += [made[name] for name in sorted(made)]
    if any("INTERPRETED" in text for text in texts):
        texts.insert(0, _INTERPRETED)
    return "\n\n".join(texts)


@lru_cache(maxsize=2)
def _functions(double: bool) -> dict[str, str]:
    """Every function of the files, with the comment above it."""
    found = {}
    for file in _FILES:
        if file == ("math_f32.py" if double else "math_f64.py"):
            continue
        source = resources.files("lamina.templates.triton").joinpath(file).read_text(encoding="utf-8")
        lines = source.splitlines()
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef):
                first = node.decorator_list[0].lineno - 1
                while lines[first - 1].startswith("#"):
                    first -= 1
                found[node.name] = "\n".join(lines[first : node.end_lineno]) + "\n"
    return found


def _made(name: str) -> str:
    family, _, order = name.removeprefix("lamina_").rpartition("_")
    if family == "power":
        return _power(name, int(order.replace("m", "-")))
    if family == "bspline":
        return _bspline(name, int(order))
    raise KeyError(name)


def _power(name: str, exponent: int) -> str:
    """x^N as the product of its squares; x^0 is 1 everywhere, NaN included."""
    lines = ["@triton.jit", f"def {name}(x):"]
    bits = bin(abs(exponent))[3:]
    lines.append("    power = x" if exponent else "    power = tl.full(x.shape, 1.0, x.dtype)")
    for bit in bits if exponent else "":
        lines.append("    power = power * power")
        if bit == "1":
            lines.append("    power = power * x")
    lines.append("    return power" if exponent >= 0 else "    return lamina_reciprocal(power)")
    return "\n".join(lines) + "\n"


def _bspline(name: str, degree: int) -> str:
    """The cardinal B-spline by the recurrence of Cox and de Boor, its divisions left to the end; 0 outside, NaN stays."""
    lines = [f"# The cardinal B-spline of degree {degree}, which lives on 0..{degree + 1} (Cox and de Boor's recurrence)."]
    lines += ["@triton.jit", f"def {name}(t):"]
    lines.append(f"    inside = tl.where(t < -1.0, -1.0, tl.where(t > {degree + 1}.0, {degree + 1}.0, t))")
    lines.append("    piece = tl.floor(inside)")
    for j in range(degree + 1):
        lines.append(f"    basis_{j} = tl.cast(piece == {j}.0, t.dtype)")
    factor = 1
    for p in range(1, degree + 1):
        factor *= p
        for j in range(degree - p + 1):
            lines.append(f"    basis_{j} = (inside - {j}.0) * basis_{j} + ({j + p + 1}.0 - inside) * basis_{j + 1}")
    lines.append(f"    scale = tl.full((), {1 / factor!r}, t.dtype)")
    lines.append("    return basis_0 * scale + (inside - inside)")
    return "\n".join(lines) + "\n"

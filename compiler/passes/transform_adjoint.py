"""The adjoints of transforms, as transforms.

In: a transform and a cotangent. Out: the cotangent of its operand. Holds: the result consists of the same six functions, scaled, so
that derivatives of any order exist; padding with zeros is transposed into cutting, and the other way round.

With F the n-point transform: the adjoint of fft is n times ifft, of ifft fft over n. rfft drops the second half of a spectrum that
is symmetric, irfft puts it back: their adjoints are n irfft of the spectrum with all but its first and its middle point halved, and
rfft over n with these points doubled. dct and idct (scipy's scaling) are 2n idct and dct / 2n but for the first point, which counts
twice, and half.
"""

from __future__ import annotations

from ..ir.graph import Builder, Node
from .planar import Pair, joined, parts


def transposed(builder: Builder, node: Node, cotangent: int) -> int:
    """The cotangent of a transform's operand, over the source axis in place of the target."""
    b = builder
    function, source, target, n = (node.attribute(name) for name in ("function", "source", "target", "n"))
    count = b.add("length", length=n)
    given = parts(b, cotangent)

    def back(function: str, value: Pair) -> Pair:
        return parts(b, b.add("transform", (joined(b, value),), function=function, source=target, target=source, n=n))

    def scaled(value: Pair, op: str, factor: int) -> Pair:
        re, im = value
        return b.add(op, (re, factor)), None if im is None else b.add(op, (im, factor))

    def edges(axis: str) -> int:
        """The points of half a spectrum that are their own mirror images: the first, and the middle one of an even number."""
        k = b.add("index", axis=axis)
        middle = b.add("eq", (b.add("mul", (b.const(2), k)), count))
        return b.add("or", (b.add("eq", (k, b.const(0))), middle))

    def first(axis: str) -> int:
        return b.add("eq", (b.add("index", axis=axis), b.const(0)))

    def choice(condition: int, one: int, other: int) -> int:
        return b.add("select", (condition, one, other))

    def times(factor: float) -> int:
        return b.add("mul", (b.const(factor), count))

    if function == "fft":
        result = back("ifft", scaled(given, "mul", count))
    elif function == "ifft":
        result = back("fft", scaled(given, "div", count))
    elif function == "rfft":
        result = back("irfft", scaled(given, "mul", choice(edges(target), times(1.0), times(0.5))))
    elif function == "irfft":
        result = scaled(back("rfft", given), "div", choice(edges(source), times(1.0), times(0.5)))
    elif function == "dct":
        result = back("idct", scaled(given, "mul", choice(first(target), times(4.0), times(2.0))))
    else:
        result = scaled(back("dct", given), "div", choice(first(source), times(4.0), times(2.0)))
    return joined(b, result)

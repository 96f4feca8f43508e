"""Functions of emitted Triton programs that every precision shares: indices, integers, how reductions combine.

Each program holds the functions that it uses, and those that these use, as text.
"""

import triton
import triton.language as tl

INTERPRETED = tl.constexpr(bool(triton.knobs.runtime.interpret))


# An index brought into 0..n-1: the nearest one.
@triton.jit
def lamina_clamp_index(index, n):
    return tl.maximum(tl.minimum(index, n - 1), 0)


# An index brought into 0..n-1: what it leaves divided by n.
@triton.jit
def lamina_wrap_index(index, n):
    return lamina_remainder(index, tl.maximum(n, 1))


# An index brought into 0..n-1 without repeating the ends: -1 is 1, n is n - 2.
@triton.jit
def lamina_reflect_index(index, n):
    once = lamina_remainder(index, tl.maximum(2 * (n - 1), 1))
    return tl.where(once >= n, 2 * (n - 1) - once, once)


# a - b * floor(a / b), and 0 where b is 0.
@triton.jit
def lamina_remainder(a, b):
    rest = a % tl.where(b == 0, 1, b)
    return tl.where((rest != 0) & ((rest < 0) != (b < 0)), rest + b, rest)


@triton.jit
def lamina_integer_sign(x):
    return tl.cast(x > 0, tl.int64) - tl.cast(x < 0, tl.int64)


# As torch.sign: 0 for zeros and for NaN.
@triton.jit
def lamina_sign(x):
    return tl.cast(x > 0, x.dtype) - tl.cast(x < 0, x.dtype)


@triton.jit
def lamina_combine_prod(a, b):
    return a * b


# NaN passes through either argument.
@triton.jit
def lamina_combine_max(a, b):
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def lamina_combine_min(a, b):
    return tl.minimum(a, b, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def lamina_combine_integer_max(a, b):
    return tl.maximum(a, b)


@triton.jit
def lamina_combine_integer_min(a, b):
    return tl.minimum(a, b)


@triton.jit
def lamina_combine_any(a, b):
    return a | b


@triton.jit
def lamina_combine_all(a, b):
    return a & b


# An operand of a matrix product: Triton's interpreter multiplies bfloat16 matrices as if their bits were integers.
@triton.jit
def lamina_dot_operand(x):
    return x.to(tl.float32) if INTERPRETED else x


# Rounded to the nearest bfloat16, ties to even: Triton's interpreter cuts the last bits off.
@triton.jit
def lamina_to_bf16(x):
    return lamina_round_to_bf16(x).to(tl.bfloat16) if INTERPRETED else x.to(tl.bfloat16)


@triton.jit
def lamina_round_to_bf16(x):
    single = x.to(tl.float32)
    bits = single.to(tl.int32, bitcast=True)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) & -65536).to(tl.float32, bitcast=True)
    return tl.where(single == single, rounded, single)
